"""local-outlier-factor: a detector from scikit-learn."""

from typing import ClassVar, Self

import torch
from sklearn.neighbors import LocalOutlierFactor
from torch import Tensor

from oodbench.detectors import Detector, Monitor, check_images, register


@register("local-outlier-factor")
class LOF(Detector):
    """Local outlier factor of the pixels (Breunig et al., SIGMOD 2000)."""

    EXPECTED_FAILURES: ClassVar = {"fits_1_image": "a single image has no neighbors"}

    def __init__(self, *, n_neighbors: int = 20) -> None:
        self.n_neighbors = n_neighbors

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Learn from normal images, float32 (N, C, H, W) in [0, 1]."""
        check_images(images)
        self.images_ = images.clone()
        self._fit_model()
        return self

    def score(self, images: Tensor) -> Tensor:
        """Return float32 (N,); higher is more out-of-distribution."""
        check_images(images, self.images_.shape[1:])
        scores = -self.model_.score_samples(images.flatten(1).double().numpy())
        return torch.from_numpy(scores).float()

    # A model of scikit-learn can only be saved as a pickle, which could run code when it is loaded. The training images
    # are a tensor, and saved like every tensor in an attribute that ends in _; the model is fitted to them again.
    def restore(self, state: dict[str, Tensor]) -> None:
        """Rebuild the fitted model from the tensors that were saved."""
        super().restore(state)
        self._fit_model()

    def _fit_model(self) -> None:
        n_neighbors = min(self.n_neighbors, len(self.images_) - 1)
        self.model_ = LocalOutlierFactor(n_neighbors=n_neighbors, novelty=True).fit(
            self.images_.flatten(1).double().numpy()
        )
