"""Where a trial's time goes: timers around the parts that it calls."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
import pytest

from oodbench.benchmark.evaluation import samples, yardsticks
from oodbench.benchmark.evaluation.classifier import Classifier
from oodbench.benchmark.reporting import pictures
from oodbench.benchmark.running import trial
from oodbench.datasets.components import split
from oodbench.detectors.base import Detector
from oodbench.detectors.components import autoencoder, neural

P = ParamSpec("P")
T = TypeVar("T")

TRAINING = "fit: training"
STATISTICS = "fit: errors and densities of the training images, for the score"
MIXTURE = "fit: mixture of the latents"
SCORING = "scoring the test images"
WORK = (TRAINING, STATISTICS, MIXTURE, SCORING)
"""What a trial is for; the rest is to be small."""
REAL = "looking at the real images, once a machine"
REST = "the rest"


class Stopwatch:
    """Sums the seconds of phases; within a phase another one is not told apart, except within `STATISTICS`."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._open: list[str] = []
        self._since = 0.0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the block's time as that of a phase."""
        if self._open and self._open[-1] != STATISTICS:
            yield
            return
        self._book()
        self._open.append(name)
        try:
            yield
        finally:
            self._book()
            self._open.pop()

    def timed(self, name: str, function: Callable[P, T]) -> Callable[P, T]:
        """Make a function one that counts its time as that of a phase."""

        @wraps(function)
        def counted(*args: P.args, **kwargs: P.kwargs) -> T:
            with self.phase(name):
                return function(*args, **kwargs)

        return counted

    def _book(self) -> None:
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now


def places(detector: type[Detector]) -> list[tuple[str, Any, str]]:
    """Name the phases of a detector's trial, and for each the modules or classes and their functions to time."""
    drawn = [name for name in vars(pictures) if name.startswith(("draw_", "save_"))]
    return [
        (TRAINING, neural, "train"),
        (STATISTICS, detector, "_fit_score"),
        (MIXTURE, autoencoder, "fit_mixture"),
        (SCORING, detector, "score"),
        ("threshold from held-out images", trial, "_at_threshold"),
        ("detection metrics", trial, "detection_metrics"),
        ("signs of health", detector, "health"),
        ("sampling", detector, "sample"),
        (REAL, yardsticks, "_made"),
        ("measuring samples", Classifier, "look"),
        ("measuring samples", samples, "generation_metrics"),
        *(("pictures", pictures, name) for name in drawn),
        ("saving", detector, "save"),
        ("saving", np, "savez_compressed"),
        ("saving", trial, "_write_csv"),
        ("saving", trial, "finish"),
        ("splitting the images", split, "one_vs_rest"),
        ("images to float", trial, "as_float"),
        ("describing the trial", trial, "describe"),
        ("describing the trial", trial, "identity"),
    ]


def watch(detector: type[Detector], patch: pytest.MonkeyPatch) -> Stopwatch:
    """Put timers into a detector's trial."""
    stopwatch = Stopwatch()
    for name, owner, function in places(detector):
        patch.setattr(owner, function, stopwatch.timed(name, getattr(owner, function)))
    return stopwatch
