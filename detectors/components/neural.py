"""What the methods share that train a network: building it for a shape of images, saving it, running it."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from oodbench.detectors.base import Monitor, Shape
from oodbench.detectors.components.presets import WithPresets
from oodbench.detectors.components.training import bfloat16_pays, in_batches, train


class Neural(WithPresets):
    """Base of the detectors with a network.

    Subclasses have ``epochs, least_steps, batch_size, learning_rate, bfloat16, seed, device`` among their parameters.

    Attributes
    ----------
    shape_ : tuple of int
        (C, H, W) of the training images.
    settings_ : dict
        The hyperparameters for that shape, defaults filled in.
    network_ : ModuleDict
        The network's parts by name.
    """

    epochs: int | None
    device: str
    shape_: Shape
    settings_: dict[str, Any]
    network_: nn.ModuleDict

    @abstractmethod
    def _modules(self, shape: Shape) -> dict[str, nn.Module]:
        """Give the untrained network's parts by name."""

    @abstractmethod
    def _objective(self, images: Tensor, noise: torch.Generator | None) -> dict[str, Tensor]:
        """Give ``loss`` and other measures of images, each (N,); see `components.training.Objective`."""

    def state(self) -> dict[str, Tensor]:
        """Give weights, image shape and what else was fitted."""
        weights = {f"network.{key}": value for key, value in self.network_.state_dict().items()}
        return {**super().state(), **weights, "shape": torch.tensor(self.shape_)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Rebuild the network for the stored image shape, and take over its weights."""
        channels, height, width = state["shape"].tolist()
        self._build((channels, height, width))
        prefix = "network."
        weights = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        self.network_.load_state_dict(weights)
        super().restore({k: v for k, v in state.items() if not k.startswith(prefix) and k != "shape"})

    def _build(self, shape: Shape) -> None:
        """Make the untrained network for images of a shape."""
        self.shape_ = shape
        self.settings_ = self.hyperparameters(shape)
        self.network_ = nn.ModuleDict(self._modules(shape)).to(memory_format=torch.channels_last).to(self.device)

    def _train(self, images: Tensor, generator: torch.Generator, monitor: Monitor | None) -> None:
        """Minimise the objective on training images (N, C, H, W)."""
        settings = self.settings_
        epochs = settings["epochs"]
        if self.epochs is None:
            epochs = max(epochs, math.ceil(settings["least_steps"] / math.ceil(len(images) / settings["batch_size"])))
        train(
            self.network_,
            self._objective,
            images.to(self.device, memory_format=torch.channels_last),
            epochs=epochs,
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
