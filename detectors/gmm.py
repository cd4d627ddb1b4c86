"""gmm: a Gaussian mixture on principal components (Bishop, "Pattern Recognition and Machine Learning", 2006, §9.2)."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from oodbench.detectors.base import Monitor, register
from oodbench.detectors.components.density import fit_mixture, log_density, sample_mixture
from oodbench.detectors.components.projection import Projecting


@register("gmm")
class GMM(Projecting):
    """Negative log-likelihood under a Gaussian mixture with full covariances, fitted to principal components.

    Parameters
    ----------
    mixture_components : int
        How many Gaussians.
    components : int
        How many principal components.
    seed : int
        Of the decomposition and of the mixture's initial clustering.
    """

    def __init__(self, *, mixture_components: int = 10, components: int = 64, seed: int = 0) -> None:
        super().__init__(components=components, seed=seed)
        self.mixture_components = mixture_components

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Fit the mixture to images (N, C, H, W); see `Detector.fit`."""
        mixture = fit_mixture(self._fit_projection(images), components=self.mixture_components, seed=self.seed)
        self.weights_, self.means_, self.factors_ = mixture["weights"], mixture["means"], mixture["factors"]
        return self

    def score(self, images: Tensor) -> Tensor:
        """Score images (N, C, H, W) by their negative log-likelihood, (N,); see `Detector.score`."""
        return -log_density(self._mixture(), self._project(images)).float()

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw n images (n, C, H, W) from the mixture; see `Detector.sample`."""
        return self._lift(sample_mixture(self._mixture(), n, generator))

    def _mixture(self) -> dict[str, Tensor]:
        return {"weights": self.weights_, "means": self.means_, "factors": self.factors_}
