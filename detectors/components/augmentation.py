"""Random changes of training images that leave what they show as it is."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def shifted(images: Tensor, *, mirror: bool, generator: torch.Generator) -> Tensor:
    """Return images shifted by up to an eighth of their size, reflected at the border, and half of them mirrored.

    Parameters
    ----------
    images : Tensor
        (N, C, S, S).
    mirror : bool
        Whether to mirror.
    generator : torch.Generator
        Source of randomness, on the images' device.

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
