"""kde: a kernel density estimate on principal components (Parzen, Ann. Math. Statist. 33(3), 1962)."""

from __future__ import annotations

import math
from typing import Self

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from oodbench.detectors.base import Monitor, register
from oodbench.detectors.components.principal_components import PrincipalComponents

MIN_BANDWIDTH = 1e-3
QUERIES = 1000
"""Images whose distances to all training images are held at a time."""


@register("kde")
class KDE(PrincipalComponents):
    """Negative log-density under Gaussian kernels on the training images, in principal components.

    The bandwidth is the one under which training images are most likely, each left out of its own density (Bishop 2006,
    §2.5.1, with leave-one-out cross-validation). Samples are training images with the kernel's noise on their
    components.

    Parameters
    ----------
    n_components : int
        Number of principal components.
    seed : int
        Seeds the randomised decomposition.
    """

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Choose the bandwidth for images (N, C, H, W); see `Detector.fit`."""
        self.projections_ = self._fit_axes(images, self.n_components)
        squares = squared_distances(self.projections_[:QUERIES], self.projections_)
        squares.fill_diagonal_(math.inf)  # left out of its own density
        nearest = squares.amin(1).sqrt().median().item() if len(images) > 1 else 1.0
        spread = self.variances_.sum().sqrt().item()

        def surprise(logarithm: float) -> float:
            return -log_density(squares, math.exp(logarithm), self.axes_.shape[0]).mean().item()

        low = math.log(max(nearest, MIN_BANDWIDTH) / 4)
        best = minimize_scalar(
            surprise, bounds=(low, max(math.log(max(spread, 1e-9)), low + 3)), options={"xatol": 0.03}
        )
        self.bandwidth_ = torch.tensor(math.exp(best.x) if len(images) > 1 else MIN_BANDWIDTH)
        return self

    def score(self, images: Tensor) -> Tensor:
        """Return the negative log-density of images (N, C, H, W), (N,); see `Detector.score`."""
        densities = [
            log_density(squared_distances(chunk, self.projections_), self.bandwidth_.item(), self.axes_.shape[0])
            for chunk in self._project(images).split(QUERIES)
        ]
        return -torch.cat(densities).float()

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw n images (n, C, H, W) from the density; see `Detector.sample`."""
        chosen = torch.randint(len(self.projections_), (n,), generator=generator)
        noise = torch.randn(n, self.projections_.shape[1], generator=generator)
        return self._lift(self.projections_[chosen] + self.bandwidth_ * noise)


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Return the squared Euclidean distances (N, M), in float64, of points (N, K) and (M, K)."""
    a, b = a.double(), b.double()
    squares: Tensor = a.square().sum(1, keepdim=True) + b.square().sum(1) - 2 * a @ b.T
    return squares.clamp_min(0)


def log_density(squares: Tensor, bandwidth: float, dimensions: int) -> Tensor:
    """Return the logarithm of the mean of Gaussian kernels.

    Parameters
    ----------
    squares : Tensor
        float64 (N, M), squared distances to the kernels' centres; infinite for a centre that is left out.
    bandwidth : float
        The kernels' standard deviation.
    dimensions : int
        K, the number of components.

    Returns
    -------
    Tensor
        float64 (N,).
    """
    constant = dimensions * (math.log(bandwidth) + 0.5 * math.log(2 * math.pi))
    return torch.logsumexp(squares * (-0.5 / bandwidth**2), 1) - math.log(squares.shape[1]) - constant
