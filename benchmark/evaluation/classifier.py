"""The fixed classifier of a dataset, in whose features generated images are compared with real ones.

Datasets that come with oodbench have theirs in ``classifiers/``; any other may name a file of weights as its
`oodbench.datasets.Dataset.feature_classifier`, made by `oodbench.benchmark.evaluation.train_classifier`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from oodbench.benchmark.files import digest
from oodbench.datasets.base import Dataset, DatasetError

FOLDER = Path(__file__).with_name("classifiers")
WIDTHS = (24, 48, 96, 192)
FEATURES = WIDTHS[-1]
BATCH = 100
"""Images at a time; 500 are slower, and take 200 MB more."""


def _convolution(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = nn.Sequential(_convolution(width, width), _convolution(width, width))

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = images + self.block(images)
        return features


class Network(nn.Module):
    """A narrow nine-layer residual network (after Page, "How to train your ResNet", 2018) for images of 8×8 and more.

    Parameters
    ----------
    channels : int
        Channels of the images.
    classes : int
        Number of classes.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.channels = channels
        first, second, third, last = WIDTHS
        self.body = nn.Sequential(
            _convolution(channels, first),
            *(_convolution(first, second), nn.MaxPool2d(2), _Residual(second)),
            *(_convolution(second, third), nn.MaxPool2d(2), _Residual(third)),
            *(_convolution(third, last), nn.MaxPool2d(2)),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        )
        self.head = nn.Linear(last, classes)

    def features(self, images: Tensor) -> Tensor:
        """Compute the features (N, 192), the inputs of the last layer, of images (N, C, H, W) in [0, 1]."""
        features: Tensor = self.body(2 * images - 1)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits (N, classes) of images (N, C, H, W) in [0, 1]."""
        logits: Tensor = self.head(self.features(images))
        return logits


@dataclass(frozen=True)
class Classifier:
    """A trained network with the digest of its weights.

    Attributes
    ----------
    network : Network
        In evaluation mode.
    digest : str
        12 hexadecimal digits that tell its weights from others.
    """

    network: Network
    digest: str

    @torch.inference_mode()
    def features(self, images: Tensor) -> Tensor:
        """Compute the features, float32 (N, 192), of images, float32 (N, C, H, W) in [0, 1]."""
        return torch.cat([self.network.features(batch) for batch in images.split(BATCH)])

    @torch.inference_mode()
    def probabilities(self, features: Tensor) -> Tensor:
        """Compute the probabilities of classes, float32 (N, classes), from features (N, 192)."""
        probabilities: Tensor = self.network.head(features).softmax(1)
        return probabilities

    def classify(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Compute features and probabilities of images."""
        features = self.features(images)
        return features, self.probabilities(features)


def shipped(dataset: str) -> Path:
    """Return where the weights for a dataset that comes with oodbench lie, given its registered name."""
    return FOLDER / f"{dataset}.safetensors"


def path_of(dataset: type[Dataset]) -> Path | None:
    """Return the file of weights of a dataset's classifier.

    Parameters
    ----------
    dataset : type of Dataset
        A dataset class.

    Returns
    -------
    Path or None
        None where the dataset has no classifier.

    Raises
    ------
    DatasetError
        The dataset names a file that is not there.
    """
    if dataset.feature_classifier is None:
        path = shipped(dataset.name)
        return path if path.is_file() else None
    if not dataset.feature_classifier.is_file():
        raise DatasetError(
            f"{dataset.feature_classifier}, the feature_classifier of dataset {dataset.name!r}, is no file: train one "
            "with `python -m oodbench.benchmark.evaluation.train_classifier`, or leave feature_classifier out."
        )
    return dataset.feature_classifier


def digest_of(dataset: type[Dataset]) -> str | None:
    """Return the digest of a dataset's classifier, without loading it; None where the dataset has no classifier.

    Parameters
    ----------
    dataset : type of Dataset
        A dataset class.

    Returns
    -------
    str or None
        12 hexadecimal digits.

    Raises
    ------
    DatasetError
        The dataset names a file that is not there.
    """
    path = path_of(dataset)
    return None if path is None else _digest(path)


def classifier_of(dataset: type[Dataset]) -> Classifier | None:
    """Load the classifier of a dataset.

    Parameters
    ----------
    dataset : type of Dataset
        A dataset class.

    Returns
    -------
    Classifier or None
        None where the dataset has no classifier: images generated for it cannot be measured.

    Raises
    ------
    DatasetError
        The dataset names a file that is not there, or whose weights do not fit its images and classes.
    """
    path = path_of(dataset)
    if path is None:
        return None
    classifier = _load(path)
    channels, classes = classifier.network.channels, classifier.network.head.out_features
    if (channels, classes) != (dataset.shape[0], len(dataset.class_names)):
        raise DatasetError(
            f"{path} holds a classifier of {channels} channels and {classes} classes, but dataset {dataset.name!r} has "
            f"{dataset.shape[0]} and {len(dataset.class_names)}: train one for this dataset."
        )
    return classifier


@lru_cache(maxsize=8)
def _digest(path: Path) -> str:
    return digest(path.read_bytes())


@lru_cache(maxsize=4)
def _load(path: Path) -> Classifier:
    try:
        weights = load_file(path)
        network = Network(weights["body.0.0.weight"].shape[1], len(weights["head.weight"]))
        network.load_state_dict(weights)
    except (SafetensorError, KeyError, RuntimeError) as error:
        raise DatasetError(
            f"{path} holds no weights of a feature classifier: make it with "
            "`python -m oodbench.benchmark.evaluation.train_classifier`."
        ) from error
    network = fused(network.eval())
    return Classifier(network.to(memory_format=torch.channels_last), _digest(path))


def fused(network: Network) -> Network:
    """Fold the batch normalisations of a network in evaluation mode into its convolutions: the same output, faster."""
    for layer in network.modules():
        if isinstance(layer, nn.Sequential) and len(layer) > 1 and isinstance(layer[1], nn.BatchNorm2d):
            convolution = layer[0]
            assert isinstance(convolution, nn.Conv2d)
            layer[0], layer[1] = fuse_conv_bn_eval(convolution, layer[1]), nn.Identity()
    return network
