"""Detectors that do what no detector should; given to a run as a local file."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
import warnings
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
        torch.set_anomaly_enabled(True)
        torch.set_float32_matmul_precision("medium")
        torch.set_num_threads(2)
        np.seterr(all="raise")
        warnings.simplefilter("error")
        os.environ["OODBENCH_SPOILT"] = "yes"
        os.environ.pop("PATH")
        sys.path.insert(0, "/")
        sys.setrecursionlimit(5000)
        sys.stdout = None
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
            torch.is_anomaly_enabled(),
            torch.get_float32_matmul_precision(),
            np.geterr(),
            sorted(os.environ.items()),
            [filter_[0] for filter_ in warnings.filters],
            sys.path,
            sys.getrecursionlimit(),
            sys.stdout is None,
            (random.random(), np.random.rand(), torch.rand(1).item()),  # noqa: NPY002
        )
        Path(self.path).write_text(repr(state), encoding="utf-8")
        return super().fit(images, monitor=monitor)


@register("test-leaves")
class Leaves(MeanImage):
    """Leaves something running in its process."""

    def __init__(self, *, what: str = "busy threads", note: str = "") -> None:
        self.what = what
        self.note = note

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        if self.what == "busy threads":
            for _ in range(2):
                threading.Thread(target=_count, daemon=True).start()
        elif self.what == "a waiting thread":
            threading.Thread(target=time.sleep, args=(600,)).start()
        elif self.what == "a process":
            number = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid
            Path(self.note).write_text(str(number), encoding="utf-8")
        return super().fit(images, monitor=monitor)


def _count() -> None:
    number = 0
    while True:
        number += 1


@register("test-where")
class Where(MeanImage):
    """Writes down its process, and how many threads run in it."""

    def __init__(self, *, path: str = "") -> None:
        self.path = path

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        Path(self.path).write_text(f"{os.getpid()} {threading.active_count()}", encoding="utf-8")
        return super().fit(images, monitor=monitor)


@register("test-numbers")
class Numbers(MeanImage):
    """Reports and diagnoses in numbers of NumPy's and torch's."""

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        super().fit(images, monitor=monitor)
        if monitor is not None:
            monitor.report(np.int64(1), torch.tensor(2), {"loss": self.mean_.sum(), "rate": np.float32(0.5)})  # type: ignore[arg-type, dict-item]
            monitor.report(2, 2, {"loss": 0.5, "rate": 0.25})
        return self

    def parameter_count(self) -> int:
        return np.int64(self.mean_.numel())  # type: ignore[return-value]

    def diagnostics(self, images: Tensor) -> dict[str, float]:
        return {"mean": self.mean_.mean(), "one": np.float64(1), "some": np.array([2])[0]}


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
