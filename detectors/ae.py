"""AE: a convolutional autoencoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from oodbench.detectors.base import register
from oodbench.detectors.components.autoencoder import Autoencoder, Pass
from oodbench.detectors.components.settings import defaults_beside


@register("ae")
@dataclass(kw_only=True, eq=False, repr=False)
class AE(Autoencoder):
    """Convolutional autoencoder; scores by reconstruction error.

    Trained on ``L = d(x, D(E(x)))`` and scored by the same d.
    """

    DEFAULTS: ClassVar[Mapping[str, Mapping[str, Any]]] = defaults_beside(__file__)

    def _pass(self, images: Tensor, noise: torch.Generator | None) -> Pass:
        latents = self.network_["encoder"](images)
        read, penalty = self._bridge(latents)
        return Pass(self.network_["decoder"](read), latents, penalty)
