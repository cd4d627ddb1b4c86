"""How good generated images are, in the features of one fixed classifier a dataset.

The reference are the normal class's test images; training images serve to find copies. Controls go through the same
measures, to show what the figures mean: real images, training images replayed, noise, and the mean image.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from oodbench.benchmark.evaluation.classifier import FEATURES, Classifier, classifier_of
from oodbench.datasets.components.split import Split, as_float

NEIGHBOURS = 5
"""k of density and coverage: the authors' recommendation (Naeem et al. 2020, §4)."""
CONTROL_SEED = 0


@dataclass(frozen=True)
class Reference:
    """Real images of one normal class, as a classifier sees them.

    Attributes
    ----------
    test : Tensor
        float32 (N, F), features of the normal test images.
    train : Tensor
        float32 (M, F), features of the training images.
    normal_class : int
        The label that a sample should be given.
    """

    test: Tensor
    train: Tensor
    normal_class: int

    @classmethod
    def of(cls, split: Split, classifier: Classifier, normal_class: int) -> Reference:
        """Look at the real images of a split."""
        test = classifier.features(as_float(split.test[~split.is_ood]))
        return cls(test, classifier.features(as_float(split.train)), normal_class)

    @cached_property
    def neighbours(self) -> int:
        """How many neighbours make a neighbourhood; fewer than k where there are too few images."""
        return min(NEIGHBOURS, len(self.test) - 1)

    @cached_property
    def radii(self) -> Tensor:
        """Distance (N,) of each test image to its k-th neighbour, itself not counted."""
        return torch.cdist(self.test, self.test).kthvalue(self.neighbours + 1, dim=1).values

    @cached_property
    def novelty(self) -> float:
        """Mean distance of test images to the nearest training image."""
        return self.distance_from_training(self.test)

    def distance_from_training(self, features: Tensor) -> float:
        """Mean distance of images, given by their features (n, F), to the nearest training image."""
        return float(torch.cdist(features, self.train).min(1).values.mean())


def generation_metrics(features: Tensor, probabilities: Tensor, reference: Reference) -> dict[str, float]:
    """Measure generated images; if there are as many as real ones, or fewer, their order does not matter.

    Parameters
    ----------
    features : Tensor
        float32 (n, F), features of the generated images, n > 1.
    probabilities : Tensor
        float32 (n, classes), what the classifier takes them for.
    reference : Reference
        The real images.

    Returns
    -------
    dict of str to float
        ``frechet``: squared Fréchet distance of two Gaussians fitted to the features (Heusel et al., NeurIPS 2017); 0
        is best, and it is biased upwards by about 1/n.
        ``kernel``: unbiased squared maximum mean discrepancy with the kernel ``(x·y / F + 1)³`` (Bińkowski et al., ICLR
        2018); about 0 is best, and it can be negative.
        ``density``, ``coverage``: how many of the real images' neighbourhoods (to the fifth neighbour) a sample lies
        in, over five, so that about 1 is best; and the share of these neighbourhoods that hold a sample, at most 1
        (Naeem et al., ICML 2020, equations 3 and 4).
        ``class_fidelity``: the share of samples that the classifier takes for the normal class.
        ``novelty``: mean distance from a sample to the nearest training image, over that from a test image; 0 is a
        copy, 1 is as new as test images are.
    """
    within = torch.cdist(reference.test, features) <= reference.radii.unsqueeze(1)
    return {
        "frechet": _frechet(features, reference.test),
        "kernel": _kernel(features, reference.test),
        "density": float(within.double().sum(0).mean()) / reference.neighbours,
        "coverage": float(within.any(1).double().mean()),
        "class_fidelity": float((probabilities.argmax(1) == reference.normal_class).double().mean()),
        "novelty": reference.distance_from_training(features) / reference.novelty,
    }


def control_metrics(split: Split, classifier: Classifier, reference: Reference) -> dict[str, dict[str, float]]:
    """Put images through the measures of which one knows what they are.

    Parameters
    ----------
    split : Split
        Where they come from.
    classifier : Classifier
        Gives the features.
    reference : Reference
        Of that split.

    Returns
    -------
    dict of str to dict
        ``real``: one half of the test images against the other (the floor).
        ``replay``: training images, as many as there are test images.
        ``noise``: pixels drawn from a Gaussian each, with the training images' mean and deviation.
        ``mean``: the mean training image, again and again.
    """
    generator = torch.Generator().manual_seed(CONTROL_SEED)
    train, n = as_float(split.train), len(reference.test)
    half, other = torch.randperm(n, generator=generator).tensor_split(2)
    replayed = torch.randint(len(train), (n,), generator=generator)
    noise = train.mean(0) + train.std(0, correction=0) * torch.randn(n, *train.shape[1:], generator=generator)
    mean = classifier.features(train.mean(0, keepdim=True)).expand(n, -1)
    against_half = Reference(reference.test[other], reference.train, reference.normal_class)
    controls = {
        "real": (reference.test[half], against_half),
        "replay": (reference.train[replayed], reference),
        "noise": (classifier.features(noise.clamp(0, 1)), reference),
        "mean": (mean, reference),
    }
    return {
        name: generation_metrics(features, classifier.recognise(features), compared)
        for name, (features, compared) in controls.items()
    }


@dataclass(frozen=True)
class Yardstick:
    """What the samples of one split are measured with.

    Attributes
    ----------
    classifier : Classifier
        Sees them.
    reference : Reference
        The real images.
    controls : dict of str to dict
        See `control_metrics`.
    """

    classifier: Classifier
    reference: Reference
    controls: dict[str, dict[str, float]]

    def save(self, path: Path) -> None:
        """Write what real images gave into a safetensors file; the classifier is not in it."""
        features = {"test": self.reference.test, "train": self.reference.train}
        save_file(features, path, {"controls": json.dumps(self.controls)})

    @classmethod
    def load(cls, path: Path, dataset: str, normal_class: int) -> Yardstick:
        """Read what `save` wrote for a dataset with a classifier and a normal class."""
        classifier = classifier_of(dataset)
        assert classifier is not None
        with safe_open(path, framework="pt") as stored:
            reference = Reference(stored.get_tensor("test"), stored.get_tensor("train"), normal_class)
            return cls(classifier, reference, json.loads(stored.metadata()["controls"]))


def yardstick_of(dataset: str, split: Split, normal_class: int) -> Yardstick | None:
    """Look at the real images of a split once, for all detectors that are trained on it.

    Parameters
    ----------
    dataset : str
        Its registered name.
    split : Split
        The images.
    normal_class : int
        The label of the normal class.

    Returns
    -------
    Yardstick or None
        None where the dataset has no classifier.
    """
    classifier = classifier_of(dataset)
    if classifier is None:
        return None
    reference = Reference.of(split, classifier, normal_class)
    return Yardstick(classifier, reference, control_metrics(split, classifier, reference))


class _AsTheyAre(nn.Module):
    """Stands where torchmetrics has its Inception network: the features are there already."""

    num_features = FEATURES

    def forward(self, features: Tensor) -> Tensor:
        return features


def _frechet(features: Tensor, real: Tensor) -> float:
    from torchmetrics.image.fid import FrechetInceptionDistance  # it imports much

    metric = FrechetInceptionDistance(feature=_AsTheyAre())
    metric.update(real, real=True)
    metric.update(features, real=False)
    return float(metric.compute())


def _kernel(features: Tensor, real: Tensor) -> float:
    from torchmetrics.image.kid import poly_mmd  # it imports much

    n = min(len(features), len(real))  # it takes as many of one as of the other
    return float(poly_mmd(real[:n].double(), features[:n].double()))
