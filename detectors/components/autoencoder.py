"""Base of the autoencoders: training on a reconstruction error, and samples decoded from new latents."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from oodbench.detectors.base import Monitor, Shape, check_images
from oodbench.detectors.components.defaults import check_choice
from oodbench.detectors.components.gaussian_mixture import fit_mixture, sample_mixture
from oodbench.detectors.components.networks import Decoder, Encoder, Encoding, encoding_shape, flat_size
from oodbench.detectors.components.neural import Neural
from oodbench.detectors.components.seeding import seeded
from oodbench.detectors.components.types import NonNegativeInt, PositiveFloat, PositiveInt

Prior = Literal["normal", "mixture"]
"""What samples are decoded from: N(0, I), or a mixture fitted to the training images' latents."""

SEARCH: Mapping[str, Sequence[Any]] = {
    "encoding": ("map", "vector"),
    "latent_size": (4, 8, 16, 32),
    "learning_rate": (1e-3, 2e-3, 4e-3),
}
"""See `Detector.SEARCH`; of every autoencoder."""

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
        (n, L), the encoding, flattened, before a memory. Of a posterior a draw, or its mean where there is no noise.
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

    The network is convolutional from the image to the encoding and back (see `components.networks`). Where a parameter
    is None, the JSON file beside the method's module has the value for the kind of image.

    Parameters
    ----------
    channels : sequence of int, optional
        Channels of the encoder's convolutions, each of which halves the image; one more makes the encoding.
    latent_size : int, optional
        Channels of the encoding.
    encoding : {"map", "vector"}, optional
        Whether the encoding keeps positions, as one more convolution of stride 2 leaves them, or has a single one.
    epochs : int, optional
        Passes over the training images.
    min_steps : int, optional
        Fewest optimiser steps: where `epochs` is not given, a small training set is passed over more often until they
        are reached.
    batch_size : int, optional
        Images in each optimiser step.
    learning_rate : float, optional
        Peak of the one-cycle schedule.
    bfloat16 : bool, optional
        Whether to train under bfloat16 autocast where the hardware supports it.
    n_gaussians : int
        Number of Gaussians in the mixture that `sample` draws latents from, where the method has no prior.
    seed : int
        Seeds initial weights, shuffling and noise.
    device : str
        ``cpu`` or ``cuda``.
    """

    channels: tuple[PositiveInt, ...] | None = None
    latent_size: PositiveInt | None = None
    encoding: Encoding | None = None
    epochs: PositiveInt | None = None
    min_steps: PositiveInt | None = None
    batch_size: PositiveInt | None = None
    learning_rate: PositiveFloat | None = None
    bfloat16: bool | None = None
    n_gaussians: PositiveInt = 10
    seed: NonNegativeInt = 0
    device: str = "cpu"

    prior = "mixture"
    """A `Prior`; the variational methods make it a parameter."""

    # ------------------------------------------------------------------ what a method defines, besides its `_modules`

    @abstractmethod
    def _pass(self, images: Tensor, noise: torch.Generator | None) -> Pass:
        """Send images (n, C, H, W) through the network; without `noise` nothing is drawn at random."""

    @abstractmethod
    def _decode(self, latents: Tensor) -> Tensor:
        """Return the logits (n, C, H, W) of the images that new latents (n, L) stand for."""

    def _queries(self, latents: Tensor) -> Tensor:
        """Return latents (N, L) in the form in which their density is modelled."""
        return latents

    # ------------------------------------------------------------------ the interface

    def build(self, shape: Shape) -> None:
        """Create the untrained network for images of shape (C, H, W); see `Detector.build`."""
        check_choice("encoding", self.hyperparameters(shape)["encoding"], get_args(Encoding))
        check_choice("prior", self.prior, get_args(Prior))
        super().build(shape)

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Train on normal images (N, C, H, W); see `Detector.fit`."""
        shape = check_images(images)
        with seeded(self.seed, self.device) as generator:
            self.build(shape)
            self._train(images, generator, monitor)
            if self.prior == "mixture":
                self._fit_latents(images)
        return self

    def score(self, images: Tensor) -> Tensor:
        """Return the error of images (N, C, H, W), (N,); see `Detector.score`."""
        return self.error(images)

    def error(self, images: Tensor) -> Tensor:
        """Return how badly images (N, C, H, W) are reproduced, (N,); see the class and `Detector.error`."""
        check_images(images, self.shape_)
        return self._in_batches(self._score_batch, images)

    def represent(self, images: Tensor) -> Tensor:
        """Return the latents of images (N, C, H, W), (N, L); see `Detector.represent`."""
        check_images(images, self.shape_)
        return self._queries(self._latents(images))

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

    # ------------------------------------------------------------------ training and score

    def _objective(self, images: Tensor, noise: torch.Generator | None) -> dict[str, Tensor]:
        passed = self._pass(images, noise)
        error = self._error(passed.logits, images)
        return {"loss": _sum(error, passed.penalty), "reconstruction_error": error}

    def _error(self, logits: Tensor, images: Tensor) -> Tensor:
        """Return the squared error (n,) of the reconstructions, a mean over pixels and channels."""
        squares = functional.mse_loss(logits.float().sigmoid(), images, reduction="none")
        return squares.flatten(1).mean(1)

    def _score_batch(self, images: Tensor) -> Tensor:
        passed = self._pass(images, None)
        return _sum(self._error(passed.logits, images), passed.score_penalty)

    # ------------------------------------------------------------------ latents

    def _encoding_shape(self, features: int, shape: Shape | None = None) -> Shape:
        """Return (F, h, w) of encodings with F channels, for images of shape (C, H, W), by default those of the fit."""
        settings = self.settings_
        return encoding_shape(shape or self.shape_, settings["channels"], features, settings["encoding"])

    def _coders(self, shape: Shape, encoded: int, decoded: int) -> dict[str, nn.Module]:
        """Return an encoder to so many features and a decoder of so many, for images of shape (C, H, W)."""
        channels, encoding = self.settings_["channels"], self.settings_["encoding"]
        return {
            "encoder": Encoder(shape, channels, encoded, encoding),
            "decoder": Decoder(shape, channels, decoded, encoding),
        }

    def _latents(self, images: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Return the latents (N, L) of images, on the CPU; without `noise`, of a posterior its mean."""
        return self._in_batches(lambda batch: self._pass(batch, noise).latents.T, images).T

    def _fit_latents(self, images: Tensor) -> None:
        """Fit the mixture that latents of new images are drawn from (Ghosh et al., ICLR 2020, §4)."""
        noise = torch.Generator(self.device).manual_seed(self.seed)
        latents = self._queries(self._latents(images, noise))
        mixture = fit_mixture(latents, n_gaussians=self.settings_["n_gaussians"], seed=self.seed)
        self.mixture_weights_, self.mixture_means_ = mixture["weights"], mixture["means"]
        self.mixture_factors_ = mixture["factors"]

    def _draw_latents(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Draw n new latents (n, L) on the CPU."""
        if self.prior == "normal":
            return torch.randn(n, flat_size(self._encoding_shape(self.settings_["latent_size"])), generator=generator)
        mixture = {"weights": self.mixture_weights_, "means": self.mixture_means_, "factors": self.mixture_factors_}
        return sample_mixture(mixture, n, generator)


def _sum(error: Tensor, penalty: Tensor | None) -> Tensor:
    return error if penalty is None else error + penalty
