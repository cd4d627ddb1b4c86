"""my-detector: describe here in one line what it does.

A small autoencoder, as a working start: change the network, the loss and the score to what you want to try.

    bench check my_detector.py
    bench run --detector my_detector.py --dataset digits --out my-results
"""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor, nn

from oodbench.detectors import Detector, Monitor, check_images, register
from oodbench.detectors.base import Shape


@register("my-detector")  # the name for --detector and in the leaderboard
class MyDetector(Detector):
    """Small autoencoder; scores by its reconstruction error."""  # this line is shown by `bench list`

    # Hyperparameters are keyword-only, have defaults, and are only stored here: all work is done in fit. They are
    # recorded in every result, and `--set my-detector.latent_size=16` changes one. The benchmark passes `seed` and
    # `device` to a class that takes them.
    def __init__(
        self,
        *,
        hidden_size: int = 128,
        latent_size: int = 8,
        epochs: int = 20,
        batch_size: int = 32,
        learning_rate: float = 3e-3,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.hidden_size = hidden_size
        self.latent_size = latent_size
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.seed = seed
        self.device = device

    def build(self, shape: Shape) -> None:
        """Make the networks for images of a shape (C, H, W); a stored model is loaded into them, too."""
        pixels = math.prod(shape)
        self.encoder_ = nn.Sequential(
            nn.Flatten(),
            nn.Linear(pixels, self.hidden_size),
            nn.ReLU(),
            nn.Linear(self.hidden_size, self.latent_size),
        ).to(self.device)
        self.decoder_ = nn.Sequential(
            nn.Linear(self.latent_size, self.hidden_size),
            nn.ReLU(),
            nn.Linear(self.hidden_size, pixels),
            nn.Sigmoid(),
            nn.Unflatten(1, shape),
        ).to(self.device)

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Learn from normal images, float32 (N, C, H, W) in [0, 1]; there are no labels."""
        check_images(images)
        # What fit learns goes into attributes that end in an underscore: tensors, numbers, strings, tuples of them and
        # torch modules made in `build` are saved with the model.
        channels, height, width = images.shape[1:]
        self.shape_ = (channels, height, width)
        with torch.random.fork_rng():  # everything random comes from the seed, and nobody else's randomness changes
            torch.manual_seed(self.seed)
            self.build(self.shape_)
            self._train(images, monitor or Monitor())
        with torch.inference_mode():
            latents = self.encoder_(images.to(self.device)).cpu()
        self.latent_mean_, self.latent_deviation_ = latents.mean(0), latents.std(0, correction=0)
        return self

    @torch.inference_mode()
    def score(self, images: Tensor) -> Tensor:
        """Return one number an image, float32 (N,): HIGHER MEANS MORE OUT-OF-DISTRIBUTION."""
        check_images(images, self.shape_)
        return torch.cat([self._errors(batch.to(self.device)).cpu() for batch in images.split(500)])

    @torch.inference_mode()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw n new images; delete this method if yours cannot, and the leaderboard shows a dash."""
        latents = self.latent_mean_ + self.latent_deviation_ * torch.randn(n, self.latent_size, generator=generator)
        images: Tensor = self.decoder_(latents.to(self.device)).cpu()
        return images

    @torch.inference_mode()
    def reconstruct(self, images: Tensor) -> Tensor:
        """Return images as the model sees them; delete this method, too, if yours does not reconstruct."""
        check_images(images, self.shape_)
        return self._reconstruct(images.to(self.device)).cpu()

    def _train(self, images: Tensor, monitor: Monitor) -> None:
        optimizer = torch.optim.Adam([*self.encoder_.parameters(), *self.decoder_.parameters()], self.learning_rate)
        for epoch in range(1, self.epochs + 1):
            total = 0.0
            for chosen in torch.randperm(len(images)).split(self.batch_size):
                batch = images[chosen].to(self.device)
                loss = self._errors(batch).mean()
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                total += loss.item() * len(batch)
            # feeds the progress bar and the plot of the loss; monitor.validation holds held-out normal images
            monitor.report(epoch, self.epochs, {"loss": total / len(images)})

    def _reconstruct(self, images: Tensor) -> Tensor:
        reconstructed: Tensor = self.decoder_(self.encoder_(images))
        return reconstructed

    def _errors(self, images: Tensor) -> Tensor:
        """Return the squared error (N,) of each image, summed over its pixels."""
        return (self._reconstruct(images) - images).square().flatten(1).sum(1)
