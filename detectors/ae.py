"""ae: a convolutional autoencoder (Hinton & Salakhutdinov, Science 313(5786), 2006)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from oodbench.detectors.base import Shape, register
from oodbench.detectors.components.autoencoder import Autoencoder, Pass
from oodbench.detectors.components.defaults import Defaults, read_defaults
from oodbench.detectors.components.networks import Decoder, Encoder


@register("ae")
@dataclass(kw_only=True, eq=False, repr=False)
class AE(Autoencoder):
    """Convolutional autoencoder; scores by reconstruction error.

    Trained on ``L = d(x, D(E(x)))``, with d the error that `likelihood` names; the score starts from the same d (see
    `Autoencoder`, which also lists the parameters).
    """

    DEFAULTS: ClassVar[Defaults] = read_defaults(__file__)

    def _modules(self, shape: Shape) -> dict[str, nn.Module]:
        channels, latent_size = self.settings_["channels"], self.settings_["latent_size"]
        return {"encoder": Encoder(shape, channels, latent_size), "decoder": Decoder(shape, channels, latent_size)}

    def _pass(self, images: Tensor, noise: torch.Generator | None) -> Pass:
        latents = self.network_["encoder"](images)
        return Pass(self._decode(latents), latents)

    def _decode(self, latents: Tensor) -> Tensor:
        logits: Tensor = self.network_["decoder"](latents)
        return logits
