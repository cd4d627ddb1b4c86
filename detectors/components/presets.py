"""Hyperparameters whose default depends on the kind of image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from oodbench.detectors.base import Detector, Shape


def kind_of(shape: Shape) -> str:
    """Say for images (C, H, W) which defaults suit them: "tiny" (of at most 16 × 16 pixels), "grey" or "colour"."""
    channels, height, width = shape
    if height * width <= 16 * 16:
        return "tiny"
    return "grey" if channels == 1 else "colour"


class WithPresets(Detector):
    """A detector with hyperparameters that are None unless given; `DEFAULTS` then has the value.

    Attributes
    ----------
    DEFAULTS : mapping
        For each kind of image (see `kind_of`) the values by name.
    """

    DEFAULTS: ClassVar[Mapping[str, Mapping[str, Any]]]

    def hyperparameters(self, shape: Shape) -> dict[str, Any]:
        """Give every hyperparameter, defaults for images of `shape` (C, H, W) filled in."""
        given = super().hyperparameters(shape)
        defaults = self.DEFAULTS[kind_of(shape)]
        filled = {key: defaults.get(key) if value is None else value for key, value in given.items()}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in filled.items()}
