"""ppca: probabilistic principal component analysis (Tipping & Bishop, J. R. Stat. Soc. B 61(3), 1999)."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from oodbench.detectors.base import Monitor, register
from oodbench.detectors.components.principal_components import PrincipalComponents

MIN_VARIANCE = 1e-6


@register("ppca")
class PPCA(PrincipalComponents):
    """One Gaussian over all pixels, with the principal components' variances and one variance for the rest.

    The model is ``x = Wz + x̄ + ε`` with z ~ N(0, I) and ε ~ N(0, σ²I) (Tipping & Bishop 1999, equation 2). The score
    is the squared Mahalanobis distance ``Σₖ pₖ²/λₖ + ‖residual‖²/σ²``, which is twice the negative log-likelihood less
    a constant. Samples are Wz + x̄.

    Parameters
    ----------
    n_components : int
        Number of components that have a variance of their own.
    seed : int
        Seeds the randomised decomposition.
    """

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Find components and variances of images (N, C, H, W); see `Detector.fit`."""
        self._fit_axes(images, self.n_components)
        return self

    def score(self, images: Tensor) -> Tensor:
        """Return the squared Mahalanobis distance of images (N, C, H, W), (N,); see `Detector.score`."""
        projections = self._project(images)
        residual = (images - self.mean_).flatten(1) - projections @ self.axes_
        inside = (projections.square() / self.variances_.clamp_min(MIN_VARIANCE)).sum(1)
        outside: Tensor = residual.square().sum(1) / self.noise_.clamp_min(MIN_VARIANCE)
        return inside + outside

    def reconstruct(self, images: Tensor) -> Tensor:
        """Return images (N, C, H, W) as their components have them; see `Detector.reconstruct`."""
        return self._lift(self._project(images))

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw n images (n, C, H, W); see `Detector.sample`."""
        signal = (self.variances_ - self.noise_).clamp_min(0).sqrt()
        return self._lift(torch.randn(n, len(signal), generator=generator) * signal)
