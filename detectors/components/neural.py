"""Base of the methods that train a network."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from oodbench.detectors.base import Detector, Monitor, Shape
from oodbench.detectors.components.defaults import Defaults, filled_in
from oodbench.detectors.components.training import bfloat16_pays, full_batches, in_batches, train


class Neural(Detector):
    """Builds a network for a shape of images, trains it on the method's objective, and runs it in batches.

    Subclasses have ``epochs, min_steps, batch_size, learning_rate, bfloat16, seed, device`` among their parameters.

    Attributes
    ----------
    DEFAULTS : mapping
        For each kind of image the values of hyperparameters that are None; see `components.defaults`.
    shape_ : tuple of int
        (C, H, W) of the training images.
    settings_ : dict
        The hyperparameters for the training images' shape, defaults filled in.
    network_ : ModuleDict
        The network's parts by name.
    """

    DEFAULTS: ClassVar[Defaults]

    epochs: int | None
    device: str
    shape_: Shape
    settings_: dict[str, Any]
    network_: nn.ModuleDict

    # ------------------------------------------------------------------ what a method defines

    @abstractmethod
    def _modules(self, shape: Shape) -> dict[str, nn.Module]:
        """Return the untrained network's parts by name, for images of shape (C, H, W) and `settings_`."""

    @abstractmethod
    def _objective(self, images: Tensor, noise: torch.Generator | None) -> dict[str, Tensor]:
        """Return ``loss`` and other measures of images, each (N,); see `components.training.Objective`."""

    # ------------------------------------------------------------------ what all have in common

    def build(self, shape: Shape) -> None:
        """Create the untrained network for images of shape (C, H, W); see `Detector.build`."""
        self.shape_ = shape
        self.settings_ = self.hyperparameters(shape)
        self.network_ = nn.ModuleDict(self._modules(shape)).to(memory_format=torch.channels_last).to(self.device)

    def hyperparameters(self, shape: Shape) -> dict[str, Any]:
        """Return every hyperparameter, defaults for images of shape (C, H, W) filled in; see `Detector`."""
        return filled_in(super().hyperparameters(shape), self.DEFAULTS, shape)

    def rescored(self, changes: Mapping[str, Any]) -> Self:
        """Return a copy that scores by other settings; see `Detector.rescored`."""
        changed = super().rescored(changes)
        changed.settings_ = changed.hyperparameters(self.shape_)
        return changed

    def _epochs(self, count: int, parameter: str = "epochs") -> int:
        """Return the number of passes over `count` training images that the hyperparameter `parameter` sets."""
        epochs: int = self.settings_[parameter]
        if getattr(self, parameter) is not None:
            return epochs
        steps = full_batches(count, self.settings_["batch_size"])
        return max(epochs, math.ceil(int(self.settings_["min_steps"]) / steps))

    def _train(self, images: Tensor, generator: torch.Generator, monitor: Monitor | None) -> None:
        """Minimise the objective on training images (N, C, H, W)."""
        settings = self.settings_
        train(
            self.network_,
            self._objective,
            images.to(self.device, memory_format=torch.channels_last),
            epochs=self._epochs(len(images)),
            batch_size=settings["batch_size"],
            learning_rate=settings["learning_rate"],
            bfloat16=settings["bfloat16"] and bfloat16_pays(self.device),
            generator=generator,
            monitor=monitor or Monitor(),
        )

    def _in_batches(self, function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """Apply a function to batches of images; the result is on the CPU."""
        self.network_.eval()
        return in_batches(function, images, torch.device(self.device)).cpu()
