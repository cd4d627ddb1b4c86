"""geotrans: predicting geometric transformations (Golan & El-Yaniv, NeurIPS 2018; Hendrycks et al., NeurIPS 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet18

from oodbench.detectors.base import DetectorError, Monitor, Shape, check_images, register
from oodbench.detectors.components.neural import Neural
from oodbench.detectors.components.randomness import seeded

TURNS = 4
"""Rotations by 0, 90, 180 and 270 degrees."""


@register("geotrans")
@dataclass(kw_only=True, eq=False, repr=False)
class GeoTrans(Neural):
    """Classifier of rotations of normal images; scores by how badly it recognises them. It cannot sample.

    Trained to tell by which of K = 4 rotations an image was turned; scored by the mean of ``−log p(k | Tₖ(x))``: §4.2
    of Golan & El-Yaniv 2018 with the softmax itself in place of their Dirichlet fit, as in §4 of Hendrycks et al. 2019
    ("Using self-supervised learning can improve model robustness and uncertainty"). Of what the classifier has never
    seen, it cannot tell which way is up. Training images are shifted at random, and mirrored
    where they are in colour (writing must not be).

    Parameters
    ----------
    network : {"small", "resnet18"}, optional
        Five convolutions, which a CPU trains in minutes, or a ResNet-18 (He et al. 2016) without its first pooling,
        which wants a GPU.
    width : int
        Channels of the small network's first convolution; its last has four times as many.
    epochs : int, optional
        Passes over the training images, each in all rotations.
    least_steps : int
        Where `epochs` is None, a small training set is passed over more often, until this many steps are made.
    batch_size : int, optional
        Images a step, before they are rotated.
    learning_rate : float
        Peak of the one-cycle schedule.
    mirror : bool, optional
        Whether training images are mirrored at random.
    bfloat16 : bool, optional
        Train under bfloat16 autocast, if the hardware has it.
    seed : int
        Of the initial weights, the shuffling and the shifts.
    device : str
        ``cpu`` or ``cuda``.
    """

    network: str = "small"
    width: int = 24
    epochs: int | None = None
    least_steps: int = 240
    batch_size: int | None = None
    learning_rate: float = 3e-3
    mirror: bool | None = None
    bfloat16: bool | None = None
    seed: int = 0
    device: str = "cpu"

    DEFAULTS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "tiny": {"epochs": 20, "batch_size": 32, "mirror": False, "bfloat16": False},
        "grey": {"epochs": 6, "batch_size": 64, "mirror": False, "bfloat16": False},
        "colour": {"epochs": 30, "batch_size": 64, "mirror": True, "bfloat16": True},
    }

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Train on rotated normal images (N, C, H, W); see `Detector.fit`."""
        check_images(images)
        channels, height, width = images.shape[1:]
        if height != width:
            raise DetectorError(f"geotrans rotates images, which must be square; these are {height}×{width}.")
        with seeded(self.seed, self.device) as generator:
            self._build((channels, height, width))
            self.channel_means_ = images.mean((0, 2, 3)).view(-1, 1, 1)
            self.channel_deviations_ = images.std((0, 2, 3), correction=0).clamp_min(1e-3).view(-1, 1, 1)
            self._train(images, generator, monitor)
        return self

    def score(self, images: Tensor) -> Tensor:
        """Score images (N, C, H, W) by how badly their rotations are recognised, (N,); see `Detector.score`."""
        check_images(images, self.shape_)
        return self._in_batches(lambda batch: self._objective(batch, None)["loss"], images)

    def _modules(self, shape: Shape) -> dict[str, nn.Module]:
        if self.network == "small":
            return {"classifier": small_network(shape[0], self.width)}
        if self.network == "resnet18":
            return {"classifier": resnet(shape[0])}
        raise DetectorError(f"network is 'small' or 'resnet18', not {self.network!r}.")

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


def shifted(images: Tensor, *, mirror: bool, generator: torch.Generator) -> Tensor:
    """Shift images by up to an eighth of their size, reflecting at the border, and mirror half of them.

    Parameters
    ----------
    images : Tensor
        (N, C, S, S).
    mirror : bool
        Whether to mirror.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    Tensor
        (N, C, S, S).
    """
    n, size, most = len(images), images.shape[-1], images.shape[-1] // 8
    if mirror:
        flip = torch.rand(n, 1, 1, 1, generator=generator, device=images.device) < 0.5
        images = torch.where(flip, images.flip(-1), images)
    padded = functional.pad(images, (most,) * 4, mode="reflect")
    start = torch.randint(0, 2 * most + 1, (2, n, 1), generator=generator, device=images.device)
    down, across = start + torch.arange(size, device=images.device)
    every = torch.arange(n, device=images.device).view(-1, 1, 1)
    return padded[every, :, down.unsqueeze(2), across.unsqueeze(1)].permute(0, 3, 1, 2)


def small_network(channels: int, width: int) -> nn.Sequential:
    """Make a classifier of images (N, channels, H, W) with five convolutions, three of which halve the image."""
    widths, strides = (channels, width, 2 * width, 2 * width, 4 * width, 4 * width), (2, 1, 2, 1, 2)
    layers: list[nn.Module] = []
    for (inputs, outputs), stride in zip(pairwise(widths), strides, strict=True):
        convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, TURNS))


def resnet(channels: int) -> nn.Module:
    """Make torchvision's ResNet-18 fit for small images: a first convolution of stride 1, and no pooling after it."""
    network: nn.Module = resnet18(num_classes=TURNS)
    network.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
    network.maxpool = nn.Identity()
    return network
