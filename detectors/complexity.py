"""complexity: the size of an image as a PNG; shows how far one gets without looking at what an image shows."""

from __future__ import annotations

import io
from typing import Self

import torch
from PIL import Image
from torch import Tensor

from oodbench.detectors.base import Detector, Monitor, check_images, register


@register("complexity")
class Complexity(Detector):
    """How unusual the size of an image is as a PNG file: ``|size − mean size|``; a trivial baseline.

    An image's compressed size measures its complexity (Serrà et al., "Input complexity and out-of-distribution
    detection with likelihood-based generative models", ICLR 2020, §3); normal images may be simple or complex ones.
    """

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Average the sizes of images (N, C, H, W); see `Detector.fit`."""
        self.shape_ = check_images(images)
        self.mean_size_ = png_sizes(images).mean()
        return self

    def score(self, images: Tensor) -> Tensor:
        """Return how far the sizes of images (N, C, H, W) are from the mean size, (N,); see `Detector.score`."""
        check_images(images, self.shape_)
        return (png_sizes(images) - self.mean_size_).abs()


def png_sizes(images: Tensor) -> Tensor:
    """Return the sizes of images as PNG files.

    Parameters
    ----------
    images : Tensor
        float32 (N, C, H, W) in [0, 1]; three channels are compressed together, others one by one.

    Returns
    -------
    Tensor
        float32 (N,), sizes in bytes.
    """
    pixels = (images * 255).round().to(torch.uint8)
    parts = [pixels.movedim(1, -1)] if pixels.shape[1] == 3 else list(pixels.unbind(1))
    return torch.tensor([float(sum(_png_size(part[index]) for part in parts)) for index in range(len(images))])


def _png_size(pixels: Tensor) -> int:
    file = io.BytesIO()
    Image.fromarray(pixels.contiguous().numpy()).save(file, "png")
    return file.tell()
