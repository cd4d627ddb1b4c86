"""memvae: a memory-augmented variational autoencoder (Ataeiasad et al., Mathematics 12(19):3153, 2024)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from oodbench.detectors.base import Shape, register
from oodbench.detectors.components import gaussian_posterior
from oodbench.detectors.components import memory as memory_module
from oodbench.detectors.components.autoencoder import SEARCH, Autoencoder, Pass, Prior
from oodbench.detectors.components.defaults import Defaults, read_defaults
from oodbench.detectors.components.memory import Memory, entropy
from oodbench.detectors.components.networks import flat_size
from oodbench.detectors.components.types import NonNegativeFloat, PositiveFloat, PositiveInt


@register("memvae")
@dataclass(kw_only=True, eq=False, repr=False)
class MemVAE(Autoencoder):
    """Variational autoencoder that decodes what its memory returns; scores by its whole objective at the mean.

    Trained on ``L = (‖x − D(ẑ)‖² / 2σ² + KL(q(z|x) ‖ N(0, I))) / D + α H(ŵ)``. A latent z ~ q becomes a query by a
    fully connected layer and a rectifier, and ẑ is what the query reads from the memory, as in the authors' code
    (``Mem_VAE_MNIST.py``: z of 16 numbers, a query of 64); nothing else reaches the decoder. The score is the same sum
    with z at the mean of q: the authors draw z, which makes a score a random number. Their Bernoulli likelihood is
    replaced by a Gaussian of fixed variance σ², as in `vae`, and α stands beside a mean over the D values of an image,
    as in `memae`: beside their sum over pixels it has no effect. Samples read the memory at z ~ N(0, I). `Autoencoder`
    lists the other parameters.

    Parameters
    ----------
    variance : float, optional
        σ² of the likelihood.
    prior : {"normal", "mixture"}
        What samples read the memory at: draws from N(0, I), or from a Gaussian mixture that is fitted to the training
        images' latents (Ghosh et al., ICLR 2020, §4).
    memory : bool
        Whether there is a memory; without it the decoder is given the query itself.
    query_size : int, optional
        Channels of the query; it has as many positions as the encoding.
    memory_size : int, optional
        N, the number of memory slots.
    shrinkage : float, optional
        λ in units of 1/N, below which addressing weights become 0.
    temperature : float, optional
        Temperature of the attention's softmax; smaller is sharper.
    entropy_weight : float, optional
        α, the weight of the entropy of the addressing weights.
    """

    variance: PositiveFloat | None = None
    prior: Prior = "normal"
    memory: bool = True
    query_size: PositiveInt | None = None
    memory_size: PositiveInt | None = None
    shrinkage: NonNegativeFloat | None = None
    temperature: PositiveFloat | None = None
    entropy_weight: NonNegativeFloat | None = None

    DEFAULTS: ClassVar[Defaults] = read_defaults(__file__)
    SEARCH: ClassVar[Mapping[str, Sequence[Any]]] = {**SEARCH, **gaussian_posterior.SEARCH, **memory_module.SEARCH}
    ABLATIONS: ClassVar[Mapping[str, Mapping[str, Any]]] = memory_module.ABLATIONS

    def _modules(self, shape: Shape) -> dict[str, nn.Module]:
        settings = self.settings_
        latent_size, query_size = settings["latent_size"], settings["query_size"]
        query = flat_size(self._encoding_shape(query_size, shape))
        modules = self._coders(shape, 2 * latent_size, query_size)
        modules["query"] = nn.Linear(flat_size(self._encoding_shape(latent_size, shape)), query)
        if self.memory:
            shrinkage, temperature = settings["shrinkage"], settings["temperature"]
            modules["memory"] = Memory(settings["memory_size"], query, shrinkage=shrinkage, temperature=temperature)
        return modules

    def _pass(self, images: Tensor, noise: torch.Generator | None) -> Pass:
        mean, log_variance = gaussian_posterior.split(self.network_["encoder"](images))
        penalty = gaussian_posterior.kl_divergence(mean, log_variance) / flat_size(self.shape_)
        latents = gaussian_posterior.draw(mean, log_variance, noise)
        read = self._query(latents)
        if self.memory:
            read, weights = self.network_["memory"](read)
            penalty = penalty + self.settings_["entropy_weight"] * entropy(weights)
        return Pass(self._decode_read(read), latents, penalty, score_penalty=penalty)

    def _query(self, latents: Tensor) -> Tensor:
        """Return the queries (n, Q) of latents (n, L)."""
        return functional.relu(self.network_["query"](latents)).float()

    def _decode_read(self, read: Tensor) -> Tensor:
        encoding = read.unflatten(1, self._encoding_shape(self.settings_["query_size"]))
        logits: Tensor = self.network_["decoder"](encoding)
        return logits

    def _decode(self, latents: Tensor) -> Tensor:
        query = self._query(latents)
        return self._decode_read(self.network_["memory"](query)[0] if self.memory else query)

    def _error(self, logits: Tensor, images: Tensor) -> Tensor:
        """Return the negative log-likelihood (n,), a mean over pixels and channels, without its constant."""
        error: Tensor = super()._error(logits, images) / (2 * self.settings_["variance"])
        return error

    def diagnostics(self, images: Tensor) -> dict[str, float]:
        """Add the number of active latent units, and how the memory is used; see `Detector.diagnostics`."""
        means = self._latents(images)
        found = {**super().diagnostics(images), "active_units": gaussian_posterior.active_units(means)}
        if not self.memory:
            return found
        slots = self.network_["memory"]
        assert isinstance(slots, Memory)
        with torch.inference_mode():
            queries = self._query(means.to(self.device))
        return {**found, **slots.diagnostics(queries)}

    @classmethod
    def unhealthy(cls, diagnostics: Mapping[str, float]) -> list[str]:
        """Judge memory, posterior and reconstructions; see `Detector.unhealthy`."""
        found = [*memory_module.unhealthy(diagnostics), *gaussian_posterior.unhealthy(diagnostics)]
        return [*found, *super().unhealthy(diagnostics)]
