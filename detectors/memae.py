"""memae: a memory-augmented autoencoder (Gong et al., "Memorizing Normality to Detect Anomaly", ICCV 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from oodbench.detectors.base import Shape, register
from oodbench.detectors.components import memory
from oodbench.detectors.components.autoencoder import Autoencoder, Pass
from oodbench.detectors.components.defaults import Defaults, read_defaults
from oodbench.detectors.components.memory import Memory, entropy
from oodbench.detectors.components.networks import Decoder, Encoder
from oodbench.detectors.components.types import NonNegativeFloat, PositiveFloat, PositiveInt


@register("memae")
@dataclass(kw_only=True, eq=False, repr=False)
class MemAE(Autoencoder):
    """Autoencoder that decodes what its memory returns; scores by reconstruction error.

    Trained on ``L = d(x, D(ẑ)) + α H(ŵ)`` with ẑ read from the memory by the query E(x) (Gong et al. 2019, equation
    10). The score starts from d alone, as in the paper (see `Autoencoder`, which also lists the other parameters).
    Samples read the memory at new latents.

    Parameters
    ----------
    memory_size : int, optional
        N, the number of memory slots.
    shrinkage : float, optional
        λ in units of 1/N, below which addressing weights become 0; the paper recommends 1 to 3.
    temperature : float, optional
        Temperature of the attention's softmax; smaller is sharper, and 1 is the paper's.
    entropy_weight : float, optional
        α, the weight of the entropy of the addressing weights.
    """

    memory_size: PositiveInt | None = None
    shrinkage: NonNegativeFloat | None = None
    temperature: PositiveFloat | None = None
    entropy_weight: NonNegativeFloat | None = None

    DEFAULTS: ClassVar[Defaults] = read_defaults(__file__)
    SEARCH: ClassVar[Mapping[str, Sequence[Any]]] = {**Autoencoder.SEARCH, **memory.SEARCH}
    ABLATIONS: ClassVar[Mapping[str, Mapping[str, Any]]] = {**Autoencoder.ABLATIONS, **memory.ABLATIONS}

    def _modules(self, shape: Shape) -> dict[str, nn.Module]:
        settings = self.settings_
        channels, latent_size = settings["channels"], settings["latent_size"]
        return {
            "memory": Memory(
                settings["memory_size"],
                latent_size,
                shrinkage=settings["shrinkage"],
                temperature=settings["temperature"],
            ),
            "encoder": Encoder(shape, channels, latent_size),
            "decoder": Decoder(shape, channels, latent_size),
        }

    def _pass(self, images: Tensor, noise: torch.Generator | None) -> Pass:
        latents = self.network_["encoder"](images)
        read, weights = self.network_["memory"](latents)
        penalty = self.settings_["entropy_weight"] * entropy(weights)
        return Pass(self.network_["decoder"](read), latents, penalty, score_penalty=None)

    def _decode(self, latents: Tensor) -> Tensor:
        read, _ = self.network_["memory"](latents)
        logits: Tensor = self.network_["decoder"](read)
        return logits

    def _queries(self, latents: Tensor) -> Tensor:
        return functional.normalize(latents, dim=-1)  # the memory ignores a query's length, and so may the mixture

    def diagnostics(self, images: Tensor) -> dict[str, float]:
        """Add how the memory is used (see `Memory.diagnostics`); see `Detector.diagnostics`."""
        slots = self.network_["memory"]
        assert isinstance(slots, Memory)
        return {**super().diagnostics(images), **slots.diagnostics(self._latents(images))}

    @classmethod
    def unhealthy(cls, diagnostics: Mapping[str, float]) -> list[str]:
        """Judge the memory and the reconstructions; see `Detector.unhealthy`."""
        return [*memory.unhealthy(diagnostics), *super().unhealthy(diagnostics)]
