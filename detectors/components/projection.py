"""Principal components, in whose space the classical methods work."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.decomposition import PCA as SklearnPCA
from torch import Tensor

from oodbench.detectors.base import Detector, check_images


class Projecting(Detector):
    """Base of the methods that see an image as its projection on the training images' principal components.

    Parameters
    ----------
    components : int
        K, how many; no more than there are training images, nor than a quarter of the pixels.
    seed : int
        Of the randomised decomposition.

    Attributes
    ----------
    mean_ : Tensor
        (C, H, W), the mean training image.
    axes_ : Tensor
        (K, C·H·W), orthonormal.
    variances_ : Tensor
        (K,), along the axes.
    noise_ : Tensor
        (), mean variance along each direction that is left out.
    """

    mean_: Tensor
    axes_: Tensor
    variances_: Tensor
    noise_: Tensor

    def __init__(self, *, components: int = 64, seed: int = 0) -> None:
        self.components = components
        self.seed = seed

    def _fit_projection(self, images: Tensor) -> Tensor:
        """Find the axes, and give the projections (N, K) of training images (N, C, H, W)."""
        check_images(images)
        points = images.flatten(1).numpy()
        if len(points) == 1:  # scikit-learn asks for two
            points = points.repeat(2, axis=0)
        with np.errstate(invalid="ignore"):  # a share of no variance, which nobody needs
            count = max(1, min(self.components, len(points), points.shape[1] // 4))
            pca = SklearnPCA(count, random_state=self.seed).fit(points)
        self.mean_ = torch.from_numpy(pca.mean_).float().view(images.shape[1:])
        self.axes_ = torch.from_numpy(pca.components_).float()
        self.variances_ = torch.from_numpy(pca.explained_variance_).float()
        self.noise_ = torch.tensor(float(pca.noise_variance_))
        return self._project(images)

    def _project(self, images: Tensor) -> Tensor:
        """Project images (N, C, H, W) to (N, K)."""
        check_images(images, self.mean_.shape)
        projections: Tensor = (images - self.mean_).flatten(1) @ self.axes_.T
        return projections

    def _lift(self, projections: Tensor) -> Tensor:
        """Give the images (N, C, H, W) in [0, 1] that projections (N, K) stand for."""
        images: Tensor = (projections @ self.axes_).unflatten(1, self.mean_.shape) + self.mean_
        return images.clamp(0, 1)
