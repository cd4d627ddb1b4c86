"""vae: a variational autoencoder (Kingma & Welling, "Auto-encoding variational Bayes", ICLR 2014)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from oodbench.detectors.base import Shape, register
from oodbench.detectors.components import gaussian_posterior
from oodbench.detectors.components.autoencoder import SEARCH, Autoencoder, Pass, Prior
from oodbench.detectors.components.defaults import Defaults, read_defaults
from oodbench.detectors.components.networks import flat_size
from oodbench.detectors.components.types import PositiveFloat


@register("vae")
@dataclass(kw_only=True, eq=False, repr=False)
class VAE(Autoencoder):
    """Variational autoencoder; scores by the negative ELBO, and samples from its prior.

    Trained on ``L = (‖x − D(z)‖² / 2σ² + KL(q(z|x) ‖ N(0, I))) / D`` with z drawn from q: the negative ELBO (Kingma &
    Welling 2014, equation 10) under a Gaussian likelihood of fixed variance σ², without its constant, in nats for each
    of the D values of an image. The score is the same with z at the mean of q, so that it is not a random draw.
    Samples decode z ~ N(0, I). `Autoencoder` lists the other parameters.

    Parameters
    ----------
    variance : float, optional
        σ² of the likelihood. Up to a factor, the loss is that of a β-VAE (Higgins et al. 2017) with β = 2σ².
    prior : {"normal", "mixture"}
        What samples decode: draws from N(0, I), as in the paper, or from a Gaussian mixture that is fitted to the
        training images' latents (Ghosh et al., ICLR 2020, §4).
    """

    variance: PositiveFloat | None = None
    prior: Prior = "normal"

    DEFAULTS: ClassVar[Defaults] = read_defaults(__file__)
    SEARCH: ClassVar[Mapping[str, Sequence[Any]]] = {**SEARCH, **gaussian_posterior.SEARCH}

    def _modules(self, shape: Shape) -> dict[str, nn.Module]:
        latent_size = self.settings_["latent_size"]
        return self._coders(shape, 2 * latent_size, latent_size)

    def _pass(self, images: Tensor, noise: torch.Generator | None) -> Pass:
        mean, log_variance = gaussian_posterior.split(self.network_["encoder"](images))
        divergence = gaussian_posterior.kl_divergence(mean, log_variance) / flat_size(self.shape_)
        latents = gaussian_posterior.draw(mean, log_variance, noise)
        return Pass(self._decode(latents), latents, divergence, score_penalty=divergence)

    def _decode(self, latents: Tensor) -> Tensor:
        encoding = latents.unflatten(1, self._encoding_shape(self.settings_["latent_size"]))
        logits: Tensor = self.network_["decoder"](encoding)
        return logits

    def _error(self, logits: Tensor, images: Tensor) -> Tensor:
        """Return the negative log-likelihood (n,), a mean over pixels and channels, without its constant."""
        error: Tensor = super()._error(logits, images) / (2 * self.settings_["variance"])
        return error

    def diagnostics(self, images: Tensor) -> dict[str, float]:
        """Add ``active_units``, the number of active latent units; see `Detector.diagnostics`."""
        active = gaussian_posterior.active_units(self._latents(images))
        return {**super().diagnostics(images), "active_units": active}

    @classmethod
    def unhealthy(cls, diagnostics: Mapping[str, float]) -> list[str]:
        """Judge the posterior and the reconstructions; see `Detector.unhealthy`."""
        return [*gaussian_posterior.unhealthy(diagnostics), *super().unhealthy(diagnostics)]
