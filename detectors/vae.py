"""VAE: a variational autoencoder (Kingma & Welling, "Auto-encoding variational Bayes", ICLR 2014)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from oodbench.detectors.base import DetectorError, Shape, register
from oodbench.detectors.components.autoencoder import Autoencoder, Pass
from oodbench.detectors.components.settings import defaults_beside


@register("vae")
@dataclass(kw_only=True, eq=False, repr=False)
class VAE(Autoencoder):
    """Variational autoencoder; scores by the negative ELBO at the posterior's mean.

    Trained on ``L = d(x, D(z)) + β KL(q(z|x) ‖ N(0, I))`` with z drawn from q (Kingma & Welling 2014, equation 10);
    scored by the same sum with z at the mean of q, so that a score is not a random draw.

    The latents of the training images, drawn from q, do not fill N(0, I) evenly, and what lies between them decodes to
    no image. Samples therefore come from a mixture that is fitted to them, as those of the methods without a prior do.

    Parameters
    ----------
    kl_weight : float, optional
        β (Higgins et al. 2017); 1 is the ELBO.
    prior : {"mixture", "normal"}
        What samples decode: draws from that mixture, or from N(0, I) as in the paper.
    """

    kl_weight: float | None = None
    prior: str = "mixture"

    DEFAULTS: ClassVar[Mapping[str, Mapping[str, Any]]] = defaults_beside(__file__)
    SEARCH: ClassVar[Mapping[str, Sequence[Any]]] = {**Autoencoder.SEARCH, "kl_weight": (0.03, 0.1, 0.3, 1.0, 3.0)}
    encoder_features: ClassVar[int] = 2

    def _pass(self, images: Tensor, noise: torch.Generator | None) -> Pass:
        mean, log_variance = self.network_["encoder"](images).float().chunk(2, dim=1)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
        latents = mean
        if noise is not None:
            latents = mean + (0.5 * log_variance).exp() * torch.empty_like(mean).normal_(generator=noise)
        read, addressing = self._bridge(latents)
        penalty = self.settings_["kl_weight"] * divergence
        return Pass(self.network_["decoder"](read), latents, penalty if addressing is None else penalty + addressing)

    def _build(self, shape: Shape) -> None:
        super()._build(shape)
        if self.prior not in ("mixture", "normal"):
            raise DetectorError(f"prior is 'mixture' or 'normal', not {self.prior!r}.")

    def _draw_latents(self, n: int, generator: torch.Generator | None) -> Tensor:
        if self.prior == "normal":
            return torch.randn(n, self.settings_["latent_size"], generator=generator)
        return super()._draw_latents(n, generator)

    def diagnostics(self, images: Tensor) -> dict[str, float]:
        """Add the number of active latent units (Burda et al. 2016, §5.2); see `Detector.health`.

        A unit is active if the posterior's mean varies by more than 0.01 across images; none is active after a
        posterior collapse.
        """
        active = (self._latents(images).var(0, correction=0) > 0.01).sum()
        return {**super().diagnostics(images), "active_units": float(active)}
