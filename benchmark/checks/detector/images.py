"""Made-up images: normal ones that every method learns at once, and others that are nothing like them."""

from __future__ import annotations

import torch
from torch import Tensor

from oodbench.detectors.base import Shape

SHAPE: Shape = (1, 12, 12)
SHAPES: tuple[Shape, ...] = ((1, 8, 8), (3, 8, 8), (1, 28, 28), (3, 28, 28), (1, 32, 32), (3, 32, 32))
TRAINING, NEW, FEW = 128, 40, 24
"""How many images: to train on, to score, and to train on where a small model will do."""


def toy_images(n: int, shape: Shape = SHAPE, *, seed: int = 0) -> Tensor:
    """Draw soft discs near the centre, brighter at the top: normal images that every method learns at once.

    Parameters
    ----------
    n : int
        Number of images.
    shape : tuple of int
        (C, H, W).
    seed : int
        Seeds the discs' positions and sizes.

    Returns
    -------
    Tensor
        float32 (n, C, H, W) in [0, 1].
    """
    generator = torch.Generator().manual_seed(seed)
    channels, height, width = shape
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    centre = 0.5 * torch.rand(n, 2, 1, 1, generator=generator) - 0.25
    sharpness = 3 + 2 * torch.rand(n, 1, 1, generator=generator)
    disc = torch.exp(-sharpness * ((x - centre[:, 0]).square() + (y - centre[:, 1]).square()))
    light = 0.6 - 0.4 * y
    tint = torch.linspace(1, 0.6, channels).view(1, -1, 1, 1)
    return (disc * light).unsqueeze(1) * tint


def far_images() -> dict[str, Tensor]:
    """Return images that are nothing like the toy images, by kind, each float32 (NEW, *SHAPE) in [0, 1].

    ``noise`` is uniform noise; ``constant`` holds images of one level of grey each.
    """
    generator = torch.Generator().manual_seed(3)
    channels, height, width = SHAPE
    levels = torch.cat([torch.zeros(NEW // 2), torch.linspace(0.5, 1, NEW // 2)])
    return {
        "noise": torch.rand(NEW, *SHAPE, generator=generator),
        "constant": levels.view(-1, 1, 1, 1).repeat(1, channels, height, width),
    }


def images_with_nan() -> Tensor:
    """Return three toy images, one of them with a pixel that is NaN."""
    images = toy_images(3)
    images[1, 0, 2, 2] = torch.nan
    return images
