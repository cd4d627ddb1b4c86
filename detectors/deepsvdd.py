"""deepsvdd: deep support vector data description (Ruff et al., "Deep one-class classification", ICML 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from oodbench.detectors.base import Monitor, Shape, check_images, register
from oodbench.detectors.components.defaults import Defaults, read_defaults
from oodbench.detectors.components.networks import pyramid
from oodbench.detectors.components.neural import Neural
from oodbench.detectors.components.seeding import seeded
from oodbench.detectors.components.types import NonNegativeInt, PositiveFloat, PositiveInt

MIN_CENTRE = 0.1
"""Smallest magnitude of the centre's coordinates: near 0 they could be met with zero weights (as by the authors)."""
MIN_CONTRAST = 1e-4


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
    min_steps : int
        Fewest optimiser steps: where `epochs` is not given, a small training set is passed over more often until they
        are reached.
    batch_size : int, optional
        Images in each optimiser step.
    learning_rate : float
        Peak of the one-cycle schedule.
    bfloat16 : bool, optional
        Whether to train under bfloat16 autocast where the hardware supports it.
    seed : int
        Seeds initial weights and shuffling.
    device : str
        ``cpu`` or ``cuda``.
    """

    latent_size: PositiveInt | None = None
    channels: tuple[PositiveInt, ...] | None = None
    epochs: PositiveInt | None = None
    min_steps: PositiveInt = 240
    batch_size: PositiveInt | None = None
    learning_rate: PositiveFloat = 1e-3
    bfloat16: bool | None = None
    seed: NonNegativeInt = 0
    device: str = "cpu"

    DEFAULTS: ClassVar[Defaults] = read_defaults(__file__)

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Train on normal images (N, C, H, W); see `Detector.fit`."""
        shape = check_images(images)
        with seeded(self.seed, self.device) as generator:
            self.build(shape)
            centre = self._in_batches(lambda batch: self._represent(batch).T, images).mean(1)
            least = torch.where(centre < 0, -MIN_CENTRE, MIN_CENTRE)
            self.centre_ = torch.where(centre.abs() < MIN_CENTRE, least, centre)
            self._train(images, generator, monitor)
        return self

    def score(self, images: Tensor) -> Tensor:
        """Return the squared distance of images (N, C, H, W) from the centre, (N,); see `Detector.score`."""
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
        """Return φ of images, (N, L)."""
        centred = images - images.mean((1, 2, 3), keepdim=True)
        normalised = centred / centred.abs().mean((1, 2, 3), keepdim=True).clamp_min(MIN_CONTRAST)
        if len(images) == 1 and self.network_.training:  # batch norm cannot train on one value
            normalised = normalised.repeat(2, 1, 1, 1)
        features: Tensor = self.network_["encoder"](normalised)[: len(images)].float()
        return features
