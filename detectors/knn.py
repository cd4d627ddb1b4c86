"""knn: distance to the nearest training images (Ramaswamy et al., "Efficient algorithms for mining outliers", 2000)."""

from __future__ import annotations

from typing import Self

import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from oodbench.detectors.base import Monitor, register
from oodbench.detectors.components.principal_components import PrincipalComponents
from oodbench.detectors.components.types import NonNegativeInt, PositiveInt


@register("knn")
class KNN(PrincipalComponents):
    """Mean squared distance to the k nearest training images as the principal components have them.

    ``‖x − x̂‖² + (1/k) Σᵢ ‖p − pᵢ‖²`` with x̂ the image within the components, p its projection and pᵢ those of its k
    nearest training images: by Pythagoras, the mean of ``‖x − x̂ᵢ‖²``. An image of one colour has no residual, and is
    near to training images that are themselves smooth.

    Parameters
    ----------
    n_neighbors : int
        k, the number of nearest training images; all of them where there are fewer.
    n_components : int
        Number of principal components.
    seed : int
        Seeds the randomised decomposition.
    """

    def __init__(
        self, *, n_neighbors: PositiveInt = 5, n_components: PositiveInt = 64, seed: NonNegativeInt = 0
    ) -> None:
        super().__init__(n_components=n_components, seed=seed)
        self.n_neighbors = n_neighbors

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Keep the projections of images (N, C, H, W); see `Detector.fit`."""
        self.projections_ = self._fit_axes(images, self.n_components)
        return self

    def score(self, images: Tensor) -> Tensor:
        """Return the mean squared distance of images (N, C, H, W) to their neighbors, (N,); see `Detector.score`."""
        known = self.projections_.double().numpy()  # in float32, small distances drown in rounding errors
        index = NearestNeighbors(n_neighbors=min(self.n_neighbors, len(known)), algorithm="brute").fit(known)
        distances, _ = index.kneighbors(self._project(images).double().numpy())
        return torch.from_numpy((distances**2).mean(1)).float() + self._residual(images)

    def error(self, images: Tensor) -> Tensor:
        """Return the score, which is a squared distance already; see `Detector.error`."""
        return self.score(images)
