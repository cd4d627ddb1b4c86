"""The Gaussian posterior of a variational autoencoder (Kingma & Welling, ICLR 2014, §2.4 and appendix B)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

SEARCH: Mapping[str, Sequence[Any]] = {"variance": (0.01, 0.02, 0.05, 0.1)}
"""See `Detector.SEARCH`."""


def split(encoding: Tensor) -> tuple[Tensor, Tensor]:
    """Return the posterior's parameters that an encoder gives.

    Parameters
    ----------
    encoding : Tensor
        (N, 2F, h, w), the channels of μ before those of log σ².

    Returns
    -------
    mean, log_variance : Tensor
        float32 (N, F·h·w), μ and log σ².
    """
    mean, log_variance = encoding.float().chunk(2, dim=1)
    return mean.flatten(1), log_variance.flatten(1)


def draw(mean: Tensor, log_variance: Tensor, noise: torch.Generator | None) -> Tensor:
    """Draw latents from the posterior by the reparametrisation ``z = μ + σ ε``.

    Parameters
    ----------
    mean, log_variance : Tensor
        (N, L), μ and log σ².
    noise : torch.Generator or None
        Source of ε, on the tensors' device; without it the mean is returned.

    Returns
    -------
    Tensor
        (N, L).
    """
    if noise is None:
        return mean
    return mean + (0.5 * log_variance).exp() * torch.empty_like(mean).normal_(generator=noise)


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of the posterior from N(0, I).

    Parameters
    ----------
    mean, log_variance : Tensor
        (N, L), μ and log σ².

    Returns
    -------
    Tensor
        (N,), in nats.
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)


def active_units(means: Tensor) -> float:
    """Return the number of active latent units (Burda et al. 2016, §5.2).

    Parameters
    ----------
    means : Tensor
        (N, L), the posterior's means for different images.

    Returns
    -------
    float
        How many units' means vary by more than 0.01 across images; 0 after a posterior collapse.
    """
    return float((means.var(0, correction=0) > 0.01).sum())


def unhealthy(diagnostics: Mapping[str, float]) -> list[str]:
    """Judge ``active_units``; see `Detector.unhealthy`."""
    return ["no latent unit is active (posterior collapse)"] if diagnostics.get("active_units", 1) == 0 else []
