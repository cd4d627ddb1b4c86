"""gmm: a Gaussian mixture on principal components (Bishop, "Pattern Recognition and Machine Learning", 2006, §9.2)."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from oodbench.detectors.base import Monitor, register
from oodbench.detectors.components.gaussian_mixture import fit_mixture, log_density, sample_mixture
from oodbench.detectors.components.principal_components import PrincipalComponents
from oodbench.detectors.components.types import NonNegativeInt, PositiveInt


@register("gmm")
class GMM(PrincipalComponents):
    """Negative log-likelihood under a Gaussian mixture with full covariances, fitted to principal components.

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
        return -log_density(self._mixture(), self._project(images)).float()

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw n images (n, C, H, W) from the mixture; see `Detector.sample`."""
        return self._lift(sample_mixture(self._mixture(), n, generator))

    def _mixture(self) -> dict[str, Tensor]:
        return {"weights": self.weights_, "means": self.means_, "factors": self.factors_}
