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
    """Negative log-likelihood under a Gaussian mixture with full covariances, on principal components and the residual.

    An image is its projections and the scaled length of what they leave out. Probabilistic principal component analysis
    (Tipping & Bishop, J. R. Stat. Soc. B 61(3), 1999) has isotropic noise outside the components instead. Its
    ``‖x − x̂‖²/2σ²`` would drown the mixture: natural images' residuals vary far more than noise in thousands of
    directions does, so that plain ones, whose residual is small, would be the likeliest of all. Here the mixture
    learns how long they are; a blurred image can still be likelier than a sharp one, for its projections are smaller.
    Samples are the mixture's projections.

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
        points = self._fit_features(images, self.n_components)
        mixture = fit_mixture(points, n_gaussians=self.n_gaussians, seed=self.seed)
        self.weights_, self.means_, self.factors_ = mixture["weights"], mixture["means"], mixture["factors"]
        return self

    def score(self, images: Tensor) -> Tensor:
        """Return the negative log-likelihood of images (N, C, H, W), (N,); see `Detector.score`."""
        return -log_density(self._mixture(), self._features(images)).float()

    def reconstruct(self, images: Tensor) -> Tensor:
        """Return images (N, C, H, W) as their components have them; see `Detector.reconstruct`."""
        return self._lift(self._project(images))

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw n images (n, C, H, W) from the mixture; see `Detector.sample`."""
        return self._lift(sample_mixture(self._mixture(), n, generator)[:, :-1])

    def _mixture(self) -> dict[str, Tensor]:
        return {"weights": self.weights_, "means": self.means_, "factors": self.factors_}
