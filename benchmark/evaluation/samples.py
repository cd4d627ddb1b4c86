"""What a trained detector draws: measured, and shown in the run folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from oodbench.benchmark.evaluation.generation import Yardstick, generation_metrics
from oodbench.benchmark.reporting import pictures
from oodbench.benchmark.results.store import Result
from oodbench.datasets.components.split import Split, as_float
from oodbench.detectors.base import Detector

SHOWN = 64


@dataclass(frozen=True)
class Looked:
    """What a classifier sees in samples.

    Attributes
    ----------
    yardstick : Yardstick
        Has the classifier, and the real images to compare with.
    features, probabilities : Tensor
        float32 (n, F) and (n, classes).
    """

    yardstick: Yardstick
    features: Tensor
    probabilities: Tensor


@dataclass(frozen=True)
class Samples:
    """Samples of one split's detector.

    Attributes
    ----------
    images : Tensor
        float32 (n, C, H, W) in [0, 1].
    count : int
        How many of them are measured: as many as there are normal test images.
    looked : Looked or None
        None where they cannot be measured.
    """

    images: Tensor
    count: int
    looked: Looked | None

    @classmethod
    def draw(cls, detector: Detector, split: Split, seed: int, yardstick: Callable[[], Yardstick | None]) -> Samples:
        """Let a trained detector draw.

        Parameters
        ----------
        detector : Detector
            Draws.
        split : Split
            Whose normal class it was trained on.
        seed : int
            Of the draw.
        yardstick : callable
            Gives what samples are measured with.

        Returns
        -------
        Samples

        Raises
        ------
        ValueError
            What it draws are not images of that shape.
        """
        count = int((~split.is_ood).sum())
        n = max(count, SHOWN)
        expected = (n, *split.test.shape[1:])
        images = detector.sample(n, generator=torch.Generator().manual_seed(seed))
        if images.shape != expected:
            raise ValueError(f"sample gave shape {tuple(images.shape)} where {expected} was asked for.")
        if not (images.isfinite() & (images >= 0) & (images <= 1)).all():
            raise ValueError("sample gave values that are NaN or outside [0, 1].")
        measure = yardstick()
        return cls(images, count, None if measure is None else Looked(measure, *measure.classifier.look(images)))

    def measures(self) -> Result:
        """Measure them, beside the controls; empty if they cannot be measured."""
        if self.looked is None:
            return {}
        seen = self.looked.features[: self.count], self.looked.probabilities[: self.count]
        yardstick = self.looked.yardstick
        return {**generation_metrics(*seen, yardstick.reference), "controls": yardstick.controls}

    def show(self, folder: Path, split: Split) -> None:
        """Show some in a run folder; also over the nearest training images, and those at their class's boundary."""
        shown = self.images[:SHOWN]
        np.save(folder / "samples.npy", (shown * 255).round().to(torch.uint8).numpy())
        pictures.save_grid(folder / "samples.png", shown)
        if self.looked is None:
            return
        reference = self.looked.yardstick.reference
        nearest = torch.cdist(self.looked.features[:SHOWN], reference.train).argmin(1)
        pictures.draw_pairs(folder / "nearest.png", shown, as_float(split.train[nearest]))
        doubtful = margins(self.looked.probabilities, reference.normal_class).argsort(stable=True)[:SHOWN]
        pictures.save_grid(folder / "doubtful.png", self.images[doubtful])


def margins(probabilities: Tensor, normal_class: int) -> Tensor:
    """Say how far samples are from the boundary of their class.

    Parameters
    ----------
    probabilities : Tensor
        float32 (n, classes), what the classifier takes them for.
    normal_class : int
        The label that they should be given.

    Returns
    -------
    Tensor
        float32 (n,) in [0, 1]: between the probability of that class and the largest of another one, on either side.
    """
    others = probabilities.clone()
    others[:, normal_class] = 0
    return (probabilities[:, normal_class] - others.amax(1)).abs()
