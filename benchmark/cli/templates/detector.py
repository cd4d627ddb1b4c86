"""my-detector: say here in one line what it does.

A small autoencoder, as a working start: change the network, the loss and the score to what you want to try.

    bench check --plugin my_detector.py
    bench run --plugin my_detector.py --detector my-detector --dataset digits --out my-results
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from oodbench.detectors import Detector, Monitor, check_images, register


@register("my-detector")  # the name for --detector and in the leaderboard
class MyDetector(Detector):
    """Small autoencoder; scores by its reconstruction error."""  # this line is shown by `bench list`

    # Hyperparameters are keyword-only, have defaults, and are only stored here: all work is done in fit. They are
    # recorded in every result, and can be changed by `--set my-detector.latent_size=16`. The benchmark gives `seed` and
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

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Learn from normal images, float32 (N, C, H, W) in [0, 1]; there are no labels."""
        check_images(images)
        monitor = monitor or Monitor()
        # everything random comes from the seed, and nobody else's random numbers are touched
        generator = torch.Generator().manual_seed(self.seed)
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            self._build(images.shape[1:])
        optimizer = torch.optim.Adam(self.network_.parameters(), self.learning_rate)
        for epoch in range(1, self.epochs + 1):
            total = 0.0
            for chosen in torch.randperm(len(images), generator=generator).split(self.batch_size):
                batch = images[chosen].to(self.device)
                loss = self._errors(batch).mean()
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                total += loss.item() * len(batch)
            # feeds the progress bar and the plot of the loss; monitor.validation holds held-out normal images
            monitor.report(epoch, self.epochs, {"loss": total / len(images)})
        with torch.inference_mode():
            latents = self.network_["encoder"](images.to(self.device)).cpu()
        # tensors in attributes that end in an underscore are saved with the model
        self.latent_mean_, self.latent_deviation_ = latents.mean(0), latents.std(0, correction=0)
        return self

    @torch.inference_mode()
    def score(self, images: Tensor) -> Tensor:
        """Give one number an image, float32 (N,): HIGHER MEANS MORE OUT-OF-DISTRIBUTION."""
        check_images(images, self.shape_)
        return torch.cat([self._errors(batch.to(self.device)).cpu() for batch in images.split(500)])

    @torch.inference_mode()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw n new images; delete this method if yours cannot, and the leaderboard shows a dash."""
        latents = self.latent_mean_ + self.latent_deviation_ * torch.randn(n, self.latent_size, generator=generator)
        return self._decode(latents.to(self.device)).cpu()

    @torch.inference_mode()
    def reconstruct(self, images: Tensor) -> Tensor:
        """Give images as the model sees them; delete this method if yours does not, too."""
        check_images(images, self.shape_)
        return self._decode(self.network_["encoder"](images.to(self.device))).cpu()

    # What is no tensor, such as a network, is saved through these two.
    def state(self) -> dict[str, Tensor]:
        """Give all tensors from which `restore` rebuilds the fitted model."""
        weights = {f"network.{name}": value for name, value in self.network_.state_dict().items()}
        return {**super().state(), **weights, "shape": torch.tensor(self.shape_)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take over what `state` gave."""
        self._build(torch.Size(state.pop("shape").tolist()))
        weights = {name: state.pop(name) for name in list(state) if name.startswith("network.")}
        self.network_.load_state_dict({name.removeprefix("network."): value for name, value in weights.items()})
        super().restore(state)

    def _build(self, shape: torch.Size) -> None:
        """Make the network for images of a shape (C, H, W); read all sizes off it."""
        self.shape_ = shape
        pixels = shape.numel()
        encoder = nn.Sequential(
            nn.Flatten(),
            nn.Linear(pixels, self.hidden_size),
            nn.ReLU(),
            nn.Linear(self.hidden_size, self.latent_size),
        )
        decoder = nn.Sequential(
            nn.Linear(self.latent_size, self.hidden_size),
            nn.ReLU(),
            nn.Linear(self.hidden_size, pixels),
            nn.Sigmoid(),
        )
        self.network_ = nn.ModuleDict({"encoder": encoder, "decoder": decoder}).to(self.device)

    def _decode(self, latents: Tensor) -> Tensor:
        images: Tensor = self.network_["decoder"](latents).unflatten(1, self.shape_)
        return images

    def _errors(self, images: Tensor) -> Tensor:
        """Squared error (N,) of each image, summed over its pixels."""
        return (self._decode(self.network_["encoder"](images)) - images).square().flatten(1).sum(1)
