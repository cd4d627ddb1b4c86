"""The memory of prototypical normal patterns (Gong et al., "Memorizing Normality to Detect Anomaly", ICCV 2019)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from oodbench.detectors.base import Shape
from oodbench.detectors.components.autoencoder import Autoencoder


class Memory(nn.Module):
    """N slots that a query reads by attention (Gong et al. 2019, §3.2-3.3).

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
        N.
    size : int
        Length of a slot.
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
        """Attention before shrinkage.

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
        """Hard shrinkage and renormalisation.

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

    def diagnostics(self, queries: Tensor) -> dict[str, float]:
        """Signs of a memory that does not work.

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
        attention = self.attend(queries)
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
    """Shannon entropy of addressing weights (Gong et al. 2019, equation 9).

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


@dataclass(kw_only=True, eq=False, repr=False)
class MemoryAugmented(Autoencoder):
    """Puts a `Memory` between an autoencoder's encoder and decoder.

    Parameters
    ----------
    memory_size : int, optional
        N, the number of slots.
    shrinkage : float, optional
        λ in units of 1/N.
    temperature : float, optional
        Of the attention's softmax.
    entropy_weight : float, optional
        α, what the entropy of the addressing weights costs.
    """

    memory_size: int | None = None
    shrinkage: float | None = None
    temperature: float | None = None
    entropy_weight: float | None = None

    MEMORY_SEARCH: ClassVar[Mapping[str, Sequence[Any]]] = {
        "memory_size": (50, 100, 200, 500),
        "shrinkage": (1.0, 2.0, 3.0),
        "temperature": (0.1, 0.3, 1.0),
        "entropy_weight": (2e-4, 2e-3, 2e-2),
    }

    def _modules(self, shape: Shape) -> dict[str, nn.Module]:
        settings = self.settings_
        memory = Memory(
            settings["memory_size"],
            settings["latent_size"],
            shrinkage=settings["shrinkage"],
            temperature=settings["temperature"],
        )
        return {**super()._modules(shape), "memory": memory}

    def _bridge(self, latents: Tensor) -> tuple[Tensor, Tensor | None]:
        read, weights = self.network_["memory"](latents)
        return read, self.settings_["entropy_weight"] * entropy(weights)

    def _queries(self, latents: Tensor) -> Tensor:
        # the memory ignores a query's length, and so may whoever models the queries
        return functional.normalize(latents, dim=-1)

    def diagnostics(self, images: Tensor) -> dict[str, float]:
        """Add the memory's signs (see `Memory.health`) to the autoencoder's."""
        memory = self.network_["memory"]
        assert isinstance(memory, Memory)
        with torch.inference_mode():
            signs = memory.diagnostics(self._latents(images).to(self.device))
        return {**super().diagnostics(images), **signs}
