"""What the methods share that train a network: building it for a shape of images, saving it, running it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from oodbench.detectors.base import Shape
from oodbench.detectors.presets import WithPresets
from oodbench.detectors.training import in_batches


class Neural(WithPresets):
    """Base of the detectors with a network; subclasses have ``seed`` and ``device`` among their parameters.

    Attributes
    ----------
    shape_ : tuple of int
        (C, H, W) of the training images.
    settings_ : dict
        The hyperparameters for that shape, defaults filled in.
    network_ : ModuleDict
        The network's parts by name.
    """

    device: str
    shape_: Shape
    settings_: dict[str, Any]
    network_: nn.ModuleDict

    @abstractmethod
    def _modules(self, shape: Shape) -> dict[str, nn.Module]:
        """Give the untrained network's parts by name."""

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

    def _in_batches(self, function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """Apply a function to batches of images; the result is on the CPU."""
        self.network_.eval()
        return in_batches(function, images, torch.device(self.device)).cpu()
