"""ocsvm: one-class support vector machine (Schölkopf et al., Neural Computation 13(7), 2001)."""

from __future__ import annotations

from typing import Self

import torch
from sklearn.metrics.pairwise import rbf_kernel
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
    """One-class support vector machine with a Gaussian kernel, on principal components.

    Scores by the negative decision function, ``ρ − Σᵢ αᵢ k(xᵢ, x)`` (Schölkopf et al. 2001, equation 10), with
    ``k(x, y) = exp(−γ‖x − y‖²)``.

    Parameters
    ----------
    nu : float
        ν, an upper bound on the share of training images outside, in (0, 1].
    gamma : float
        γ of the kernel in units of one over the total variance along the components, as scikit-learn's ``scale``.
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
        projections = self._fit_axes(images, self.n_components).double().numpy()
        gamma = self.gamma / max(float(self.variances_.sum()), 1e-6)
        with seeded(self.seed):  # scikit-learn seeds the solver from NumPy's global random state
            machine = OneClassSVM(nu=self.nu, gamma=gamma).fit(projections)
        self.support_vectors_ = torch.from_numpy(machine.support_vectors_.copy())
        self.weights_ = torch.from_numpy(machine.dual_coef_[0].copy())
        self.offset_ = torch.tensor(float(machine.offset_[0]), dtype=torch.float64)
        self.gamma_ = torch.tensor(gamma, dtype=torch.float64)
        return self

    def score(self, images: Tensor) -> Tensor:
        """Return the negative decision function of images (N, C, H, W), (N,); see `Detector.score`."""
        supports, gamma = self.support_vectors_.numpy(), float(self.gamma_)
        sums = [
            torch.from_numpy(rbf_kernel(points.numpy(), supports, gamma=gamma)) @ self.weights_
            for points in self._project(images).double().split(BATCH)
        ]
        return (self.offset_ - torch.cat(sums)).float()
