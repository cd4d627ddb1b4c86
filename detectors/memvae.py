"""memvae: a memory-augmented variational autoencoder (Ataeiasad et al., Mathematics 12(19):3153, 2024)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from oodbench.detectors.base import Shape, register
from oodbench.detectors.components import gaussian_posterior, memory
from oodbench.detectors.components.autoencoder import Autoencoder, Pass
from oodbench.detectors.components.defaults import Defaults, check_choice, read_defaults
from oodbench.detectors.components.gaussian_posterior import Prior
from oodbench.detectors.components.memory import Memory, entropy
from oodbench.detectors.components.networks import Decoder, Encoder
from oodbench.detectors.components.types import NonNegativeFloat, PositiveFloat, PositiveInt


@register("memvae")
@dataclass(kw_only=True, eq=False, repr=False)
class MemVAE(Autoencoder):
    """Variational autoencoder that decodes what its memory returns; scores by its whole objective at the mean.

    Trained on ``L = d(x, D(ẑ)) + β KL(q(z|x) ‖ N(0, I)) + α H(ŵ)`` with ẑ read from the memory by the query z ~ q. The
    score starts from the same sum with z at the mean of q (see `Autoencoder`, which also lists the other parameters).
    Samples read the memory at new latents.

    The attention ignores a latent's length, so that a latent needs to be long beside its noise: small latents, or β.

    Parameters
    ----------
    kl_weight : float, optional
        β, the weight of the KL divergence.
    prior : {"mixture", "normal"}
        What samples read the memory at: draws from a mixture fitted to the training images' latents, or from N(0, I).
    memory_size : int, optional
        N, the number of memory slots.
    shrinkage : float, optional
        λ in units of 1/N, below which addressing weights become 0.
    temperature : float, optional
        Temperature of the attention's softmax; smaller is sharper.
    entropy_weight : float, optional
        α, the weight of the entropy of the addressing weights.
    """

    kl_weight: NonNegativeFloat | None = None
    prior: Prior = "mixture"
    memory_size: PositiveInt | None = None
    shrinkage: NonNegativeFloat | None = None
    temperature: PositiveFloat | None = None
    entropy_weight: NonNegativeFloat | None = None

    DEFAULTS: ClassVar[Defaults] = read_defaults(__file__)
    SEARCH: ClassVar[Mapping[str, Sequence[Any]]] = {
        **Autoencoder.SEARCH,
        **gaussian_posterior.SEARCH,
        **memory.SEARCH,
    }
    ABLATIONS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **Autoencoder.ABLATIONS,
        **gaussian_posterior.ABLATIONS,
        **memory.ABLATIONS,
    }

    def build(self, shape: Shape) -> None:
        """Create the untrained network for images of shape (C, H, W); see `Detector.build`."""
        check_choice("prior", self.prior, get_args(Prior))
        super().build(shape)

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
            "encoder": Encoder(shape, channels, 2 * latent_size),
            "decoder": Decoder(shape, channels, latent_size),
        }

    def _pass(self, images: Tensor, noise: torch.Generator | None) -> Pass:
        mean, log_variance = self.network_["encoder"](images).float().chunk(2, dim=1)
        divergence = self.settings_["kl_weight"] * gaussian_posterior.kl_divergence(mean, log_variance)
        latents = gaussian_posterior.draw(mean, log_variance, noise)
        read, weights = self.network_["memory"](latents)
        penalty = divergence + self.settings_["entropy_weight"] * entropy(weights)
        return Pass(self.network_["decoder"](read), latents, penalty, score_penalty=penalty)

    def _decode(self, latents: Tensor) -> Tensor:
        read, _ = self.network_["memory"](latents)
        logits: Tensor = self.network_["decoder"](read)
        return logits

    def _queries(self, latents: Tensor) -> Tensor:
        return functional.normalize(latents, dim=-1)  # the memory ignores a query's length, and so may the mixture

    def _draw_latents(self, n: int, generator: torch.Generator | None) -> Tensor:
        if self.prior == "normal":
            return torch.randn(n, self.settings_["latent_size"], generator=generator)
        return super()._draw_latents(n, generator)

    def diagnostics(self, images: Tensor) -> dict[str, float]:
        """Add the number of active latent units, and how the memory is used; see `Detector.diagnostics`."""
        slots, means = self.network_["memory"], self._latents(images)
        assert isinstance(slots, Memory)
        active = {"active_units": gaussian_posterior.active_units(means)}
        return {**super().diagnostics(images), **active, **slots.diagnostics(means)}

    @classmethod
    def unhealthy(cls, diagnostics: Mapping[str, float]) -> list[str]:
        """Judge memory, posterior and reconstructions; see `Detector.unhealthy`."""
        found = [*memory.unhealthy(diagnostics), *gaussian_posterior.unhealthy(diagnostics)]
        return [*found, *super().unhealthy(diagnostics)]
