"""knn: distance to the nearest training images (Ramaswamy et al., "Efficient algorithms for mining outliers", 2000)."""

from __future__ import annotations

from typing import Self

import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from oodbench.detectors.base import Monitor, register
from oodbench.detectors.components.projection import Projecting


@register("knn")
class KNN(Projecting):
    """Mean distance to the k nearest training images, in principal components.

    Parameters
    ----------
    neighbours : int
        k.
    components : int
        How many principal components.
    seed : int
        Of the randomised decomposition.
    """

    def __init__(self, *, neighbours: int = 5, components: int = 64, seed: int = 0) -> None:
        super().__init__(components=components, seed=seed)
        self.neighbours = neighbours

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Keep the projections of images (N, C, H, W); see `Detector.fit`."""
        self.projections_ = self._fit_projection(images)
        return self

    def score(self, images: Tensor) -> Tensor:
        """Score images (N, C, H, W) by the distance to their neighbours, (N,); see `Detector.score`."""
        known = self.projections_.double().numpy()  # in float32, small distances drown in rounding errors
        index = NearestNeighbors(n_neighbors=min(self.neighbours, len(known)), algorithm="brute").fit(known)
        distances, _ = index.kneighbors(self._project(images).double().numpy())
        return torch.from_numpy(distances.mean(1)).float()
