"""deepsvdd: deep support vector data description (Ruff et al., "Deep one-class classification", ICML 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from oodbench.detectors.base import Monitor, Shape, check_images, register
from oodbench.detectors.components.networks import pyramid
from oodbench.detectors.components.neural import Neural
from oodbench.detectors.components.randomness import seeded

LEAST_CENTRE = 0.1
"""Of each coordinate of the centre: one near 0 could be met with zero weights (as in the authors' code)."""
LEAST_CONTRAST = 1e-4


@register("deepsvdd")
@dataclass(kw_only=True, eq=False, repr=False)
class DeepSVDD(Neural):
    """One-class Deep SVDD: a network draws normal images together; scores by the distance from their centre.

    Trained on ``‖φ(x) − c‖²`` (Ruff et al. 2018, equation 4) and scored by the same (equation 6). The centre c is the
    mean of what the untrained network gives for the training images (§3.1). No layer has a bias, or the network could
    map everything to c (§3.3, proposition 2). Images are brought to zero mean and unit mean magnitude each (global
    contrast normalisation with the l1 norm, §4.1). The paper's pretraining as an autoencoder is left out.

    Parameters
    ----------
    latent_size : int, optional
        Length of φ(x).
    channels : sequence of int, optional
        Channels of the convolutions; each halves the image.
    epochs : int, optional
        Passes over the training images.
    least_steps : int
        Where `epochs` is None, a small training set is passed over more often, until this many steps are made.
    batch_size : int, optional
        Images a step.
    learning_rate : float
        Peak of the one-cycle schedule.
    bfloat16 : bool, optional
        Train under bfloat16 autocast, if the hardware has it.
    seed : int
        Of the initial weights and the shuffling.
    device : str
        ``cpu`` or ``cuda``.
    """

    latent_size: int | None = None
    channels: tuple[int, ...] | None = None
    epochs: int | None = None
    least_steps: int = 240
    batch_size: int | None = None
    learning_rate: float = 1e-3
    bfloat16: bool | None = None
    seed: int = 0
    device: str = "cpu"

    DEFAULTS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "tiny": {"latent_size": 16, "channels": (16, 32, 64), "epochs": 40, "batch_size": 32, "bfloat16": False},
        "grey": {"latent_size": 32, "channels": (16, 32, 64), "epochs": 15, "batch_size": 128, "bfloat16": False},
        "colour": {"latent_size": 128, "channels": (32, 64, 128), "epochs": 15, "batch_size": 128, "bfloat16": True},
    }

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Train on normal images (N, C, H, W); see `Detector.fit`."""
        check_images(images)
        channels, height, width = images.shape[1:]
        with seeded(self.seed, self.device) as generator:
            self._build((channels, height, width))
            centre = self._in_batches(lambda batch: self._represent(batch).T, images).mean(1)
            least = torch.where(centre < 0, -LEAST_CENTRE, LEAST_CENTRE)
            self.centre_ = torch.where(centre.abs() < LEAST_CENTRE, least, centre)
            self._train(images, generator, monitor)
        return self

    def score(self, images: Tensor) -> Tensor:
        """Score images (N, C, H, W) by their squared distance from the centre, (N,); see `Detector.score`."""
        check_images(images, self.shape_)
        return self._in_batches(lambda batch: self._objective(batch, None)["loss"], images)

    def _modules(self, shape: Shape) -> dict[str, nn.Module]:
        channels: list[int] = self.settings_["channels"]
        height, width = pyramid(shape, len(channels))[-1]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((shape[0], *channels)):
            convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(outputs, affine=False), nn.LeakyReLU(inplace=True)]
        last = nn.Linear(channels[-1] * height * width, self.settings_["latent_size"], bias=False)
        return {"encoder": nn.Sequential(*layers, nn.Flatten(), last)}

    def _objective(self, images: Tensor, _: torch.Generator | None) -> dict[str, Tensor]:
        distance = self._represent(images) - self.centre_.to(images.device)
        return {"loss": distance.square().sum(1)}

    def _represent(self, images: Tensor) -> Tensor:
        """Give φ of images, (N, L)."""
        centred = images - images.mean((1, 2, 3), keepdim=True)
        normalised = centred / centred.abs().mean((1, 2, 3), keepdim=True).clamp_min(LEAST_CONTRAST)
        if len(images) == 1 and self.network_.training:  # batch norm cannot train on one value
            normalised = normalised.repeat(2, 1, 1, 1)
        features: Tensor = self.network_["encoder"](normalised)[: len(images)].float()
        return features
