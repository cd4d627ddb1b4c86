"""memae: a memory-augmented autoencoder (Gong et al., "Memorizing Normality to Detect Anomaly", ICCV 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from oodbench.detectors.base import Shape, register
from oodbench.detectors.components import memory as memory_module
from oodbench.detectors.components.autoencoder import SEARCH, Autoencoder, Pass
from oodbench.detectors.components.defaults import Defaults, check_choice, read_defaults
from oodbench.detectors.components.memory import Memory, entropy
from oodbench.detectors.components.networks import flat_size
from oodbench.detectors.components.types import NonNegativeFloat, PositiveFloat, PositiveInt

Addressing = Literal["whole", "position"]


@register("memae")
@dataclass(kw_only=True, eq=False, repr=False)
class MemAE(Autoencoder):
    """Autoencoder that decodes what its memory returns; scores by the squared error of its reconstruction.

    Trained on ``L = ‖x − D(ẑ)‖² / D + α H(ŵ)`` with ẑ read from the memory by the query z = E(x) (Gong et al. 2019,
    §3.3-3.4, equations 8 to 10); scored by its first part alone (§3.4). Samples read the memory at draws from a
    Gaussian mixture that is fitted to the training images' queries (Ghosh et al., ICLR 2020, §4), which is no part of
    the paper. `Autoencoder` lists the other parameters.

    What the paper leaves open, and what is done here:

    - The query. "The memory slots can be used to model the whole encoding or the features on one pixel of the encoding"
      (caption of figure 2). The features on one pixel are stated for video; one slot of the paper's memory of MNIST
      decodes to a whole digit, so that for images a query is the whole encoding.
    - The scale of the error. The paper writes a sum over pixels and the authors' code takes a mean; α = 2·10⁻⁴ belongs
      to the mean, beside a sum it would have no effect.
    - The size of the encoding, which the paper does not discuss, is chosen like any other setting, and so is a
      temperature of the attention; the paper has none (1).
    - A query whose every weight falls under λ keeps its largest one; see `components.memory`.

    Parameters
    ----------
    memory : bool
        Whether there is a memory; without it this is an autoencoder with the same network.
    addressing : {"whole", "position"}
        What a query is: the whole encoding, or the features at each of its positions.
    memory_size : int, optional
        N, the number of memory slots; the paper has 100 for MNIST and 500 for CIFAR-10.
    shrinkage : float, optional
        λ in units of 1/N, below which addressing weights become 0; the paper recommends 1 to 3.
    temperature : float, optional
        Temperature of the attention's softmax; smaller is sharper, and 1 is the paper's.
    entropy_weight : float, optional
        α, the weight of the entropy of the addressing weights; the paper's is 2·10⁻⁴.
    """

    memory: bool = True
    addressing: Addressing = "whole"
    memory_size: PositiveInt | None = None
    shrinkage: NonNegativeFloat | None = None
    temperature: PositiveFloat | None = None
    entropy_weight: NonNegativeFloat | None = None

    DEFAULTS: ClassVar[Defaults] = read_defaults(__file__)
    SEARCH: ClassVar[Mapping[str, Sequence[Any]]] = {**SEARCH, **memory_module.SEARCH}
    ABLATIONS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **memory_module.ABLATIONS,
        "one query for the whole encoding": {"addressing": "position"},
    }

    def build(self, shape: Shape) -> None:
        """Create the untrained network for images of shape (C, H, W); see `Detector.build`."""
        check_choice("addressing", self.addressing, get_args(Addressing))
        super().build(shape)

    def _modules(self, shape: Shape) -> dict[str, nn.Module]:
        latent_size = self.settings_["latent_size"]
        modules = self._coders(shape, latent_size, latent_size)
        if self.memory:
            whole = flat_size(self._encoding_shape(latent_size, shape))
            modules["memory"] = Memory(
                self.settings_["memory_size"],
                whole if self.addressing == "whole" else latent_size,
                shrinkage=self.settings_["shrinkage"],
                temperature=self.settings_["temperature"],
            )
        return modules

    def _pass(self, images: Tensor, noise: torch.Generator | None) -> Pass:
        encoding = self.network_["encoder"](images).float()
        latents = encoding.flatten(1)
        if not self.memory:
            return Pass(self.network_["decoder"](encoding), latents)
        read, weights = self._read(encoding)
        penalty = self.settings_["entropy_weight"] * entropy(weights).flatten(1).mean(1)
        return Pass(self.network_["decoder"](read), latents, penalty, score_penalty=None)

    def _read(self, encoding: Tensor) -> tuple[Tensor, Tensor]:
        """Read the memory by an encoding (n, F, h, w): the same shape, and weights (n, queries, N)."""
        found: tuple[Tensor, Tensor] = self.network_["memory"](self._by_query(encoding))
        read, weights = found
        if self.addressing == "whole":
            return read.view_as(encoding), weights
        return read.transpose(1, 2).unflatten(2, encoding.shape[2:]), weights

    def _by_query(self, encoding: Tensor) -> Tensor:
        """Return the queries of encodings (n, F, h, w), (n, queries, size)."""
        return encoding.flatten(1).unsqueeze(1) if self.addressing == "whole" else encoding.flatten(2).transpose(1, 2)

    def _encoding(self, latents: Tensor) -> Tensor:
        return latents.unflatten(1, self._encoding_shape(self.settings_["latent_size"]))  # type: ignore[no-any-return]

    def _decode(self, latents: Tensor) -> Tensor:
        encoding = self._encoding(latents)
        logits: Tensor = self.network_["decoder"](self._read(encoding)[0] if self.memory else encoding)
        return logits

    def _queries(self, latents: Tensor) -> Tensor:
        if not self.memory:
            return latents
        # the memory ignores the length of a query, and so may its density
        queries = functional.normalize(self._by_query(self._encoding(latents)), dim=-1)
        return queries.flatten(1) if self.addressing == "whole" else queries.transpose(1, 2).flatten(1)

    def diagnostics(self, images: Tensor) -> dict[str, float]:
        """Add how the memory is used (see `Memory.diagnostics`); see `Detector.diagnostics`."""
        found = super().diagnostics(images)
        if not self.memory:
            return found
        slots, queries = self.network_["memory"], self._by_query(self._encoding(self._latents(images)))
        assert isinstance(slots, Memory)
        return {**found, **slots.diagnostics(queries.flatten(0, 1))}

    @classmethod
    def unhealthy(cls, diagnostics: Mapping[str, float]) -> list[str]:
        """Judge the memory and the reconstructions; see `Detector.unhealthy`."""
        return [*memory_module.unhealthy(diagnostics), *super().unhealthy(diagnostics)]
