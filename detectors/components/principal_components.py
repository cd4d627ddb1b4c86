"""Principal components, in whose space the classical methods work."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.decomposition import PCA as SklearnPCA
from torch import Tensor

from oodbench.detectors.base import Detector, check_images
from oodbench.detectors.components.types import NonNegativeInt, PositiveInt

MAX_SCALE = 10.0
"""Largest factor of the residual's square root, for training images that the components span."""


class PrincipalComponents(Detector):
    """Base of the methods that see an image as its projection on the training images' principal components.

    By Pythagoras, an image's squared distance to anything within the components is that of the projections plus its
    residual, the squared error outside them. A method that leaves the residual out takes whatever lies across the
    components, such as noise, for normal. `_features` therefore has the residual's square root as one more coordinate,
    scaled to vary among the training images as much as the first component: it stands for thousands of directions.

    Parameters
    ----------
    n_components : int
        K, the number of principal components; no more than there are training images, nor than a quarter of the
        pixels.
    seed : int
        Seeds the randomised decomposition.

    Attributes
    ----------
    mean_ : Tensor
        float32 (C, H, W), the mean training image.
    axes_ : Tensor
        float32 (K, C·H·W), orthonormal.
    residual_scale_ : Tensor
        float32 (), the factor of the residual's square root among the features; where features are used.
    """

    mean_: Tensor
    axes_: Tensor
    residual_scale_: Tensor

    def __init__(self, *, n_components: PositiveInt = 64, seed: NonNegativeInt = 0) -> None:
        self.n_components = n_components
        self.seed = seed

    def _fit_axes(self, images: Tensor, n_components: int) -> Tensor:
        """Find at most so many axes of training images (N, C, H, W), and return their projections (N, K)."""
        check_images(images)
        points = images.flatten(1).numpy()
        if len(points) == 1:  # scikit-learn asks for two
            points = points.repeat(2, axis=0)
        with np.errstate(invalid="ignore"):  # a share of no variance, which nobody needs
            count = max(1, min(n_components, len(points), points.shape[1] // 4))
            pca = SklearnPCA(count, random_state=self.seed).fit(points)
        self.mean_ = torch.from_numpy(pca.mean_).float().view(images.shape[1:])
        self.axes_ = torch.from_numpy(pca.components_).float().contiguous()  # as it is when loaded
        return self._project(images)

    def _project(self, images: Tensor) -> Tensor:
        """Return the projections (N, K) of images (N, C, H, W)."""
        check_images(images, self.mean_.shape)
        projections: Tensor = (images - self.mean_).flatten(1) @ self.axes_.T
        return projections

    def represent(self, images: Tensor) -> Tensor:
        """Return the projections (N, K) of images (N, C, H, W); see `Detector.represent`."""
        return self._project(images)

    def error(self, images: Tensor) -> Tensor:
        """Return the residual of images (N, C, H, W), (N,); see `Detector.error`."""
        return self._residual(images)

    def _residual(self, images: Tensor) -> Tensor:
        """Return the squared error (N,) of images (N, C, H, W) outside the components."""
        within = self._project(images) @ self.axes_
        outside = (images - self.mean_).flatten(1) - within
        residual: Tensor = outside.square().sum(1)
        return residual

    def _features(self, images: Tensor) -> Tensor:
        """Return the projections of images (N, C, H, W) and the scaled length of the rest, (N, K + 1)."""
        length = self._residual(images).sqrt() * self.residual_scale_
        return torch.cat([self._project(images), length.unsqueeze(1)], 1)

    def _fit_features(self, images: Tensor, n_components: int) -> Tensor:
        """Find at most so many axes of training images (N, C, H, W), and return their features (N, K + 1)."""
        projections = self._fit_axes(images, n_components)
        lengths = self._residual(images).sqrt()
        spread, first = lengths.std(correction=0), projections[:, 0].std(correction=0)
        scale = first / torch.maximum(spread, first / MAX_SCALE)
        self.residual_scale_ = torch.where(first > 0, scale, 1.0)  # of equal images nothing varies
        return self._features(images)

    def _lift(self, projections: Tensor) -> Tensor:
        """Return the images (N, C, H, W) in [0, 1] that projections (N, K) stand for."""
        images: Tensor = (projections @ self.axes_).unflatten(1, self.mean_.shape) + self.mean_
        return images.clamp(0, 1)
