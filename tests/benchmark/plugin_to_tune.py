"""A detector with something to choose, and a dataset whose test part must not be read."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from torch import Tensor

from oodbench.datasets.base import Part
from oodbench.datasets.base import register as register_dataset
from oodbench.datasets.digits import Digits
from oodbench.detectors.base import Detector, FitDivergedError, Monitor, register


@register("test-choice")
class Choice(Detector):
    """Distance from the mean image, or its opposite, or nothing."""

    SEARCH: ClassVar[Mapping[str, Sequence[Any]]] = {"sign": (-1, 1), "fails": (False, True)}
    ABLATIONS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"its sign": {"sign": 1}}

    def __init__(self, *, sign: int = -1, fails: bool = False) -> None:
        self.sign = sign
        self.fails = fails

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        if self.fails:
            raise FitDivergedError("The loss was nan.")
        self.mean_ = images.mean(0)
        return self

    def score(self, images: Tensor) -> Tensor:
        return self.sign * (images - self.mean_).square().flatten(1).sum(1)


@register("test-misbehaves")
class Misbehaves(Choice):
    """Misbehaves in one of several ways."""

    SEARCH: ClassVar[Mapping[str, Sequence[Any]]] = {"how": ("", "exit", "interrupt", "error", "text", "die")}
    ABLATIONS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"its manners": {"how": ""}}

    def __init__(self, *, how: str = "") -> None:
        super().__init__()
        self.how = how

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        if self.how == "exit":
            sys.exit("enough")
        elif self.how == "interrupt":
            raise KeyboardInterrupt
        elif self.how == "error":
            raise RuntimeError("no luck")
        elif self.how == "die":
            os._exit(0)
        os.chdir("/")
        return super().fit(images, monitor=monitor)

    def diagnostics(self, images: Tensor) -> dict[str, Any]:
        return {"text": "one"} if self.how == "text" else {"mean": self.mean_.mean(), "one": np.float32(1)}


@register("test-misbehaves-by-default")
class MisbehavesByDefault(Misbehaves):
    """Leaves, unless its manners are taken away."""

    def __init__(self, *, how: str = "exit") -> None:
        super().__init__(how=how)


@register_dataset("test-no-test-part")
class NoTestPart(Digits):
    """Digits without their test part."""

    def load(self, part: Literal["train", "test"]) -> Part:
        assert part == "train", "the test part was read"
        return super().load(part)
