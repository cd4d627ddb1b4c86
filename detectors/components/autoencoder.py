"""Base of the autoencoders: training, the score of three parts, and samples from a mixture of the latents."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, get_args

import torch
from torch import Tensor, special
from torch.nn import functional

from oodbench.detectors.base import Monitor, Shape, check_images
from oodbench.detectors.components.defaults import check_choice
from oodbench.detectors.components.gaussian_mixture import fit_mixture, log_density, sample_mixture
from oodbench.detectors.components.image_complexity import complexity, excess, fit_expectation, spread
from oodbench.detectors.components.neural import Neural
from oodbench.detectors.components.seeding import seeded
from oodbench.detectors.components.types import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

Likelihood = Literal["bernoulli", "gaussian"]

SAME_FOR_EVERY_INPUT = 1e-5
"""A mean variance of reconstructions across images below which they count as one and the same."""


@dataclass
class Pass:
    """What a batch of n images became on its way through an autoencoder.

    Attributes
    ----------
    logits : Tensor
        (n, C, H, W); their sigmoid is the reconstruction.
    latents : Tensor
        (n, L), before a memory. Of a posterior a draw, or its mean where there is no noise.
    penalty : Tensor or None
        (n,), what training adds to the reconstruction error.
    score_penalty : Tensor or None
        (n,), what the method's score adds to the reconstruction error.
    """

    logits: Tensor
    latents: Tensor
    penalty: Tensor | None = None
    score_penalty: Tensor | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class Autoencoder(Neural):
    """Base of AE, VAE, MemAE and MemVAE.

    Where a parameter is None, the JSON file beside the method's module has the value for the kind of image.

    After training, a Gaussian mixture is fitted to the training images' latents (Ghosh et al., ICLR 2020; see
    `components.gaussian_mixture`). Samples are decoded draws from it.

    The score is a sum of three parts: by how much the method's error exceeds that of a normal image of the same
    complexity; how unlike that of normal images the complexity is (see `components.image_complexity` for both); and how
    improbable the latent is under the mixture. Each part is measured in standard deviations over the training images.
    Typicality under several statistics at once was proposed by Morningstar et al. ("Density of states estimation for
    out-of-distribution detection", AISTATS 2021).

    Parameters
    ----------
    latent_size : int, optional
        Length of the latent vector.
    channels : sequence of int, optional
        Channels of the encoder's convolutions; each halves the image.
    epochs : int, optional
        Passes over the training images.
    min_steps : int, optional
        Fewest optimiser steps: where `epochs` is not given, a small training set is passed over more often until they
        are reached.
    batch_size : int, optional
        Images in each optimiser step.
    learning_rate : float, optional
        Peak of the one-cycle schedule.
    likelihood : {"bernoulli", "gaussian"}, optional
        Reconstruction error of an image, summed over pixels: binary cross-entropy above that of a perfect
        reconstruction (the deviance), or squared error.
    bfloat16 : bool, optional
        Whether to train under bfloat16 autocast where the hardware supports it.
    plain_score : bool
        Whether the score is the method's error alone, as in its paper.
    complexity_blur : float, optional
        Standard deviation in pixels of the blur before an image's complexity is measured.
    complexity_weight : float, optional
        Weight of the second part of the score.
    latent_weight : float, optional
        Weight of the third part of the score.
    n_gaussians : int
        Number of Gaussians in the mixture that samples come from.
    seed : int
        Seeds initial weights, shuffling and noise.
    device : str
        ``cpu`` or ``cuda``.
    """

    latent_size: PositiveInt | None = None
    channels: tuple[PositiveInt, ...] | None = None
    epochs: PositiveInt | None = None
    min_steps: PositiveInt | None = None
    batch_size: PositiveInt | None = None
    learning_rate: PositiveFloat | None = None
    likelihood: Likelihood | None = None
    bfloat16: bool | None = None
    plain_score: bool = False
    complexity_blur: NonNegativeFloat | None = None
    complexity_weight: NonNegativeFloat | None = None
    latent_weight: NonNegativeFloat | None = None
    n_gaussians: PositiveInt = 10
    seed: NonNegativeInt = 0
    device: str = "cpu"

    SEARCH: ClassVar[Mapping[str, Sequence[Any]]] = {
        "latent_size": (8, 16, 32, 64, 128),
        "learning_rate": (1e-3, 2e-3, 4e-3, 8e-3),
        "likelihood": ("bernoulli", "gaussian"),
        "complexity_blur": (0.0, 0.5, 1.0),
        "complexity_weight": (0.0, 0.1, 0.25),
        "latent_weight": (0.0, 0.1, 0.25, 0.5),
    }
    ABLATIONS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "all but the score of its paper": {"plain_score": True},
        "typicality of the complexity": {"complexity_weight": 0.0},
        "typicality of the latent": {"latent_weight": 0.0},
        "both typicalities": {"complexity_weight": 0.0, "latent_weight": 0.0},
        "blur before the complexity": {"complexity_blur": 0.0},
    }
    SCORE_ONLY: ClassVar[frozenset[str]] = frozenset({"plain_score", "complexity_weight", "latent_weight"})

    # ------------------------------------------------------------------ what a method defines, besides its `_modules`

    @abstractmethod
    def _pass(self, images: Tensor, noise: torch.Generator | None) -> Pass:
        """Send images (n, C, H, W) through the network; without `noise` nothing is drawn at random."""

    @abstractmethod
    def _decode(self, latents: Tensor) -> Tensor:
        """Return the logits (n, C, H, W) of the images that new latents (n, L) stand for."""

    def _queries(self, latents: Tensor) -> Tensor:
        """Return latents (N, L) in the form in which the mixture models them."""
        return latents

    def _draw_latents(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Draw n new latents (n, L) on the CPU."""
        return sample_mixture(self._mixture(), n, generator)

    # ------------------------------------------------------------------ the interface

    def build(self, shape: Shape) -> None:
        """Create the untrained network for images of shape (C, H, W); see `Detector.build`."""
        super().build(shape)
        self._images: Tensor | None = None
        check_choice("likelihood", self.settings_["likelihood"], get_args(Likelihood))

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Train on normal images (N, C, H, W); see `Detector.fit`."""
        shape = check_images(images)
        with seeded(self.seed, self.device) as generator:
            self.build(shape)
            self._images = images
            try:
                self._train(images, generator, monitor)
                self._fit_score(images)
            finally:
                self._images = None
        return self

    def score(self, images: Tensor) -> Tensor:
        """Return the score of images (N, C, H, W), (N,); see the class and `Detector.score`."""
        check_images(images, self.shape_)
        if self._images is not None:  # a monitor may ask for scores in the midst of a fit
            self._fit_score(self._images)
        return self._in_batches(self._score_batch, images)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Return what the latents of images (N, C, H, W) are decoded to; see `Detector.reconstruct`."""
        check_images(images, self.shape_)
        return self._in_batches(lambda batch: self._pass(batch, None).logits.sigmoid(), images)

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Decode n new latents to images (n, C, H, W); see `Detector.sample`."""
        latents = self._draw_latents(n, generator).unsqueeze(-1).unsqueeze(-1)
        return self._in_batches(lambda batch: self._decode(batch.flatten(1)).sigmoid(), latents)

    def diagnostics(self, images: Tensor) -> dict[str, float]:
        """Measure ``reconstruction_variance``, the variance of reconstructions across images (N, C, H, W)."""
        reconstructions = self.reconstruct(images)
        return {"reconstruction_variance": float(reconstructions.var(0, correction=0).mean())}

    @classmethod
    def unhealthy(cls, diagnostics: Mapping[str, float]) -> list[str]:
        """Judge the variance of reconstructions; see `Detector.unhealthy`."""
        same = diagnostics.get("reconstruction_variance", 1) < SAME_FOR_EVERY_INPUT
        return ["every input gets the same reconstruction"] if same else []

    # ------------------------------------------------------------------ training

    def _objective(self, images: Tensor, noise: torch.Generator | None) -> dict[str, Tensor]:
        passed = self._pass(images, noise)
        error = self._error(passed.logits, images)
        return {"loss": _sum(error, passed.penalty), "reconstruction_error": error}

    def _error(self, logits: Tensor, images: Tensor) -> Tensor:
        """Return the reconstruction error (n,), summed over pixels; 0 where the reconstruction is perfect."""
        logits = logits.float()
        if self.settings_["likelihood"] == "bernoulli":
            # less the cross-entropy of a perfect reconstruction, or else an image with much grey in it scores high
            perfect = special.entr(images) + special.entr(1 - images)
            error = functional.binary_cross_entropy_with_logits(logits, images, reduction="none") - perfect
        else:
            error = functional.mse_loss(logits.sigmoid(), images, reduction="none")
        total: Tensor = error.flatten(1).sum(1)
        return total

    # ------------------------------------------------------------------ the score

    def _measures(self, images: Tensor) -> Tensor:
        """Return error, complexity and negative log-density of the latents of images, (3, n)."""
        passed = self._pass(images, None)
        error = _sum(self._error(passed.logits, images), passed.score_penalty)
        density = log_density(self._mixture(), self._queries(passed.latents).cpu()).to(error)
        return torch.stack([error, complexity(images, blur=self.settings_["complexity_blur"]), -density])

    def _fit_score(self, images: Tensor) -> None:
        """Learn what is to be expected of normal images (N, C, H, W)."""
        self._fit_mixture(images)
        error, complexity, surprise = self._in_batches(self._measures, images).unbind()
        self.expectation_ = fit_expectation(error, complexity)
        self.surprise_ = torch.stack([surprise.mean(), spread(surprise)])

    def _score_batch(self, images: Tensor) -> Tensor:
        """Return the score (n,) of images."""
        error, complexity, surprise = self._measures(images).unbind()
        if self.plain_score:
            return error
        mean, deviation = self.surprise_.to(error)
        beyond = excess(error, complexity, self.expectation_, self.settings_["complexity_weight"])
        scores: Tensor = beyond + self.settings_["latent_weight"] * (surprise - mean) / deviation
        return scores

    # ------------------------------------------------------------------ latents

    def _fit_mixture(self, images: Tensor) -> None:
        """Fit the mixture that latents of new images are drawn from."""
        noise = torch.Generator(self.device).manual_seed(self.seed)
        latents = self._queries(self._latents(images, noise))
        mixture = fit_mixture(latents, n_gaussians=self.settings_["n_gaussians"], seed=self.seed)
        self.mixture_weights_, self.mixture_means_ = mixture["weights"], mixture["means"]
        self.mixture_factors_ = mixture["factors"]

    def _mixture(self) -> dict[str, Tensor]:
        return {
            "weights": self.mixture_weights_,
            "means": self.mixture_means_,
            "factors": self.mixture_factors_,
        }

    def _latents(self, images: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Return the latents (N, L) of images, on the CPU; without `noise`, of a posterior its mean."""
        return self._in_batches(lambda batch: self._pass(batch, noise).latents.T, images).T


def _sum(error: Tensor, penalty: Tensor | None) -> Tensor:
    return error if penalty is None else error + penalty
