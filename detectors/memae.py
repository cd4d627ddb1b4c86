"""MemAE: a memory-augmented autoencoder (Gong et al., "Memorizing Normality to Detect Anomaly", ICCV 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from oodbench.detectors.ae import AE
from oodbench.detectors.base import register
from oodbench.detectors.components.memory import MemoryAugmented
from oodbench.detectors.components.settings import defaults_beside


@register("memae")
@dataclass(kw_only=True, eq=False, repr=False)
class MemAE(MemoryAugmented, AE):
    """Autoencoder that decodes what its memory returns; scores by reconstruction error.

    Trained on ``L = d(x, D(ẑ)) + α H(ŵ)`` with ẑ read from the memory by the query E(x) (Gong et al. 2019, equation
    10); scored by d alone, as the paper does. Samples read the memory at new latents.
    """

    DEFAULTS: ClassVar[Mapping[str, Mapping[str, Any]]] = defaults_beside(__file__)
    SEARCH: ClassVar[Mapping[str, Sequence[Any]]] = {**AE.SEARCH, **MemoryAugmented.MEMORY_SEARCH}

    def _score(self, error: Tensor, penalty: Tensor | None) -> Tensor:
        return error
