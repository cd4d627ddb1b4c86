"""The images that a run folder's pictures show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodbench.benchmark.evaluation.outputs import reconstructions_of
from oodbench.benchmark.evaluation.samples import SHOWN, Samples
from oodbench.benchmark.evaluation.trace import Trace
from oodbench.datasets.components.split import Split, as_float
from oodbench.detectors.base import Detector, can_reconstruct

TEST_IMAGES = 32
"""Test images a picture."""

Pixels = NDArray[np.uint8]
"""Images (N, C, H, W)."""


@dataclass(frozen=True)
class Gallery:
    """Images to be shown, as NumPy arrays, uint8 (N, C, H, W).

    Attributes
    ----------
    most_normal, most_ood : tuple of array
        The test images with the lowest scores, lowest first, and those with the highest, highest first; and bool (N,),
        True for those that are out of distribution.
    normal, ood : tuple of array or None
        Test images of either kind, and their reconstructions; None for a detector that does not reconstruct.
    samples : array or None
        None for a detector that does not sample.
    nearest, doubtful : array or None
        The nearest training image of each of `samples`; and the samples nearest to the boundary of their class. None
        where samples cannot be measured.
    trace : list of array
        Images and reconstructions after each epoch; see `Trace.reconstructions`.
    """

    most_normal: tuple[Pixels, NDArray[np.bool_]]
    most_ood: tuple[Pixels, NDArray[np.bool_]]
    normal: tuple[Pixels, Pixels] | None
    ood: tuple[Pixels, Pixels] | None
    samples: Pixels | None
    nearest: Pixels | None
    doubtful: Pixels | None
    trace: list[Pixels]

    @classmethod
    def collect(
        cls, detector: Detector, split: Split, scores: Tensor, samples: Samples | None, trace: Trace | None
    ) -> Gallery:
        """Choose the images, and let the detector reconstruct some.

        Parameters
        ----------
        detector : Detector
            Trained on the split.
        split : Split
            Holds the test images.
        scores : Tensor
            float32 (T,), those of the test images.
        samples : Samples, optional
            Samples of the detector.
        trace : Trace, optional
            Watched the detector.

        Returns
        -------
        Gallery
        """
        order = scores.argsort(stable=True)
        classified = None if samples is None else samples.classified
        return cls(
            most_normal=_test_images(split, order[:TEST_IMAGES]),
            most_ood=_test_images(split, order.flip(0)[:TEST_IMAGES]),
            normal=_reconstructed(detector, split.test[~split.is_ood]),
            ood=_reconstructed(detector, split.test[split.is_ood]),
            samples=None if samples is None else _pixels(samples.images[:SHOWN]),
            nearest=None if classified is None else split.train[classified.nearest()[:SHOWN]].numpy(),
            doubtful=None
            if samples is None or classified is None
            else _pixels(samples.images[classified.doubtful()[:SHOWN]]),
            trace=[] if trace is None else [_pixels(images) for images in trace.reconstructions],
        )


def _test_images(split: Split, chosen: Tensor) -> tuple[Pixels, NDArray[np.bool_]]:
    return split.test[chosen].numpy(), split.is_ood[chosen].numpy()


def _reconstructed(detector: Detector, images: Tensor) -> tuple[Pixels, Pixels] | None:
    if not can_reconstruct(type(detector)):
        return None
    shown = images[:TEST_IMAGES]
    return shown.numpy(), _pixels(reconstructions_of(detector, as_float(shown)))


def _pixels(images: Tensor) -> Pixels:
    return (images * 255).round().to(torch.uint8).numpy()
