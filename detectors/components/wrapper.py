"""Detectors that are fitted on top of another one."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from torch import Tensor

from oodbench.detectors.base import Detector, Monitor, Shape, check_images, plain_values, take_plain_values

SHARED = ("seed", "device")
"""Parameters that a wrapper and the detector underneath have in common."""
PREFIX = "base."
"""Begins the names of the tensors of the detector underneath."""


class Wrapper(Detector):
    """Base of the detectors that build on another one, which is fitted first.

    A subclass is made for each class that it wraps. It has that class's parameters by their own names besides those in
    its constructor's signature; what stands in both (but for the seed and the device) is the wrapper's alone.

    Parameters
    ----------
    **parameters
        Those of `wrapped`.

    Attributes
    ----------
    wrapped : type
        The class of the detector underneath.
    base_ : Detector
        The detector underneath, fitted.
    base_values_ : str
        Its plain fitted values as JSON, for a saved model.
    shape_ : tuple of int
        (C, H, W) of the training images.
    """

    wrapped: ClassVar[type[Detector]]

    base_: Detector
    base_values_: str
    shape_: Shape

    _taken_over: Detector | None = None
    _in_progress: tuple[Detector, Tensor] | None = None

    def __init__(self, **parameters: Any) -> None:
        defaults, own = self.wrapped().get_params(deep=False), super()._get_param_names()
        known = {name: defaults[name] for name in self.base_parameters() if name not in own}
        unknown = sorted(parameters.keys() - known)
        if unknown:
            raise TypeError(f"{self.name} has no parameter {unknown[0]!r}")
        for name, value in {**known, **parameters}.items():
            setattr(self, name, value)

    # ------------------------------------------------------------------ what a method defines, besides its `score`

    @abstractmethod
    def wrap(self, images: Tensor) -> None:
        """Learn what comes on top of `base_`, which is fitted to normal images (N, C, H, W), from the same images."""

    # ------------------------------------------------------------------ what all have in common

    @classmethod
    def base_parameters(cls) -> list[str]:
        """Return the names of the parameters that are passed on to the detector underneath."""
        own = set(super()._get_param_names()).difference(SHARED)
        return [name for name in cls.wrapped._get_param_names() if name not in own]

    @classmethod
    def _get_param_names(cls) -> list[str]:
        return sorted({*super()._get_param_names(), *cls.base_parameters()})

    def base(self) -> Detector:
        """Return the detector underneath as it is before it is fitted."""
        return self.wrapped(**{name: getattr(self, name) for name in self.base_parameters()})

    def take_over(self, base: Detector) -> None:
        """Make the next `fit` build on a fitted detector instead of fitting one.

        Parameters
        ----------
        base : Detector
            Fitted to the images that the next fit is given; such as `base` returns, but for that.
        """
        self._taken_over = base

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Fit the detector underneath to images (N, C, H, W), then what comes on top; see `Detector.fit`."""
        check_images(images)
        base, self._taken_over = self._taken_over, None
        if base is None:
            base = self.base()
            self._in_progress = base, images
            try:
                base.fit(images, monitor=monitor)
            finally:
                self._in_progress = None
        self._build_on(base, images)
        return self

    def _catch_up(self) -> None:
        """Learn what comes on top of a detector in the midst of its fit; a monitor may ask for scores then."""
        if self._in_progress is not None:
            self._build_on(*self._in_progress)

    def _build_on(self, base: Detector, images: Tensor) -> None:
        self.shape_ = check_images(images)
        self.base_ = base
        self.base_values_ = json.dumps(plain_values(base))
        self.wrap(images)

    def hyperparameters(self, shape: Shape) -> dict[str, Any]:
        """Return those of the detector underneath and its own; see `Detector.hyperparameters`."""
        return {**super().hyperparameters(shape), **self.base().hyperparameters(shape)}

    def diagnostics(self, images: Tensor) -> dict[str, float]:
        """Diagnose the detector underneath with images (N, C, H, W); see `Detector.diagnostics`."""
        return self.base_.diagnostics(images)

    @classmethod
    def unhealthy(cls, diagnostics: Mapping[str, float]) -> list[str]:
        """Judge the detector underneath; see `Detector.unhealthy`."""
        return cls.wrapped.unhealthy(diagnostics)

    def state(self) -> dict[str, Tensor]:
        """Return its own tensors, and with a prefix those of the detector underneath; see `Detector.state`."""
        return super().state() | {f"{PREFIX}{name}": tensor for name, tensor in self.base_.state().items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take over its own tensors, and let the detector underneath restore itself; see `Detector.restore`."""
        of_base = {name.removeprefix(PREFIX): tensor for name, tensor in state.items() if name.startswith(PREFIX)}
        super().restore({name: tensor for name, tensor in state.items() if not name.startswith(PREFIX)})
        base = self.base()
        take_plain_values(base, json.loads(self.base_values_))
        base.restore(of_base)
        self.base_ = base
