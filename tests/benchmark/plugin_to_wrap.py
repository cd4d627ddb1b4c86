"""Detectors to build others on; given to the command as a local file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from annotated_types import Ge
from torch import Tensor

from oodbench.detectors import Detector, Monitor, check_images, register


class MeanImage(Detector):
    """Distance to the mean training image."""

    def __init__(self, *, steps: Annotated[int, Ge(1)] = 1, note: str = "", seed: int = 0) -> None:
        self.steps = steps
        self.note = note
        self.seed = seed

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        self.shape_ = check_images(images)
        if self.note:
            with Path(self.note).open("a", encoding="utf-8") as file:
                file.write(f"{self.name}\n")
        for step in range(1, self.steps + 1):
            self.mean_ = images.mean(0) * step / self.steps
            if monitor is not None:
                monitor.report(step, self.steps, {"loss": 1.0 / step})
        return self

    def score(self, images: Tensor) -> Tensor:
        check_images(images, self.shape_)
        return (images - self.mean_).square().flatten(1).sum(1)

    def diagnostics(self, images: Tensor) -> dict[str, float]:
        return {"images": float(len(images))}

    @classmethod
    def unhealthy(cls, diagnostics: dict[str, float]) -> list[str]:  # type: ignore[override]
        return ["few images"] if diagnostics.get("images", 9) < 3 else []


@register("test-neither")
class Neither(MeanImage):
    """Offers a score alone."""


@register("test-error")
class ErrorOnly(MeanImage):
    """Offers an error."""

    def error(self, images: Tensor) -> Tensor:
        return self.score(images)


@register("test-both")
class Both(ErrorOnly):
    """Offers an error and two pixels as a representation."""

    def represent(self, images: Tensor) -> Tensor:
        return images[:, 0, 2:4, 3] - self.mean_[0, 2:4, 3]
