"""ae: a convolutional autoencoder (Hinton & Salakhutdinov, Science 313(5786), 2006)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from oodbench.detectors.base import Shape, register
from oodbench.detectors.components.autoencoder import SEARCH, Autoencoder, Pass
from oodbench.detectors.components.defaults import Defaults, read_defaults


@register("ae")
@dataclass(kw_only=True, eq=False, repr=False)
class AE(Autoencoder):
    """Convolutional autoencoder; trained on, and scores by, the squared error of its reconstruction.

    ``L = ‖x − D(E(x))‖² / D``, a mean over the D values of an image. This is the baseline of Gong et al. (ICCV 2019,
    Table 1); `Autoencoder` lists the parameters. Samples decode draws from a Gaussian mixture that is fitted to the
    training images' encodings after training (Ghosh et al., ICLR 2020, §4).
    """

    DEFAULTS: ClassVar[Defaults] = read_defaults(__file__)
    SEARCH: ClassVar[Mapping[str, Sequence[Any]]] = SEARCH

    def _modules(self, shape: Shape) -> dict[str, nn.Module]:
        latent_size = self.settings_["latent_size"]
        return self._coders(shape, latent_size, latent_size)

    def _pass(self, images: Tensor, noise: torch.Generator | None) -> Pass:
        latents = self.network_["encoder"](images).flatten(1)
        return Pass(self._decode(latents), latents)

    def _decode(self, latents: Tensor) -> Tensor:
        encoding = latents.unflatten(1, self._encoding_shape(self.settings_["latent_size"]))
        logits: Tensor = self.network_["decoder"](encoding)
        return logits
