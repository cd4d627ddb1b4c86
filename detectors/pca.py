"""pca: reconstruction from principal components (Pearson 1901; a linear autoencoder)."""

from __future__ import annotations

from typing import Self

from torch import Tensor

from oodbench.detectors.base import Monitor, register
from oodbench.detectors.components.projection import Projecting


@register("pca")
class PCA(Projecting):
    """Reconstruction error of principal components: ``‖x − x̂‖²``; a linear autoencoder.

    Parameters
    ----------
    components : int
        How many components are kept.
    seed : int
        Of the randomised decomposition.
    """

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Find the components of images (N, C, H, W); see `Detector.fit`."""
        self._fit_projection(images)
        return self

    def score(self, images: Tensor) -> Tensor:
        """Score images (N, C, H, W) by the squared length that the components do not explain, (N,)."""
        projections = self._project(images)
        residual = (images - self.mean_).flatten(1) - projections @ self.axes_
        error: Tensor = residual.square().sum(1)
        return error

    def reconstruct(self, images: Tensor) -> Tensor:
        """Give images (N, C, H, W) as their components have them; see `Detector.reconstruct`."""
        return self._lift(self._project(images))
