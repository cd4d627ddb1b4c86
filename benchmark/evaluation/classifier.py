"""The fixed classifier of each dataset, in whose features generated images are compared with real ones."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

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
        Of the images.
    classes : int
        How many it tells apart.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
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
        """Give what the last layer sees (N, 192) of images (N, C, H, W) in [0, 1]."""
        features: Tensor = self.body(2 * images - 1)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Give the logits (N, classes) of images (N, C, H, W) in [0, 1]."""
        logits: Tensor = self.head(self.features(images))
        return logits


@dataclass(frozen=True)
class Classifier:
    """A trained network, and which one it is.

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
        """Give of images, float32 (N, C, H, W) in [0, 1], what the last layer sees, float32 (N, 192)."""
        return torch.cat([self.network.features(batch) for batch in images.split(BATCH)])

    @torch.inference_mode()
    def recognise(self, features: Tensor) -> Tensor:
        """Give the probabilities of classes, float32 (N, classes), for features (N, 192)."""
        probabilities: Tensor = self.network.head(features).softmax(1)
        return probabilities

    def look(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Give features and probabilities of images."""
        features = self.features(images)
        return features, self.recognise(features)


@lru_cache(maxsize=8)
def digest_of(dataset: str) -> str | None:
    """Give the digest of a dataset's classifier, without loading it; None where there is none."""
    path = path_of(dataset)
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else None


def path_of(dataset: str) -> Path:
    """Where the weights of a dataset's classifier lie."""
    return FOLDER / f"{dataset}.safetensors"


@lru_cache(maxsize=4)
def classifier_of(dataset: str) -> Classifier | None:
    """Load the classifier of a dataset.

    Parameters
    ----------
    dataset : str
        Its registered name.

    Returns
    -------
    Classifier or None
        None where none was trained: images generated for that dataset cannot be measured.
    """
    digest = digest_of(dataset)
    if digest is None:
        return None
    weights = load_file(path_of(dataset))
    network = Network(weights["body.0.0.weight"].shape[1], len(weights["head.weight"]))
    network.load_state_dict(weights)
    network = fused(network.eval())
    return Classifier(network.to(memory_format=torch.channels_last), digest)


def fused(network: Network) -> Network:
    """Fold the normalisations of a network in evaluation mode into its convolutions: it gives the same, faster."""
    for layer in network.modules():
        if isinstance(layer, nn.Sequential) and len(layer) > 1 and isinstance(layer[1], nn.BatchNorm2d):
            convolution = layer[0]
            assert isinstance(convolution, nn.Conv2d)
            layer[0], layer[1] = fuse_conv_bn_eval(convolution, layer[1]), nn.Identity()
    return network
