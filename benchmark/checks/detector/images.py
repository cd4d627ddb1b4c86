"""Made-up images: normal ones that every method learns at once, and others that are nothing like them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from oodbench.detectors.base import Shape

SHAPE: Shape = (1, 12, 12)
SHAPES: tuple[Shape, ...] = ((1, 8, 8), (3, 8, 8), (1, 28, 28), (3, 28, 28), (1, 32, 32), (3, 32, 32))
REAL_SHAPES: tuple[Shape, ...] = ((1, 28, 28), (3, 32, 32))
"""Those of MNIST and CIFAR-10, at which a method may forget what it sees at `SHAPE`."""
TRAINING, SCENES, NEW, FEW = 128, 64, 40, 24
"""How many images: to train on, scenes to train on, to score, and to train on where a small model will do."""


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


def scenes(n: int, shape: Shape, *, seed: int = 0) -> Tensor:
    """Draw scenes: as in photographs, contrast is strong over large areas and weak in detail.

    They vary in few directions, and in these more than uniform noise does: who looks at these alone finds noise in the
    midst of the scenes.

    Parameters
    ----------
    n : int
        Number of images.
    shape : tuple of int
        (C, H, W).
    seed : int
        Seeds the scenes.

    Returns
    -------
    Tensor
        float32 (n, C, H, W) in [0, 1].
    """
    generator = torch.Generator().manual_seed(seed)
    channels, height, width = shape
    light = torch.full((n, *shape), 0.5)
    for cells, contrast in ((4, 0.22), (8, 0.06), (height, 0.02)):
        grey = torch.randn(n, 1, cells, cells, generator=generator)
        tint = 0.3 * torch.randn(n, channels, cells, cells, generator=generator)
        light += contrast * interpolate(grey + tint, (height, width), mode="bicubic")
    return light.clamp(0, 1)


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
