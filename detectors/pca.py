"""pca: reconstruction from principal components (Pearson 1901; a linear autoencoder)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

from torch import Tensor

from oodbench.detectors.base import Monitor, register
from oodbench.detectors.components.principal_components import PrincipalComponents


@register("pca")
class PCA(PrincipalComponents):
    """Reconstruction error of principal components: ``‖x − x̂‖²``; a linear autoencoder.

    An image that the components span scores low whatever it shows. They are smooth, so an image of one colour, or a
    blurred one, is more normal to this method than normal images are: no residual can be an outlier downwards.

    Parameters
    ----------
    n_components : int
        Number of components that are kept.
    seed : int
        Seeds the randomised decomposition.
    """

    EXPECTED_FAILURES: ClassVar[Mapping[str, str]] = {
        "constant_images_score_higher": "the components nearly span images of one colour; see the class",
    }

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Find the components of images (N, C, H, W); see `Detector.fit`."""
        self._fit_axes(images, self.n_components)
        return self

    def score(self, images: Tensor) -> Tensor:
        """Return the squared error of images (N, C, H, W) outside the components, (N,); see `Detector.score`."""
        return self._residual(images)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Return images (N, C, H, W) as their components have them; see `Detector.reconstruct`."""
        return self._lift(self._project(images))
