"""Reference features: the real images of a split, as its dataset's classifier sees them.

They are computed once a split and kept in the user's cache, for all detectors and runs. Controls go through the same
measures as samples, to show what the figures mean: real images, training images replayed, noise, and the mean image.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from oodbench.benchmark.evaluation.classifier import Classifier, classifier_of, digest_of
from oodbench.benchmark.evaluation.generation import RealFeatures, generation_metrics
from oodbench.benchmark.files import cache_folder, digest, file_name, replacing
from oodbench.datasets.base import Dataset
from oodbench.datasets.components.protocols import DEFAULT_PROTOCOL, PROTOCOLS
from oodbench.datasets.components.split import Split, as_float

FOLDER = "reference-features"
DIGITS = 12 * "[0-9a-f]"
"""Of a digest, as a pattern; another dataset's name may begin with the whole of this one's."""
VERSION = 1
"""Raised whenever our code computes other features or controls than before, so that cached ones are made again."""
CONTROL_SEED = 0
SPOILT = (SafetensorError, KeyError, TypeError, ValueError)
"""Errors of reading a file that is damaged."""


@dataclass(frozen=True)
class ReferenceFeatures:
    """What the samples of one split are compared with.

    Attributes
    ----------
    classifier : Classifier
        Computes features of samples.
    real : RealFeatures
        Features of the split's real images.
    controls : dict of str to dict
        The measures of known images; see `control_metrics`.
    """

    classifier: Classifier
    real: RealFeatures
    controls: dict[str, dict[str, float]]

    @classmethod
    def of(cls, split: Split, classifier: Classifier, normal_class: int) -> ReferenceFeatures:
        """Compute the reference features of a split, given its dataset's classifier and its normal class's label."""
        real = RealFeatures.of(split, classifier, normal_class)
        return cls(classifier, real, control_metrics(split, classifier, real))

    def save(self, path: Path) -> None:
        """Write features and controls into a safetensors file, without the classifier."""
        save_file({"test": self.real.test, "train": self.real.train}, path, {"controls": json.dumps(self.controls)})

    @classmethod
    def load(cls, path: Path, classifier: Classifier, normal_class: int) -> ReferenceFeatures:
        """Read what `save` wrote, given the classifier and the normal class that it was made with."""
        with safe_open(path, framework="pt") as stored:
            real = RealFeatures(stored.get_tensor("test"), stored.get_tensor("train"), normal_class)
            return cls(classifier, real, json.loads(stored.metadata()["controls"]))


def control_metrics(split: Split, classifier: Classifier, real: RealFeatures) -> dict[str, dict[str, float]]:
    """Measure images of known quality as if they were samples.

    Parameters
    ----------
    split : Split
        The images.
    classifier : Classifier
        Computes their features.
    real : RealFeatures
        Features of that split.

    Returns
    -------
    dict of str to dict
        ``real``: one half of the test images against the other (the floor).
        ``replay``: training images, as many as there are test images.
        ``noise``: pixels drawn from a Gaussian each, with the training images' mean and deviation.
        ``mean``: the mean training image, again and again.
    """
    generator = torch.Generator().manual_seed(CONTROL_SEED)
    train, n = as_float(split.train), len(real.test)
    half, other = torch.randperm(n, generator=generator).tensor_split(2)
    replayed = torch.randint(len(train), (n,), generator=generator)
    noise = train.mean(0) + train.std(0, correction=0) * torch.randn(n, *train.shape[1:], generator=generator)
    mean = classifier.features(train.mean(0, keepdim=True)).expand(n, -1)
    other_half = RealFeatures(real.test[other], real.train, real.normal_class)
    controls = {
        "real": (real.test[half], other_half),
        "replay": (real.train[replayed], real),
        "noise": (classifier.features(noise.clamp(0, 1)), real),
        "mean": (mean, real),
    }
    return {
        name: generation_metrics(features, classifier.probabilities(features), compared)
        for name, (features, compared) in controls.items()
    }


def can_measure(dataset: type[Dataset], protocol: str = DEFAULT_PROTOCOL) -> bool:
    """Return whether samples can be measured: not where the classifier may have been trained on the images tested.

    Parameters
    ----------
    dataset : type of Dataset
        A dataset class.
    protocol : str
        Name of the protocol that makes the splits.

    Returns
    -------
    bool
    """
    return PROTOCOLS[protocol].tests_test_part_only and digest_of(dataset) is not None


def reference_of(
    dataset: type[Dataset], normal_class: int, split: Callable[[], Split], *, protocol: str = DEFAULT_PROTOCOL
) -> ReferenceFeatures | None:
    """Return the reference features of a split, from the user's cache where they are in it.

    Parameters
    ----------
    dataset : type of Dataset
        A dataset class.
    normal_class : int
        Label of the normal class.
    split : callable
        Returns the split; called only if its reference features must be computed.
    protocol : str
        Name of the protocol that makes it.

    Returns
    -------
    ReferenceFeatures or None
        None where samples cannot be measured.

    Raises
    ------
    DatasetError
        The dataset's own classifier is not there, or does not fit the dataset.
    """
    if not can_measure(dataset, protocol):
        return None
    classifier = classifier_of(dataset)
    assert classifier is not None
    try:
        path = _file(dataset, normal_class, split, protocol, classifier)
        try:
            return _load(path, classifier, normal_class)
        except SPOILT:
            path.unlink()
    except (OSError, SafetensorError):  # the cache cannot be written to
        pass
    return ReferenceFeatures.of(split(), classifier, normal_class)


def prepare(
    dataset: type[Dataset], normal_class: int, split: Callable[[], Split], *, protocol: str = DEFAULT_PROTOCOL
) -> None:
    """Compute the reference features of a split, unless they are cached or another process is computing them.

    The parameters are those of `reference_of`, which will raise whatever goes wrong here.
    """
    with suppress(Exception):
        if can_measure(dataset, protocol):
            classifier = classifier_of(dataset)
            assert classifier is not None
            _file(dataset, normal_class, split, protocol, classifier, timeout=0)


_load = lru_cache(maxsize=2)(ReferenceFeatures.load)


def _file(
    dataset: type[Dataset],
    normal_class: int,
    split: Callable[[], Split],
    protocol: str,
    classifier: Classifier,
    *,
    timeout: float = -1,
) -> Path:
    """Return the file of a split's features, which the first process to need it makes, in place of earlier ones.

    Raises
    ------
    OSError, SafetensorError
        It cannot be written; or, as a Timeout, another process has been making it for so many seconds (-1: however
        long it takes).
    """
    folder = cache_folder() / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{file_name(dataset.name)}-{normal_class}-{protocol}"
    path = folder / f"{name}-{_key(dataset.version, classifier.digest)}.safetensors"
    with FileLock(folder / f"{name}.lock", timeout=timeout):
        if not path.is_file():
            made = ReferenceFeatures.of(split(), classifier, normal_class)
            for outdated in folder.glob(f"{name}-{DIGITS}.safetensors"):
                outdated.unlink()
            with replacing(path) as temporary:
                made.save(temporary)
    return path


def _key(data: str, classifier: str) -> str:
    """Return a digest of all that the features come from: our code, data, classifier and libraries."""
    libraries = [f"{name} {version(name)}" for name in ("torch", "torchmetrics")]
    return digest(str(VERSION), data, classifier, *libraries)
