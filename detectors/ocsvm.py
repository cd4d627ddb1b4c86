"""ocsvm: one-class support vector machine (Schölkopf et al., Neural Computation 13(7), 2001)."""

from __future__ import annotations

from typing import Self

import torch
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.svm import OneClassSVM
from torch import Tensor

from oodbench.detectors.base import Monitor, register
from oodbench.detectors.components.projection import Projecting
from oodbench.detectors.components.randomness import seeded

BATCH = 1000
"""Images scored at a time: the kernel of them all and the support vectors would take up most of the memory."""


@register("ocsvm")
class OCSVM(Projecting):
    """One-class support vector machine with a Gaussian kernel, on principal components.

    Scores by the negative decision function, ``ρ − Σᵢ αᵢ k(xᵢ, x)`` (Schölkopf et al. 2001, equation 10), with
    ``k(x, y) = exp(−γ‖x − y‖²)``.

    Parameters
    ----------
    outlier_share : float
        ν, an upper bound on the share of training images outside, in (0, 1].
    sharpness : float
        γ in units of one over the total variance.
    components : int
        How many principal components.
    seed : int
        Of the randomised decomposition.
    """

    def __init__(
        self, *, outlier_share: float = 0.1, sharpness: float = 16.0, components: int = 64, seed: int = 0
    ) -> None:
        super().__init__(components=components, seed=seed)
        self.outlier_share = outlier_share
        self.sharpness = sharpness

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Find the support vectors of images (N, C, H, W); see `Detector.fit`."""
        projections = self._fit_projection(images).double().numpy()
        gamma = self.sharpness / max(float(self.variances_.sum()), 1e-6)
        with seeded(self.seed):  # scikit-learn seeds the solver from NumPy's global random state
            machine = OneClassSVM(nu=self.outlier_share, gamma=gamma).fit(projections)
        self.support_vectors_ = torch.from_numpy(machine.support_vectors_.copy())
        self.weights_ = torch.from_numpy(machine.dual_coef_[0].copy())
        self.offset_ = torch.tensor(float(machine.offset_[0]), dtype=torch.float64)
        self.gamma_ = torch.tensor(gamma, dtype=torch.float64)
        return self

    def score(self, images: Tensor) -> Tensor:
        """Score images (N, C, H, W) by the negative decision function, (N,); see `Detector.score`."""
        supports, gamma = self.support_vectors_.numpy(), float(self.gamma_)
        sums = [
            torch.from_numpy(rbf_kernel(points.numpy(), supports, gamma=gamma)) @ self.weights_
            for points in self._project(images).double().split(BATCH)
        ]
        return (self.offset_ - torch.cat(sums)).float()
