"""What the autoencoders share: encode, pass the bottleneck, decode, and measure the error."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn, special
from torch.nn import functional

from oodbench.detectors.base import DetectorError, Monitor, Shape, check_images
from oodbench.detectors.input_complexity import complexity
from oodbench.detectors.networks import Decoder, Encoder
from oodbench.detectors.neural import Neural
from oodbench.detectors.randomness import seeded


@dataclass
class Pass:
    """What a batch of n images became on its way through an autoencoder.

    Attributes
    ----------
    logits : Tensor
        (n, C, H, W); their sigmoid is the reconstruction.
    latents : Tensor
        (n, L), before a memory; the mean of a posterior.
    penalty : Tensor or None
        (n,), what training adds to the reconstruction error.
    """

    logits: Tensor
    latents: Tensor
    penalty: Tensor | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class Autoencoder(Neural):
    """Base of AE, VAE, MemAE and MemVAE.

    Where a parameter is None, `DEFAULTS` gives the value for the kind of image.

    Parameters
    ----------
    latent_size : int, optional
        Length of the latent vector.
    channels : sequence of int
        Channels of the encoder's convolutions; each halves the image.
    epochs : int, optional
        Passes over the training images.
    least_steps : int
        Where `epochs` is None, a small training set is passed over more often, until this many steps are made.
    batch_size : int, optional
        Images a step.
    learning_rate : float
        Peak of the one-cycle schedule.
    likelihood : {"bernoulli", "gaussian"}, optional
        Reconstruction error of an image, summed over pixels: binary cross-entropy above that of a perfect
        reconstruction (the deviance), or squared error.
    bfloat16 : bool, optional
        Train under bfloat16 autocast, if the hardware has it.
    complexity_power : float
        The score is divided by this power of the image's complexity (see
        `oodbench.detectors.input_complexity`); at 0 it is the score of the method's paper.
    seed : int
        Of the initial weights, the shuffling and the noise.
    device : str
        ``cpu`` or ``cuda``.
    """

    latent_size: int | None = None
    channels: tuple[int, ...] = (16, 32, 64)
    epochs: int | None = None
    least_steps: int = 240
    batch_size: int | None = None
    learning_rate: float = 2e-3
    likelihood: str | None = None
    bfloat16: bool | None = None
    complexity_power: float = 0.5
    seed: int = 0
    device: str = "cpu"

    DEFAULTS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "tiny": {"epochs": 60, "batch_size": 32, "likelihood": "bernoulli", "bfloat16": False},
        "grey": {"epochs": 15, "batch_size": 128, "likelihood": "bernoulli", "bfloat16": False},
        "colour": {"epochs": 12, "batch_size": 128, "likelihood": "gaussian", "bfloat16": True},
    }

    # ------------------------------------------------------------------ what a method defines

    encoder_features: ClassVar[int] = 1
    """Numbers that the encoder gives for each latent unit."""

    @abstractmethod
    def _pass(self, images: Tensor, noise: torch.Generator | None) -> Pass:
        """Send images (n, C, H, W) through the network; without `noise` nothing is drawn at random."""

    @abstractmethod
    def _draw_latents(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Draw n new latents (n, L) on the CPU."""

    def _bridge(self, latents: Tensor) -> tuple[Tensor, Tensor | None]:
        """Stand between encoder and decoder: latents (n, L) to the decoder's input, and a penalty (n,)."""
        return latents, None

    def _score(self, error: Tensor, penalty: Tensor | None) -> Tensor:
        """Combine reconstruction error (n,) and penalty (n,) into the score (n,)."""
        return error if penalty is None else error + penalty

    def _after_training(self, latents: Tensor) -> None:
        """Fit what needs the training images' latents (N, L), on the CPU."""

    # ------------------------------------------------------------------ the interface

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Train on normal images (N, C, H, W); see `Detector.fit`."""
        check_images(images)
        with seeded(self.seed, self.device) as generator:
            channels, height, width = images.shape[1:]
            self._build((channels, height, width))
            self._train(images, generator, monitor)
            self._after_training(self._latents(images))
        return self

    def score(self, images: Tensor) -> Tensor:
        """Score images (N, C, H, W) by the method's error, (N,); see `Detector.score`."""
        check_images(images, self.shape_)

        def score(batch: Tensor) -> Tensor:
            passed = self._pass(batch, None)
            scores = self._score(self._error(passed.logits, batch), passed.penalty)
            return scores / complexity(batch).pow(self.settings_["complexity_power"])

        return self._in_batches(score, images)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Decode what images (N, C, H, W) were encoded to; see `Detector.reconstruct`."""
        check_images(images, self.shape_)
        return self._in_batches(lambda batch: self._pass(batch, None).logits.sigmoid(), images)

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Decode n new latents to images (n, C, H, W); see `Detector.sample`."""
        latents = self._draw_latents(n, generator).unsqueeze(-1).unsqueeze(-1)
        return self._in_batches(
            lambda batch: self.network_["decoder"](self._bridge(batch.flatten(1))[0]).sigmoid(), latents
        )

    def health(self, images: Tensor) -> dict[str, float]:
        """Add to the method's own signs the variance of reconstructions across images (N, C, H, W)."""
        reconstructions = self.reconstruct(images)
        return {"reconstruction_variance": float(reconstructions.var(0, correction=0).mean())}

    # ------------------------------------------------------------------ how it is done

    def _build(self, shape: Shape) -> None:
        super()._build(shape)
        if self.settings_["likelihood"] not in ("bernoulli", "gaussian"):
            raise DetectorError(f"likelihood is 'bernoulli' or 'gaussian', not {self.settings_['likelihood']!r}.")

    def _modules(self, shape: Shape) -> dict[str, nn.Module]:
        """Give the network's parts by name."""
        channels, latent_size = self.settings_["channels"], self.settings_["latent_size"]
        return {
            "encoder": Encoder(shape, channels, latent_size * self.encoder_features),
            "decoder": Decoder(shape, channels, latent_size),
        }

    def _objective(self, images: Tensor, noise: torch.Generator | None) -> dict[str, Tensor]:
        passed = self._pass(images, noise)
        error = self._error(passed.logits, images)
        return {"loss": error if passed.penalty is None else error + passed.penalty, "reconstruction_error": error}

    def _error(self, logits: Tensor, images: Tensor) -> Tensor:
        """Reconstruction error (n,), summed over pixels; 0 where the reconstruction is perfect."""
        logits = logits.float()
        if self.settings_["likelihood"] == "bernoulli":
            # less the cross-entropy of a perfect reconstruction, or else an image with much grey in it scores high
            least = special.entr(images) + special.entr(1 - images)
            error = functional.binary_cross_entropy_with_logits(logits, images, reduction="none") - least
        else:
            error = functional.mse_loss(logits.sigmoid(), images, reduction="none")
        total: Tensor = error.flatten(1).sum(1)
        return total

    def _latents(self, images: Tensor) -> Tensor:
        """Latents (N, L) of images, on the CPU."""
        return self._in_batches(lambda batch: self._pass(batch, None).latents.T, images).T
