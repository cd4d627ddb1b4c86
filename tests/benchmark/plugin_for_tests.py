"""Detectors that do what a test needs; given to the command as a local file."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from oodbench.detectors import Detector, Monitor, register


class MeanImage(Detector):
    """Distance to the mean training image."""

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        self.mean_ = images.mean(0)
        return self

    def score(self, images: Tensor) -> Tensor:
        return (images - self.mean_).square().flatten(1).sum(1)


@register("test-mean")
class Mean(MeanImage):
    """Distance to the mean training image, and nothing else."""


@register("test-raises")
class Raises(MeanImage):
    """Raises while fitting."""

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        raise RuntimeError("this detector\nalways raises")


@register("test-nan")
class Nan(MeanImage):
    """Gives NaN."""

    def score(self, images: Tensor) -> Tensor:
        return super().score(images) * torch.nan


@register("test-shape")
class Shape(MeanImage):
    """Gives a wrong shape."""

    def score(self, images: Tensor) -> Tensor:
        return super().score(images).unsqueeze(1)


@register("test-samples")
class Samples(MeanImage):
    """Draws NaN."""

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        return self.mean_.expand(n, -1, -1, -1) * torch.nan


@register("test-dies")
class Dies(MeanImage):
    """Kills its process, the way the system does when memory runs out; with a file to remember, only the first time."""

    def __init__(self, *, memory: str = "") -> None:
        self.memory = memory

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        if not self.memory or not Path(self.memory).exists():
            if self.memory:
                Path(self.memory).touch()
            time.sleep(0.5)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(images, monitor=monitor)


@register("test-slow")
class Slow(MeanImage):
    """Takes its time."""

    def __init__(self, *, seconds: float = 60.0) -> None:
        self.seconds = seconds

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        time.sleep(self.seconds)
        return super().fit(images, monitor=monitor)
