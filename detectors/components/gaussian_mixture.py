"""Ex-post density estimation (Ghosh et al., "From variational to deterministic autoencoders", ICLR 2020, §4).

A deterministic autoencoder has no prior to sample from; a Gaussian mixture fitted to the training images' latents,
after training, serves as one.
"""

from __future__ import annotations

import math
import warnings

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Tensor

MAX_ITERATIONS = 20
"""Of expectation-maximisation."""


def fit_mixture(latents: Tensor, *, n_gaussians: int, seed: int) -> dict[str, Tensor]:
    """Fit a Gaussian mixture with full covariances.

    Parameters
    ----------
    latents : Tensor
        float32 (N, L).
    n_gaussians : int
        The largest number of Gaussians; fewer where there are few latents.
    seed : int
        Seeds the initial clustering.

    Returns
    -------
    dict of str to Tensor
        ``weights`` (K,), ``means`` (K, L) and ``factors`` (K, L, L), the covariances' Cholesky factors; float64.
    """
    points = latents.double().numpy()
    # a Gaussian needs several points to have a covariance at all
    count = max(1, min(n_gaussians, len(points) // 10))
    if len(points) == 1:  # scikit-learn asks for two
        points = points.repeat(2, axis=0)
    mixture = GaussianMixture(count, random_state=seed, reg_covar=1e-4, max_iter=MAX_ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # samples do not profit from the last digits
        mixture.fit(points)
    return {
        "weights": torch.from_numpy(mixture.weights_),
        "means": torch.from_numpy(mixture.means_),
        "factors": torch.linalg.cholesky(torch.from_numpy(mixture.covariances_)),
    }


def sample_mixture(mixture: dict[str, Tensor], n: int, generator: torch.Generator | None) -> Tensor:
    """Draw points from a mixture.

    Parameters
    ----------
    mixture : dict of str to Tensor
        From `fit_mixture`.
    n : int
        The number of points.
    generator : torch.Generator, optional
        Source of randomness on the CPU; torch's global one by default.

    Returns
    -------
    Tensor
        float32 (n, L).
    """
    chosen = torch.multinomial(mixture["weights"], n, replacement=True, generator=generator)
    noise = torch.randn(n, mixture["means"].shape[1], generator=generator, dtype=torch.float64)
    return (mixture["means"][chosen] + torch.einsum("nij,nj->ni", mixture["factors"][chosen], noise)).float()


def log_density(mixture: dict[str, Tensor], points: Tensor) -> Tensor:
    """Return the logarithm of a mixture's density.

    Parameters
    ----------
    mixture : dict of str to Tensor
        From `fit_mixture`.
    points : Tensor
        float32 (n, L).

    Returns
    -------
    Tensor
        float64 (n,).
    """
    parts = []
    for mean, factor in zip(mixture["means"], mixture["factors"], strict=True):
        whitened = torch.linalg.solve_triangular(factor, (points.double() - mean).T, upper=False)
        constant = factor.diagonal().log().sum() + 0.5 * len(mean) * math.log(2 * math.pi)
        parts.append(-0.5 * whitened.square().sum(0) - constant)
    return torch.logsumexp(torch.stack(parts, 1) + mixture["weights"].log(), 1)
