"""MemVAE: a memory-augmented variational autoencoder (Ataeiasad et al., Mathematics 12(19):3153, 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from oodbench.detectors.base import register
from oodbench.detectors.memory import MemoryAugmented
from oodbench.detectors.vae import VAE


@register("memvae")
@dataclass(kw_only=True, eq=False, repr=False)
class MemVAE(MemoryAugmented, VAE):
    """Variational autoencoder that decodes what its memory returns; scores by its whole objective at the mean.

    Trained on ``L = d(x, D(ẑ)) + β KL(q(z|x) ‖ N(0, I)) + α H(ŵ)`` with ẑ read from the memory by the query z ~ q;
    scored by the same sum with z at the mean of q. Samples read the memory at z ~ N(0, I).
    """

    # the attention ignores a latent's length, so that a latent needs to be long beside its noise: small latents, or β
    DEFAULTS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "tiny": {**VAE.DEFAULTS["tiny"], **MemoryAugmented.MEMORY_DEFAULTS["tiny"], "kl_weight": 0.1},
        "grey": {
            **VAE.DEFAULTS["grey"],
            **MemoryAugmented.MEMORY_DEFAULTS["grey"],
            "latent_size": 16,
            "kl_weight": 1.0,
        },
        "colour": {
            **VAE.DEFAULTS["colour"],
            **MemoryAugmented.MEMORY_DEFAULTS["colour"],
            "latent_size": 128,
            "kl_weight": 0.1,
        },
    }
