"""What the autoencoders share: encode, pass the bottleneck, decode, and measure the error."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn, special
from torch.nn import functional

from oodbench.detectors.base import DetectorError, Monitor, Shape, check_images
from oodbench.detectors.components.density import fit_mixture, log_density, sample_mixture
from oodbench.detectors.components.input_complexity import complexity, excess, fit_expectation, spread
from oodbench.detectors.components.networks import Decoder, Encoder
from oodbench.detectors.components.neural import Neural
from oodbench.detectors.components.randomness import seeded


@dataclass
class Pass:
    """What a batch of n images became on its way through an autoencoder.

    Attributes
    ----------
    logits : Tensor
        (n, C, H, W); their sigmoid is the reconstruction.
    latents : Tensor
        (n, L), before a memory; of a posterior its mean, or where there is noise a draw.
    penalty : Tensor or None
        (n,), what training adds to the reconstruction error.
    """

    logits: Tensor
    latents: Tensor
    penalty: Tensor | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class Autoencoder(Neural):
    """Base of AE, VAE, MemAE and MemVAE.

    Where a parameter is None, the file beside the method's module gives the value for the kind of image.

    After training, a Gaussian mixture is fitted to the training images' latents (Ghosh et al., ICLR 2020; see
    `oodbench.detectors.components.density`). Samples are decoded draws from it.

    The score has three parts: by how much the method's error exceeds that of a normal image as complex, how unlike
    that of normal images the complexity is (see `components.input_complexity` for both), and how improbable
    the latent is under the mixture. The first two are in standard deviations over the training images, and so is the
    third. Typicality under several statistics at once was proposed by Morningstar et al. ("Density of states estimation
    for out-of-distribution detection", AISTATS 2021).

    Parameters
    ----------
    latent_size : int, optional
        Length of the latent vector.
    channels : sequence of int, optional
        Channels of the encoder's convolutions; each halves the image.
    epochs : int, optional
        Passes over the training images.
    least_steps : int, optional
        Where `epochs` is None, a small training set is passed over more often, until this many steps are made.
    batch_size : int, optional
        Images a step.
    learning_rate : float, optional
        Peak of the one-cycle schedule.
    likelihood : {"bernoulli", "gaussian"}, optional
        Reconstruction error of an image, summed over pixels: binary cross-entropy above that of a perfect
        reconstruction (the deviance), or squared error.
    bfloat16 : bool, optional
        Train under bfloat16 autocast, if the hardware has it.
    plain_score : bool
        Whether the score is the method's error alone, as in its paper.
    complexity_blur : float, optional
        Pixels by which an image is smoothed before its complexity is measured.
    complexity_weight : float, optional
        Of the second part of the score.
    latent_weight : float, optional
        Of the third part of the score.
    mixture_components : int
        Gaussians of the mixture that samples come from.
    seed : int
        Of the initial weights, the shuffling and the noise.
    device : str
        ``cpu`` or ``cuda``.
    """

    latent_size: int | None = None
    channels: tuple[int, ...] | None = None
    epochs: int | None = None
    least_steps: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    likelihood: str | None = None
    bfloat16: bool | None = None
    plain_score: bool = False
    complexity_blur: float | None = None
    complexity_weight: float | None = None
    latent_weight: float | None = None
    mixture_components: int = 10
    seed: int = 0
    device: str = "cpu"

    SEARCH: ClassVar[Mapping[str, Sequence[Any]]] = {
        "latent_size": (8, 16, 32, 64, 128),
        "learning_rate": (1e-3, 2e-3, 4e-3, 8e-3),
        "likelihood": ("bernoulli", "gaussian"),
        "complexity_blur": (0.0, 0.5, 1.0),
        "complexity_weight": (0.0, 0.1, 0.25),
        "latent_weight": (0.0, 0.1, 0.25, 0.5),
    }

    # ------------------------------------------------------------------ what a method defines

    encoder_features: ClassVar[int] = 1
    """Numbers that the encoder gives for each latent unit."""

    @abstractmethod
    def _pass(self, images: Tensor, noise: torch.Generator | None) -> Pass:
        """Send images (n, C, H, W) through the network; without `noise` nothing is drawn at random."""

    def _bridge(self, latents: Tensor) -> tuple[Tensor, Tensor | None]:
        """Stand between encoder and decoder: latents (n, L) to the decoder's input, and a penalty (n,)."""
        return latents, None

    def _score(self, error: Tensor, penalty: Tensor | None) -> Tensor:
        """Combine reconstruction error (n,) and penalty (n,) into the score (n,)."""
        return error if penalty is None else error + penalty

    def _queries(self, latents: Tensor) -> Tensor:
        """Bring latents (N, L) to the form in which their density is modelled."""
        return latents

    # ------------------------------------------------------------------ the interface

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Train on normal images (N, C, H, W); see `Detector.fit`."""
        check_images(images)
        with seeded(self.seed, self.device) as generator:
            channels, height, width = images.shape[1:]
            self._build((channels, height, width))
            self._images: Tensor | None = images
            try:
                self._train(images, generator, monitor)
                self._fit_score(images)
            finally:
                self._images = None
        return self

    def score(self, images: Tensor) -> Tensor:
        """Score images (N, C, H, W) by the method's error, (N,); see `Detector.score`."""
        check_images(images, self.shape_)
        if self._images is not None:  # who listens to a fit may ask for scores in the midst of it
            self._fit_score(self._images)
        return self._in_batches(self._score_batch, images)

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

    def diagnostics(self, images: Tensor) -> dict[str, float]:
        """Add to the method's own signs the variance of reconstructions across images (N, C, H, W)."""
        reconstructions = self.reconstruct(images)
        return {"reconstruction_variance": float(reconstructions.var(0, correction=0).mean())}

    # ------------------------------------------------------------------ how it is done

    def _build(self, shape: Shape) -> None:
        super()._build(shape)
        self._images = None
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

    def _measures(self, images: Tensor) -> Tensor:
        """Error, complexity and negative log-density of the latents of images, (3, n)."""
        passed = self._pass(images, None)
        error = self._score(self._error(passed.logits, images), passed.penalty)
        density = log_density(self._mixture(), self._queries(passed.latents).cpu()).to(error)
        return torch.stack([error, complexity(images, blur=self.settings_["complexity_blur"]), -density])

    def _fit_score(self, images: Tensor) -> None:
        """Learn what is to be expected of normal images (N, C, H, W)."""
        self._fit_prior(images)
        error, complexity, surprise = self._in_batches(self._measures, images).unbind()
        self.expectation_ = fit_expectation(error, complexity)
        self.surprise_ = torch.stack([surprise.mean(), spread(surprise)])

    def _score_batch(self, images: Tensor) -> Tensor:
        """Score (n,) of images."""
        error, complexity, surprise = self._measures(images).unbind()
        if self.plain_score:
            return error
        mean, deviation = self.surprise_.to(error)
        beyond = excess(error, complexity, self.expectation_, self.settings_["complexity_weight"])
        scores: Tensor = beyond + self.settings_["latent_weight"] * (surprise - mean) / deviation
        return scores

    def _fit_prior(self, images: Tensor) -> None:
        """Fit the mixture that latents of new images are drawn from."""
        noise = torch.Generator(self.device).manual_seed(self.seed)
        latents = self._queries(self._latents(images, noise))
        mixture = fit_mixture(latents, components=self.settings_["mixture_components"], seed=self.seed)
        self.mixture_weights_, self.mixture_means_ = mixture["weights"], mixture["means"]
        self.mixture_factors_ = mixture["factors"]

    def _mixture(self) -> dict[str, Tensor]:
        return {
            "weights": self.mixture_weights_,
            "means": self.mixture_means_,
            "factors": self.mixture_factors_,
        }

    def _draw_latents(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Draw n new latents (n, L) on the CPU."""
        return sample_mixture(self._mixture(), n, generator)

    def _latents(self, images: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Latents (N, L) of images, on the CPU; without `noise`, of a posterior its mean."""
        return self._in_batches(lambda batch: self._pass(batch, noise).latents.T, images).T
