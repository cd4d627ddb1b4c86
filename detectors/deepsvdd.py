"""deepsvdd: deep support vector data description (Ruff et al., "Deep one-class classification", ICML 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from oodbench.detectors.base import Monitor, Shape, check_images, register
from oodbench.detectors.components.defaults import Defaults, read_defaults
from oodbench.detectors.components.networks import pyramid
from oodbench.detectors.components.neural import Neural
from oodbench.detectors.components.seeding import seeded
from oodbench.detectors.components.training import bfloat16_pays, train
from oodbench.detectors.components.types import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

MIN_CENTRE = 0.1
"""Smallest magnitude of the centre's coordinates: near 0 they could be met with zero weights (as by the authors)."""
MIN_CONTRAST = 1e-4
SLOPE = 0.1
"""Of the leaky rectifiers for negative values (§4.1)."""
VARIANCE_FLOOR = 1e-4
"""What batch norm adds to a variance (as by the authors)."""


@register("deepsvdd")
@dataclass(kw_only=True, eq=False, repr=False)
class DeepSVDD(Neural):
    """One-class Deep SVDD: a network draws normal images together; scores by the distance from their centre.

    Trained on the mean of ``‖φ(x) − c‖²`` plus ``λ/2 · Σ‖W‖²`` (Ruff et al. 2018, equation 4) and scored by
    ``‖φ(x) − c‖²`` (equation 6). As in §4.1, φ is a network of the LeNet type (convolutions of 5×5, batch norm, leaky
    rectifiers, max-pooling, one dense layer) whose weights come from a convolutional autoencoder: φ is its encoder, and
    the decoder mirrors it, with upsampling for pooling. The centre c is the mean of what the pretrained φ gives for the
    training images. No layer has a bias, or φ could map everything to c (§3.3, proposition 2). Images are brought to
    zero mean and unit mean magnitude each (global contrast normalisation with the l1 norm), and then by the training
    images' extremes to [0, 1].

    What differs from §4.1: far fewer epochs than its 350 of pretraining and 250 after it, and a one-cycle schedule in
    place of two constant learning rates. As in the paper, nothing in equation 4 keeps images of another kind away from
    c: on CIFAR-10, noise and shuffled pixels can score lower than normal images.

    Parameters
    ----------
    latent_size : int, optional
        Length of φ(x).
    channels : sequence of int, optional
        Channels of the convolutions; after each, pooling halves the image.
    pretraining_epochs : int, optional
        Passes over the training images as an autoencoder; 0 leaves φ at its random weights.
    epochs : int, optional
        Passes over the training images with the objective of Deep SVDD.
    min_steps : int, optional
        Fewest optimiser steps of each of the two: where their epochs are not given, a small training set is passed
        over more often until they are reached.
    batch_size : int, optional
        Images in each optimiser step.
    learning_rate : float
        Peak of the one-cycle schedule.
    weight_decay : float
        λ.
    bfloat16 : bool, optional
        Whether to train under bfloat16 autocast where the hardware supports it.
    seed : int
        Seeds initial weights and shuffling.
    device : str
        ``cpu`` or ``cuda``.
    """

    latent_size: PositiveInt | None = None
    channels: tuple[PositiveInt, ...] | None = None
    pretraining_epochs: NonNegativeInt | None = None
    epochs: PositiveInt | None = None
    min_steps: PositiveInt | None = None
    batch_size: PositiveInt | None = None
    learning_rate: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 1e-6
    bfloat16: bool | None = None
    seed: NonNegativeInt = 0
    device: str = "cpu"

    DEFAULTS: ClassVar[Defaults] = read_defaults(__file__)
    ABLATIONS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"pretraining": {"pretraining_epochs": 0}}

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Train on normal images (N, C, H, W); see `Detector.fit`. The monitor is not told of the pretraining."""
        shape = check_images(images)
        with seeded(self.seed, self.device) as generator:
            self.build(shape)
            extremes = self._in_batches(lambda batch: torch.stack(normalised(batch).flatten(1).aminmax(dim=1)), images)
            self.lowest_, self.highest_ = extremes[0].min(), extremes[1].max()
            self._pretrain(images, generator)
            self.centre_ = away_from_zero(self._in_batches(lambda batch: self._represent(batch).T, images).mean(1))
            self._train(images, generator, monitor)
        return self

    def score(self, images: Tensor) -> Tensor:
        """Return the squared distance of images (N, C, H, W) from the centre, (N,); see `Detector.score`."""
        check_images(images, self.shape_)
        return self._in_batches(self._distance, images)

    def _modules(self, shape: Shape) -> dict[str, nn.Module]:
        return {"encoder": encoder(shape, self.settings_["channels"], self.settings_["latent_size"])}

    def _pretrain(self, images: Tensor, generator: torch.Generator) -> None:
        """Train φ as the encoder of an autoencoder for the mean squared error; the decoder is thrown away."""
        settings = self.settings_
        mirror = decoder(self.shape_, settings["channels"], settings["latent_size"])
        both = nn.ModuleDict({"encoder": self.network_["encoder"], "decoder": mirror})
        both.to(memory_format=torch.channels_last).to(self.device)

        def objective(images: Tensor, _: torch.Generator | None) -> dict[str, Tensor]:
            scaled = self._scaled(images)
            error = (mirror(self._represent(images)).float().sigmoid() - scaled).square().flatten(1).mean(1)
            return {"loss": error + self._decay(both)}

        train(
            both,
            objective,
            images.to(self.device, memory_format=torch.channels_last),
            epochs=self._epochs(len(images), "pretraining_epochs"),
            batch_size=settings["batch_size"],
            learning_rate=settings["learning_rate"],
            bfloat16=settings["bfloat16"] and bfloat16_pays(self.device),
            generator=generator,
            monitor=Monitor(),  # one who traces would ask for scores, of which there are none without a centre
        )

    def _objective(self, images: Tensor, _: torch.Generator | None) -> dict[str, Tensor]:
        distance = self._distance(images)
        return {"loss": distance + self._decay(self.network_), "distance": distance}

    def _decay(self, network: nn.Module) -> Tensor:
        """Return λ/2 · Σ‖W‖² of a network's weights W."""
        return self.weight_decay / 2 * torch.stack([weights.square().sum() for weights in network.parameters()]).sum()

    def _distance(self, images: Tensor) -> Tensor:
        """Return ‖φ(x) − c‖² of images, (N,)."""
        return (self._represent(images) - self.centre_.to(images.device)).square().sum(1)

    def _represent(self, images: Tensor) -> Tensor:
        """Return φ of images, (N, L)."""
        scaled = self._scaled(images)
        if len(images) == 1 and self.network_.training:  # batch norm cannot train on one value
            scaled = scaled.repeat(2, 1, 1, 1)
        features: Tensor = self.network_["encoder"](scaled)[: len(images)].float()
        return features

    def _scaled(self, images: Tensor) -> Tensor:
        """Return images normalised and brought to [0, 1] by the training images' extremes."""
        lowest, highest = self.lowest_.to(images), self.highest_.to(images)
        return (normalised(images) - lowest) / (highest - lowest).clamp_min(MIN_CONTRAST)


def normalised(images: Tensor) -> Tensor:
    """Return images (N, C, H, W) with zero mean and unit mean magnitude each."""
    centred = images - images.mean((1, 2, 3), keepdim=True)
    return centred / centred.abs().mean((1, 2, 3), keepdim=True).clamp_min(MIN_CONTRAST)


def away_from_zero(centre: Tensor) -> Tensor:
    """Return a centre (L,) none of whose coordinates is smaller than `MIN_CENTRE`."""
    least = torch.where(centre < 0, -MIN_CENTRE, MIN_CENTRE)
    return torch.where(centre.abs() < MIN_CENTRE, least, centre)


def convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a convolution of 5×5 that keeps the image's size, without a bias."""
    return nn.Conv2d(inputs, outputs, 5, padding=2, bias=False)


def encoder(shape: Shape, channels: list[int], latent_size: int) -> nn.Sequential:
    """Return φ: images (N, C, H, W) to features (N, L)."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise((shape[0], *channels)):
        layers += [convolution(inputs, outputs), nn.BatchNorm2d(outputs, eps=VARIANCE_FLOOR, affine=False)]
        layers += [nn.LeakyReLU(SLOPE, inplace=True), nn.MaxPool2d(2, ceil_mode=True)]
    height, width = pyramid(shape, len(channels))[-1]
    dense = nn.Linear(channels[-1] * height * width, latent_size, bias=False)
    return initialised(nn.Sequential(*layers, nn.Flatten(), dense))


def decoder(shape: Shape, channels: list[int], latent_size: int) -> nn.Sequential:
    """Return the encoder's mirror image: features (N, L) to logits of normalised pixels (N, C, H, W)."""
    *sizes, (height, width) = pyramid(shape, len(channels))
    dense = nn.Linear(latent_size, channels[-1] * height * width, bias=False)
    layers: list[nn.Module] = [dense, nn.Unflatten(1, (channels[-1], height, width))]
    for (inputs, outputs), size in zip(pairwise((*channels[::-1], shape[0])), sizes[::-1], strict=True):
        layers += [nn.BatchNorm2d(inputs, eps=VARIANCE_FLOOR, affine=False), nn.LeakyReLU(SLOPE, inplace=True)]
        layers += [nn.Upsample(size), convolution(inputs, outputs)]
    return initialised(nn.Sequential(*layers))


def initialised(network: nn.Sequential) -> nn.Sequential:
    """Draw the weights W of a network as Glorot & Bengio (2010) do."""
    for weights in network.parameters():
        nn.init.xavier_uniform_(weights)
    return network
