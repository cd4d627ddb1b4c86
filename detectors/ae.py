"""AE: a convolutional autoencoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from oodbench.detectors.autoencoder import Autoencoder, Pass
from oodbench.detectors.base import register
from oodbench.detectors.density import fit_mixture, sample_mixture


@register("ae")
@dataclass(kw_only=True, eq=False, repr=False)
class AE(Autoencoder):
    """Convolutional autoencoder; scores by reconstruction error.

    Trained on ``L = d(x, D(E(x)))`` and scored by the same d. It has no prior: samples come from a Gaussian mixture
    that is fitted to the training latents afterwards (Ghosh et al., ICLR 2020).

    Parameters
    ----------
    mixture_components : int
        Gaussians of that mixture.
    """

    mixture_components: int = 10

    DEFAULTS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "tiny": {**Autoencoder.DEFAULTS["tiny"], "latent_size": 8},
        "grey": {**Autoencoder.DEFAULTS["grey"], "latent_size": 16},
        "colour": {**Autoencoder.DEFAULTS["colour"], "latent_size": 64},
    }

    def _pass(self, images: Tensor, noise: torch.Generator | None) -> Pass:
        latents = self.network_["encoder"](images)
        read, penalty = self._bridge(latents)
        return Pass(self.network_["decoder"](read), latents, penalty)

    def _after_training(self, latents: Tensor) -> None:
        mixture = fit_mixture(latents, components=self.settings_["mixture_components"], seed=self.seed)
        self.mixture_weights_, self.mixture_means_ = mixture["weights"], mixture["means"]
        self.mixture_factors_ = mixture["factors"]

    def _draw_latents(self, n: int, generator: torch.Generator | None) -> Tensor:
        mixture = {
            "weights": self.mixture_weights_,
            "means": self.mixture_means_,
            "factors": self.mixture_factors_,
        }
        return sample_mixture(mixture, n, generator)
