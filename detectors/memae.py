"""MemAE: a memory-augmented autoencoder (Gong et al., "Memorizing Normality to Detect Anomaly", ICCV 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from oodbench.detectors.ae import AE
from oodbench.detectors.base import register
from oodbench.detectors.memory import MemoryAugmented


@register("memae")
@dataclass(kw_only=True, eq=False, repr=False)
class MemAE(MemoryAugmented, AE):
    """Autoencoder that decodes what its memory returns; scores by reconstruction error.

    Trained on ``L = d(x, D(ẑ)) + α H(ŵ)`` with ẑ read from the memory by the query E(x) (Gong et al. 2019, equation
    10); scored by d alone, as the paper does. Samples read the memory at latents from a Gaussian mixture (see `AE`).
    """

    DEFAULTS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        kind: {**defaults, **MemoryAugmented.MEMORY_DEFAULTS[kind]} for kind, defaults in AE.DEFAULTS.items()
    }

    def _score(self, error: Tensor, penalty: Tensor | None) -> Tensor:
        return error
