"""MemVAE: a memory-augmented variational autoencoder (Ataeiasad et al., Mathematics 12(19):3153, 2024)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from oodbench.detectors.base import register
from oodbench.detectors.components.memory import MemoryAugmented
from oodbench.detectors.components.settings import defaults_beside
from oodbench.detectors.vae import VAE


@register("memvae")
@dataclass(kw_only=True, eq=False, repr=False)
class MemVAE(MemoryAugmented, VAE):
    """Variational autoencoder that decodes what its memory returns; scores by its whole objective at the mean.

    Trained on ``L = d(x, D(ẑ)) + β KL(q(z|x) ‖ N(0, I)) + α H(ŵ)`` with ẑ read from the memory by the query z ~ q;
    scored by the same sum with z at the mean of q. Samples read the memory at new latents (see `VAE`).

    The attention ignores a latent's length, so that a latent needs to be long beside its noise: small latents, or β.
    """

    DEFAULTS: ClassVar[Mapping[str, Mapping[str, Any]]] = defaults_beside(__file__)
    SEARCH: ClassVar[Mapping[str, Sequence[Any]]] = {**VAE.SEARCH, **MemoryAugmented.MEMORY_SEARCH}
