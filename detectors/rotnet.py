"""rotnet: predicting rotations (Gidaris et al., ICLR 2018; Hendrycks et al., NeurIPS 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal, Self, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from oodbench.detectors.base import DetectorError, Monitor, Shape, check_images, register
from oodbench.detectors.components.augmentation import shifted
from oodbench.detectors.components.defaults import Defaults, check_choice, read_defaults
from oodbench.detectors.components.neural import Neural
from oodbench.detectors.components.seeding import seeded
from oodbench.detectors.components.types import NonNegativeInt, PositiveFloat, PositiveInt

Network = Literal["small", "resnet18"]

TURNS = 4
"""Rotations by 0, 90, 180 and 270 degrees."""


@register("rotnet")
@dataclass(kw_only=True, eq=False, repr=False)
class RotNet(Neural):
    """Classifier of rotations of normal images; scores by how badly it recognises them. It cannot sample.

    Trained to tell by which of four rotations an image was turned (RotNet: Gidaris et al., "Unsupervised representation
    learning by predicting image rotations", ICLR 2018), and scored by the mean of ``−log p(k | Tₖ(x))`` over the
    rotations Tₖ, as in §4 of Hendrycks et al., "Using self-supervised learning can improve model robustness and
    uncertainty", NeurIPS 2019. Of what the classifier has never seen, it cannot tell which way is up. The 72
    transformations of Golan & El-Yaniv (NeurIPS 2018) and the translations of Hendrycks et al. are left out. Training
    images are shifted at random, and mirrored where they are in colour (writing must not be).

    Parameters
    ----------
    network : {"small", "resnet18"}
        Five convolutions, which a CPU trains in minutes, or a ResNet-18 (He et al. 2016) without its first pooling,
        which wants a GPU.
    width : int
        Channels of the small network's first convolution; its last has four times as many.
    epochs : int, optional
        Passes over the training images, each in all rotations.
    min_steps : int
        Fewest optimiser steps: where `epochs` is not given, a small training set is passed over more often until they
        are reached.
    batch_size : int, optional
        Images in each optimiser step, before they are rotated.
    learning_rate : float
        Peak of the one-cycle schedule.
    mirror : bool, optional
        Whether training images are mirrored at random.
    bfloat16 : bool, optional
        Whether to train under bfloat16 autocast where the hardware supports it.
    seed : int
        Seeds initial weights, shuffling and shifts.
    device : str
        ``cpu`` or ``cuda``.
    """

    network: Network = "small"
    width: PositiveInt = 24
    epochs: PositiveInt | None = None
    min_steps: PositiveInt = 240
    batch_size: PositiveInt | None = None
    learning_rate: PositiveFloat = 3e-3
    mirror: bool | None = None
    bfloat16: bool | None = None
    seed: NonNegativeInt = 0
    device: str = "cpu"

    DEFAULTS: ClassVar[Defaults] = read_defaults(__file__)

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Train on rotated normal images (N, C, H, W); see `Detector.fit`."""
        shape = check_images(images)
        _, height, width = shape
        if height != width:
            raise DetectorError(f"rotnet rotates images, which must be square; these are {height}×{width}.")
        with seeded(self.seed, self.device) as generator:
            self.build(shape)
            self.channel_means_ = images.mean((0, 2, 3)).view(-1, 1, 1)
            self.channel_deviations_ = images.std((0, 2, 3), correction=0).clamp_min(1e-3).view(-1, 1, 1)
            self._train(images, generator, monitor)
        return self

    def score(self, images: Tensor) -> Tensor:
        """Return how badly the rotations of images (N, C, H, W) are recognised, (N,); see `Detector.score`."""
        check_images(images, self.shape_)
        return self._in_batches(lambda batch: self._objective(batch, None)["loss"], images)

    def _modules(self, shape: Shape) -> dict[str, nn.Module]:
        check_choice("network", self.network, get_args(Network))
        small = self.network == "small"
        return {"classifier": small_network(shape[0], self.width) if small else resnet(shape[0])}

    def _objective(self, images: Tensor, noise: torch.Generator | None) -> dict[str, Tensor]:
        means, deviations = self.channel_means_.to(images.device), self.channel_deviations_.to(images.device)
        images = (images - means) / deviations
        if noise is not None:
            images = shifted(images, mirror=self.settings_["mirror"], generator=noise)
        turned = torch.cat([torch.rot90(images, turns, (2, 3)) for turns in range(TURNS)])
        truth = torch.arange(TURNS, device=images.device).repeat_interleave(len(images))
        logits = self.network_["classifier"](turned.contiguous(memory_format=torch.channels_last)).float()
        loss = functional.cross_entropy(logits, truth, reduction="none").view(TURNS, -1).mean(0)
        recognised = (logits.argmax(1) == truth).float().view(TURNS, -1).mean(0)
        return {"loss": loss, "accuracy": recognised}


def small_network(channels: int, width: int) -> nn.Sequential:
    """Return a classifier of images (N, channels, H, W) with five convolutions, three of which halve the image."""
    widths, strides = (channels, width, 2 * width, 2 * width, 4 * width, 4 * width), (2, 1, 2, 1, 2)
    layers: list[nn.Module] = []
    for (inputs, outputs), stride in zip(pairwise(widths), strides, strict=True):
        convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, TURNS))


def resnet(channels: int) -> nn.Module:
    """Return torchvision's ResNet-18 for small images: a first convolution of stride 1, and no pooling after it."""
    from torchvision.models import resnet18  # the small network does without torchvision

    network: nn.Module = resnet18(num_classes=TURNS)
    network.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
    network.maxpool = nn.Identity()
    return network
