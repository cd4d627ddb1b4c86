"""gmm: a Gaussian mixture on principal components (Bishop, "Pattern Recognition and Machine Learning", 2006, §9.2)."""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor

from oodbench.detectors.base import Monitor, register
from oodbench.detectors.components.gaussian_mixture import fit_mixture, log_density, sample_mixture
from oodbench.detectors.components.principal_components import PrincipalComponents
from oodbench.detectors.components.types import NonNegativeInt, PositiveInt

MIN_NOISE = 1e-4
"""Smallest variance outside the components: that which the mixture adds to its own."""


@register("gmm")
class GMM(PrincipalComponents):
    """Negative log-likelihood under a Gaussian mixture on principal components, with isotropic noise outside them.

    Inside the components the Gaussians have full covariances; in the D − K directions outside them, one variance σ²,
    the mean of those left out, as in probabilistic principal component analysis (Tipping & Bishop, J. R. Stat. Soc. B
    61(3), 1999, equations 7 and 8), which is the case of one Gaussian. To the mixture's negative log-likelihood this
    adds ``‖x − x̂‖²/2σ² + (D − K)/2 · ln 2πσ²``. Samples are the mixture's, without that noise.

    Parameters
    ----------
    n_gaussians : int
        Number of Gaussians in the mixture; fewer where there are few training images.
    n_components : int
        Number of principal components.
    seed : int
        Seeds the decomposition and the initial clustering.
    """

    def __init__(
        self, *, n_gaussians: PositiveInt = 10, n_components: PositiveInt = 64, seed: NonNegativeInt = 0
    ) -> None:
        super().__init__(n_components=n_components, seed=seed)
        self.n_gaussians = n_gaussians

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Fit the mixture to images (N, C, H, W); see `Detector.fit`."""
        mixture = fit_mixture(self._fit_axes(images, self.n_components), n_gaussians=self.n_gaussians, seed=self.seed)
        self.weights_, self.means_, self.factors_ = mixture["weights"], mixture["means"], mixture["factors"]
        return self

    def score(self, images: Tensor) -> Tensor:
        """Return the negative log-likelihood of images (N, C, H, W), (N,); see `Detector.score`."""
        inside = log_density(self._mixture(), self._project(images))
        count, pixels = self.axes_.shape
        noise = self.noise_.double().clamp_min(MIN_NOISE)
        outside = 0.5 * (self._residual(images) / noise + (pixels - count) * (2 * math.pi * noise).log())
        return (outside - inside).float()

    def reconstruct(self, images: Tensor) -> Tensor:
        """Return images (N, C, H, W) as their components have them; see `Detector.reconstruct`."""
        return self._lift(self._project(images))

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw n images (n, C, H, W) from the mixture; see `Detector.sample`."""
        return self._lift(sample_mixture(self._mixture(), n, generator))

    def _mixture(self) -> dict[str, Tensor]:
        return {"weights": self.weights_, "means": self.means_, "factors": self.factors_}
