"""Detectors that do what no detector should; given to a run as a local file."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Self

import numpy as np
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


@register("test-exits")
class Exits(MeanImage):
    """Ends its process in one of several ways."""

    def __init__(self, *, how: str = "") -> None:
        self.how = how

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        if self.how == "exit":
            sys.exit("enough")
        elif self.how == "interrupt":
            raise KeyboardInterrupt
        os._exit(0)


@register("test-spoils")
class Spoils(MeanImage):
    """Leaves its process in another state."""

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        super().fit(images, monitor=monitor)
        os.chdir("/")
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.set_num_threads(2)
        for draw in (random.random, np.random.rand, lambda: torch.rand(1)):
            draw()
        return self


@register("test-notes")
class Notes(MeanImage):
    """Writes down the state of its process."""

    def __init__(self, *, path: str = "") -> None:
        self.path = path

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        state = (
            Path.cwd(),
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            torch.get_num_threads(),
            (random.random(), np.random.rand(), torch.rand(1).item()),  # noqa: NPY002
        )
        Path(self.path).write_text(repr(state), encoding="utf-8")
        return super().fit(images, monitor=monitor)


@register("test-forgets")
class Forgets(Detector):
    """Keeps its fit where it is not saved."""

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        self.means = [images.mean(0)]
        return self

    def score(self, images: Tensor) -> Tensor:
        return (images - self.means[0]).square().flatten(1).sum(1)


@register("test-half-forgets")
class HalfForgets(MeanImage):
    """Keeps a part of its fit where it is not saved."""

    scale = 1.0

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        self.scale = 2.0
        return super().fit(images, monitor=monitor)

    def score(self, images: Tensor) -> Tensor:
        return self.scale * super().score(images)
