"""ocsvm: one-class support vector machine (Schölkopf et al., Neural Computation 13(7), 2001)."""

from __future__ import annotations

from typing import Self

import torch
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.svm import OneClassSVM
from torch import Tensor

from oodbench.detectors.base import Monitor, register
from oodbench.detectors.components.principal_components import PrincipalComponents
from oodbench.detectors.components.seeding import seeded
from oodbench.detectors.components.types import NonNegativeInt, PositiveFloat, PositiveInt, Share

BATCH = 1000
"""Images scored at a time: the kernel matrix of all images would take up most of the memory."""


@register("ocsvm")
class OCSVM(PrincipalComponents):
    """One-class support vector machine with a Gaussian kernel, on principal components and the residual.

    Its decision function is ``Σᵢ αᵢ k(xᵢ, x) − ρ`` (Schölkopf et al. 2001, equation 10), with ``k(x, y) =
    exp(−γ‖x − y‖²)``. Far from all support vectors the sum vanishes, and −ρ is all that floating-point numbers keep of
    it. The score is therefore ``ln ρ − ln Σᵢ αᵢ k(xᵢ, x)``: it orders images as the decision function does, is positive
    where that is negative, and goes on growing as ``γ‖x − xᵢ‖²``. An image is its projections and the length of what
    they leave out.

    Parameters
    ----------
    nu : float
        ν, an upper bound on the share of training images outside, in (0, 1].
    gamma : float
        γ of the kernel in units of one over the features' total variance; 1 is scikit-learn's ``scale``.
    n_components : int
        Number of principal components.
    seed : int
        Seeds the randomised decomposition.
    """

    def __init__(
        self,
        *,
        nu: Share = 0.1,
        gamma: PositiveFloat = 16.0,
        n_components: PositiveInt = 64,
        seed: NonNegativeInt = 0,
    ) -> None:
        super().__init__(n_components=n_components, seed=seed)
        self.nu = nu
        self.gamma = gamma

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Find the support vectors of images (N, C, H, W); see `Detector.fit`."""
        self._fit_axes(images, self.n_components)
        points = self._features(images).double()
        gamma = self.gamma / max(float(points.var(0, correction=0).sum()), 1e-6)
        with seeded(self.seed):  # scikit-learn seeds the solver from NumPy's global random state
            machine = OneClassSVM(nu=self.nu, gamma=gamma).fit(points.numpy())
        self.support_vectors_ = torch.from_numpy(machine.support_vectors_.copy())
        self.weights_ = torch.from_numpy(machine.dual_coef_[0].copy())
        self.offset_ = torch.tensor(float(machine.offset_[0]), dtype=torch.float64)
        self.gamma_ = torch.tensor(gamma, dtype=torch.float64)
        return self

    def score(self, images: Tensor) -> Tensor:
        """Return ρ over the kernels' sum at images (N, C, H, W), its logarithm, (N,); see `Detector.score`."""
        sums = [self._log_sum(points) for points in self._features(images).double().split(BATCH)]
        return (self.offset_.log() - torch.cat(sums)).float()

    def _log_sum(self, points: Tensor) -> Tensor:
        """Return the logarithm of the weighted sum of kernels at points (N, K + 1), (N,)."""
        squares = euclidean_distances(points.numpy(), self.support_vectors_.numpy(), squared=True)
        return torch.logsumexp(self.weights_.log() - self.gamma_ * torch.from_numpy(squares), 1)
