"""Samples of a trained detector, and their measures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from oodbench.benchmark.evaluation.generation import generation_metrics
from oodbench.benchmark.evaluation.outputs import samples_of
from oodbench.benchmark.evaluation.reference import ReferenceFeatures
from oodbench.datasets.components.split import Split
from oodbench.detectors.base import Detector

SHOWN = 64
"""Samples in a picture; at least so many are drawn."""


@dataclass(frozen=True)
class Classified:
    """Samples as a classifier sees them.

    Attributes
    ----------
    reference : ReferenceFeatures
        The classifier, and the real images to compare with.
    features, probabilities : Tensor
        float32 (n, F) and (n, classes), of the samples.
    """

    reference: ReferenceFeatures
    features: Tensor
    probabilities: Tensor

    def nearest(self) -> Tensor:
        """Return for each sample the index, int64 (n,), of the training image that is nearest in features."""
        return torch.cdist(self.features, self.reference.real.train).argmin(1)

    def doubtful(self) -> Tensor:
        """Return the indices of the samples, int64 (n,), those first that are nearest to their class's boundary."""
        return margins(self.probabilities, self.reference.real.normal_class).argsort(stable=True)


@dataclass(frozen=True)
class Samples:
    """Samples of a detector.

    Attributes
    ----------
    images : Tensor
        float32 (n, C, H, W) in [0, 1].
    count : int
        The first so many are measured: as many as there are normal test images.
    classified : Classified or None
        None where they cannot be measured.
    """

    images: Tensor
    count: int
    classified: Classified | None

    @classmethod
    def draw(
        cls, detector: Detector, split: Split, seed: int, reference: Callable[[], ReferenceFeatures | None] | None
    ) -> Samples:
        """Draw samples from a trained detector.

        Parameters
        ----------
        detector : Detector
            Trained on the split, and able to sample.
        split : Split
            Its normal test images say how many samples are measured.
        seed : int
            Seeds the generator that is handed to the detector.
        reference : callable, optional
            Returns what the samples are compared with, or None where they cannot be measured.

        Returns
        -------
        Samples

        Raises
        ------
        ValueError
            The detector draws anything but images of that shape.
        """
        count = int((~split.is_ood).sum())
        generator = torch.Generator().manual_seed(seed)
        images = samples_of(detector, max(count, SHOWN), tuple(split.test.shape[1:]), generator)
        compared = None if reference is None else reference()
        if compared is None:
            return cls(images, count, None)
        return cls(images, count, Classified(compared, *compared.classifier.classify(images)))

    def measures(self) -> dict[str, Any]:
        """Return their measures and those of the controls, by the names in `Measures`; empty without a reference."""
        if self.classified is None:
            return {}
        reference = self.classified.reference
        seen = self.classified.features[: self.count], self.classified.probabilities[: self.count]
        return {**generation_metrics(*seen, reference.real), "controls": reference.controls}


def margins(probabilities: Tensor, normal_class: int) -> Tensor:
    """Compute how far samples are from the boundary of their class.

    Parameters
    ----------
    probabilities : Tensor
        float32 (n, classes), the classifier's.
    normal_class : int
        Label of the class that the samples should belong to.

    Returns
    -------
    Tensor
        float32 (n,) in [0, 1]: the absolute difference between the probability of that class and the largest one of
        any other class.
    """
    others = probabilities.clone()
    others[:, normal_class] = 0
    return (probabilities[:, normal_class] - others.amax(1)).abs()
