"""tiny-autoencoder: a detector in torch."""

import math
from typing import Self

import torch
from torch import Tensor, nn

from oodbench.detectors import Detector, Monitor, check_images, register


@register("tiny-autoencoder")
class TinyAutoencoder(Detector):
    """Autoencoder with one hidden layer; scores by its reconstruction error."""

    def __init__(self, *, hidden_size: int = 8, epochs: int = 50, learning_rate: float = 3e-3, seed: int = 0) -> None:
        self.hidden_size = hidden_size
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.seed = seed

    def build(self, shape: tuple[int, int, int]) -> None:
        """Make the network for images of a shape (C, H, W); `load` calls this, too, and reads the weights into it."""
        pixels = math.prod(shape)
        layers = [nn.Linear(pixels, self.hidden_size), nn.ReLU(), nn.Linear(self.hidden_size, pixels), nn.Sigmoid()]
        self.network_ = nn.Sequential(nn.Flatten(), *layers, nn.Unflatten(1, shape))

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Learn from normal images, float32 (N, C, H, W) in [0, 1]."""
        check_images(images)
        channels, height, width = images.shape[1:]
        self.shape_ = (channels, height, width)
        with torch.random.fork_rng():  # leaves everybody else's random numbers alone
            torch.manual_seed(self.seed)
            self.build(self.shape_)
            optimizer = torch.optim.Adam(self.network_.parameters(), self.learning_rate)
            for epoch in range(1, self.epochs + 1):
                for batch in images[torch.randperm(len(images))].split(32):
                    loss = self._errors(batch).mean()
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                (monitor or Monitor()).report(epoch, self.epochs, {"loss": loss.item()})
        return self

    @torch.inference_mode()
    def score(self, images: Tensor) -> Tensor:
        """Return float32 (N,); higher is more out-of-distribution."""
        check_images(images, self.shape_)
        return self._errors(images)

    def _errors(self, images: Tensor) -> Tensor:
        reconstructed: Tensor = self.network_(images)
        return (reconstructed - images).square().flatten(1).sum(1)
