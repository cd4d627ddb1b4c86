"""lof: local outlier factor (Breunig, Kriegel, Ng & Sander, "LOF: identifying density-based local outliers", 2000)."""

from __future__ import annotations

from typing import Self

import torch
from sklearn.neighbors import LocalOutlierFactor
from torch import Tensor

from oodbench.detectors.base import Monitor, register
from oodbench.detectors.components.principal_components import PrincipalComponents
from oodbench.detectors.components.types import NonNegativeInt, PositiveInt


@register("lof")
class LOF(PrincipalComponents):
    """How much sparser it is around an image than around its neighbors, on principal components and the residual.

    Scores by the local outlier factor (Breunig et al. 2000, definition 7): the mean local reachability density of the
    k nearest training images over that of the image, about 1 within a cluster however dense. An image is its
    projections and the scaled length of what they leave out. The model is scikit-learn's, which can only be pickled:
    the training points are stored instead, and it is fitted to them again when it is loaded.

    Parameters
    ----------
    n_neighbors : int
        k, the number of nearest training images; all others where there are fewer.
    n_components : int
        Number of principal components.
    seed : int
        Seeds the randomised decomposition.
    """

    def __init__(
        self, *, n_neighbors: PositiveInt = 20, n_components: PositiveInt = 64, seed: NonNegativeInt = 0
    ) -> None:
        super().__init__(n_components=n_components, seed=seed)
        self.n_neighbors = n_neighbors

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Keep images (N, C, H, W) as points, and find the density around each; see `Detector.fit`."""
        points = self._fit_features(images, self.n_components)
        self.points_ = points if len(points) > 1 else points.repeat(2, 1)  # a point needs a neighbor
        self._fit_model()
        return self

    def score(self, images: Tensor) -> Tensor:
        """Return the local outlier factor of images (N, C, H, W), (N,); see `Detector.score`."""
        return torch.from_numpy(-self.model_.score_samples(self._features(images).double().numpy())).float()

    def restore(self, state: dict[str, Tensor]) -> None:
        """Fit again to the stored points; see `Detector.restore`."""
        super().restore(state)
        self._fit_model()

    def _fit_model(self) -> None:
        neighbors = min(self.n_neighbors, len(self.points_) - 1)
        # in float32, small distances drown in rounding errors
        self.model_ = LocalOutlierFactor(n_neighbors=neighbors, novelty=True).fit(self.points_.double().numpy())
