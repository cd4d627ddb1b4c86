"""The Gaussian posterior of a variational autoencoder (Kingma & Welling, ICLR 2014, §2.4 and appendix B)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

Prior = Literal["mixture", "normal"]
"""What samples are decoded from: a mixture fitted to the training images' latents, or N(0, I)."""

SEARCH: Mapping[str, Sequence[Any]] = {"kl_weight": (0.03, 0.1, 0.3, 1.0, 3.0)}
"""See `Detector.SEARCH`."""
ABLATIONS: Mapping[str, Mapping[str, Any]] = {"KL divergence": {"kl_weight": 0.0}}
"""See `Detector.ABLATIONS`."""


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
