"""The memory of prototypical normal patterns (Gong et al., "Memorizing Normality to Detect Anomaly", ICCV 2019)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

SEARCH: Mapping[str, Sequence[Any]] = {
    "memory_size": (50, 100, 200, 500),
    "shrinkage": (1.0, 2.0, 3.0),
    "temperature": (0.05, 0.1, 0.3, 1.0),
}
"""See `Detector.SEARCH`."""
ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "memory": {"memory": False},
    "entropy of the addressing": {"entropy_weight": 0.0},
    "shrinkage of the addressing": {"shrinkage": 0.0},
    "sharp attention": {"temperature": 1.0},
}
"""See `Detector.ABLATIONS`."""

MANY_DEAD_QUERIES = 0.01
"""Share of queries."""
ONE_SLOT_FOR_ALL = 1e-5
"""Entropy of the slots' usage, as a share of its maximum."""
NEARLY_ALL_SLOTS = 0.99
"""Share of slots."""


class Memory(nn.Module):
    """Slots that a query reads by attention (Gong et al. 2019, §3.2-3.3).

    Addressing, equations 3 to 7 of the paper::

        w_i = softmax_i(cos(z, m_i) / t)                cosine attention; the paper has t = 1
        s_i = w_i where w_i > λ, else 0                 hard shrinkage (equation 7 without its ε)
        ŵ   = s / ‖s‖₁                                  renormalised
        ẑ   = ŵ M                                       what is read

    A query whose every weight falls under λ would get ŵ = 0 and pass no gradient on (it is *dead*); it keeps its
    largest weight instead.

    Parameters
    ----------
    slots : int
        N, the number of slots.
    size : int
        Length of a slot, and of a query.
    shrinkage : float
        λ in units of 1/N; the paper recommends 1 to 3.
    temperature : float
        t; smaller is sharper.
    """

    def __init__(self, slots: int, size: int, *, shrinkage: float = 1.0, temperature: float = 1.0) -> None:
        super().__init__()
        self.threshold = shrinkage / slots
        self.temperature = temperature
        self.slots = nn.Parameter(torch.randn(slots, size))

    def attend(self, queries: Tensor) -> Tensor:
        """Return the attention before shrinkage.

        Parameters
        ----------
        queries : Tensor
            (..., size).

        Returns
        -------
        Tensor
            (..., N), non-negative, each row summing to 1.
        """
        similarity = functional.linear(functional.normalize(queries, dim=-1), functional.normalize(self.slots, dim=-1))
        return torch.softmax(similarity / self.temperature, dim=-1)

    def shrink(self, attention: Tensor) -> Tensor:
        """Return the addressing weights after hard shrinkage and renormalisation.

        Parameters
        ----------
        attention : Tensor
            (..., N).

        Returns
        -------
        Tensor
            (..., N), each row summing to 1, with zeros where the attention is not above λ.
        """
        kept = (attention > self.threshold) | (attention == attention.amax(-1, keepdim=True))
        return functional.normalize(torch.where(kept, attention, 0.0), p=1, dim=-1)

    def forward(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Read the memory.

        Parameters
        ----------
        queries : Tensor
            (..., size).

        Returns
        -------
        read : Tensor
            (..., size), a weighted mean of slots.
        weights : Tensor
            (..., N), the addressing weights ŵ.
        """
        weights = self.shrink(self.attend(queries.float()))
        return weights @ self.slots, weights

    @torch.inference_mode()
    def diagnostics(self, queries: Tensor) -> dict[str, float]:
        """Measure how the memory is used.

        Parameters
        ----------
        queries : Tensor
            (M, size), of normal images.

        Returns
        -------
        dict of str to float
            ``dead_queries``: share of queries with every weight under λ.
            ``active_slots``: share of slots that hold at least a tenth of the mean weight, over all queries.
            ``slots_per_query``: mean share of slots that one query reads.
            ``slot_usage_entropy``: entropy of the slots' mean weights, in [0, 1] of its maximum.
        """
        attention = self.attend(queries.to(self.slots.device))
        weights = self.shrink(attention)
        usage = weights.mean(0)
        slots = len(usage)
        return {
            "dead_queries": float((attention.amax(-1) <= self.threshold).float().mean()),
            "active_slots": float((usage > 0.1 / slots).float().mean()),
            "slots_per_query": float((weights > 0).float().mean()),
            "slot_usage_entropy": entropy(usage).item() / math.log(max(slots, 2)),
        }


def entropy(weights: Tensor) -> Tensor:
    """Return the Shannon entropy of addressing weights (Gong et al. 2019, equation 9).

    Parameters
    ----------
    weights : Tensor
        (..., N), non-negative, each row summing to 1.

    Returns
    -------
    Tensor
        (...), in nats.
    """
    # the slope of w log w at 0 is infinite, and most weights are 0
    return -(weights * (weights + 1e-12).log()).sum(-1)


def unhealthy(diagnostics: Mapping[str, float]) -> list[str]:
    """Judge what `Memory.diagnostics` measured; see `Detector.unhealthy`."""
    found = []
    if diagnostics.get("dead_queries", 0) > MANY_DEAD_QUERIES:
        found.append(f"{diagnostics['dead_queries']:.0%} of the queries find no memory slot above the threshold")
    if diagnostics.get("slot_usage_entropy", 0.5) < ONE_SLOT_FOR_ALL:
        found.append("one memory slot serves every input")
    if diagnostics.get("slots_per_query", 0.5) > NEARLY_ALL_SLOTS:
        found.append("every input reads all memory slots, so that the memory holds nothing back")
    return found
