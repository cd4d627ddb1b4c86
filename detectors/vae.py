"""vae: a variational autoencoder (Kingma & Welling, "Auto-encoding variational Bayes", ICLR 2014)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import torch
from torch import Tensor, nn

from oodbench.detectors.base import Shape, register
from oodbench.detectors.components import gaussian_posterior
from oodbench.detectors.components.autoencoder import Autoencoder, Pass
from oodbench.detectors.components.defaults import Defaults, check_choice, read_defaults
from oodbench.detectors.components.gaussian_posterior import Prior
from oodbench.detectors.components.networks import Decoder, Encoder
from oodbench.detectors.components.types import NonNegativeFloat


@register("vae")
@dataclass(kw_only=True, eq=False, repr=False)
class VAE(Autoencoder):
    """Variational autoencoder; scores by the negative ELBO at the posterior's mean.

    Trained on ``L = d(x, D(z)) + β KL(q(z|x) ‖ N(0, I))`` with z drawn from q (Kingma & Welling 2014, equation 10). The
    score starts from the same sum with z at the mean of q, so that it is not a random draw (see `Autoencoder`, which
    also lists the other parameters).

    The latents of the training images, drawn from q, do not fill N(0, I) evenly, and what lies between them decodes to
    no image. Samples therefore come from a mixture that is fitted to them, as those of the methods without a prior do.

    Parameters
    ----------
    kl_weight : float, optional
        β, the weight of the KL divergence (Higgins et al. 2017); 1 is the ELBO.
    prior : {"mixture", "normal"}
        What samples decode: draws from that mixture, or from N(0, I) as in the paper.
    """

    kl_weight: NonNegativeFloat | None = None
    prior: Prior = "mixture"

    DEFAULTS: ClassVar[Defaults] = read_defaults(__file__)
    SEARCH: ClassVar[Mapping[str, Sequence[Any]]] = {**Autoencoder.SEARCH, **gaussian_posterior.SEARCH}
    ABLATIONS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **Autoencoder.ABLATIONS,
        **gaussian_posterior.ABLATIONS,
    }

    def build(self, shape: Shape) -> None:
        """Create the untrained network for images of shape (C, H, W); see `Detector.build`."""
        check_choice("prior", self.prior, get_args(Prior))
        super().build(shape)

    def _modules(self, shape: Shape) -> dict[str, nn.Module]:
        channels, latent_size = self.settings_["channels"], self.settings_["latent_size"]
        return {"encoder": Encoder(shape, channels, 2 * latent_size), "decoder": Decoder(shape, channels, latent_size)}

    def _pass(self, images: Tensor, noise: torch.Generator | None) -> Pass:
        mean, log_variance = self.network_["encoder"](images).float().chunk(2, dim=1)
        penalty = self.settings_["kl_weight"] * gaussian_posterior.kl_divergence(mean, log_variance)
        latents = gaussian_posterior.draw(mean, log_variance, noise)
        return Pass(self._decode(latents), latents, penalty, score_penalty=penalty)

    def _decode(self, latents: Tensor) -> Tensor:
        logits: Tensor = self.network_["decoder"](latents)
        return logits

    def _draw_latents(self, n: int, generator: torch.Generator | None) -> Tensor:
        if self.prior == "normal":
            return torch.randn(n, self.settings_["latent_size"], generator=generator)
        return super()._draw_latents(n, generator)

    def diagnostics(self, images: Tensor) -> dict[str, float]:
        """Add ``active_units``, the number of active latent units; see `Detector.diagnostics`."""
        active = gaussian_posterior.active_units(self._latents(images))
        return {**super().diagnostics(images), "active_units": active}

    @classmethod
    def unhealthy(cls, diagnostics: Mapping[str, float]) -> list[str]:
        """Judge the posterior and the reconstructions; see `Detector.unhealthy`."""
        return [*gaussian_posterior.unhealthy(diagnostics), *super().unhealthy(diagnostics)]
