"""dte: diffusion time estimation (Livernoche et al., "On diffusion modeling for anomaly detection", ICLR 2024)."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Self

import torch
from annotated_types import Ge, Lt
from torch import Tensor, nn
from torch.nn import functional

from oodbench.detectors.base import Monitor, Shape, register
from oodbench.detectors.components.principal_components import PrincipalComponents
from oodbench.detectors.components.seeding import seeded
from oodbench.detectors.components.training import in_batches, train
from oodbench.detectors.components.types import NonNegativeInt, PositiveFloat, PositiveInt

Bins = Annotated[int, Ge(2)]
Dropout = Annotated[float, Ge(0), Lt(1)]

TIMES = 400
"""T, the steps of the diffusion."""
MIN_DEVIATION = 1e-3
"""Smallest standard deviation of a feature, where all training images agree on it."""


@register("dte")
class DTE(PrincipalComponents):
    """Categorical diffusion time estimation: a network tells how much noise seems to have been added to an image.

    Training images are diffused for a time t drawn uniformly, ``x + √(1 − ᾱₜ) ε`` with ε ~ N(0, I), where ᾱₜ is the
    product of 1 − β over steps with β from 10⁻⁴ to 10⁻². A network classifies the result into bins of time, with the
    cross-entropy as its loss (DTE-Categorical). The paper's score is the mean bin m under the network's softmax. It
    saturates: far from the training images, all probability is on the last bin. The score here is the odds of that
    mean, ``ln m/(B − 1 − m)``, which orders images alike and is computed from the logits without rounding to 0 or 1.

    An image is its projections and the length of what they leave out, each standardised. Differences from the authors'
    code: there is no weight decay, and the learning rate follows the one-cycle schedule of the other networks here, in
    far fewer steps.

    Parameters
    ----------
    n_components : int
        Number of principal components.
    n_bins : int
        B, the number of bins of time, at least 2.
    hidden_layer_sizes : sequence of int
        Widths of the network's hidden layers.
    dropout : float
        Share of hidden units left out in training, in all layers but the first.
    epochs : int
        Passes over the training images.
    min_steps : int
        Fewest optimiser steps: a small training set is passed over more often until they are reached.
    batch_size : int
        Images in each optimiser step.
    learning_rate : float
        Peak of the one-cycle schedule.
    seed : int
        Seeds the decomposition, initial weights, shuffling, times and noise.
    """

    def __init__(
        self,
        *,
        n_components: PositiveInt = 64,
        n_bins: Bins = 7,
        hidden_layer_sizes: tuple[PositiveInt, ...] = (256, 512, 256),
        dropout: Dropout = 0.5,
        epochs: PositiveInt = 30,
        min_steps: PositiveInt = 500,
        batch_size: PositiveInt = 128,
        learning_rate: PositiveFloat = 1e-3,
        seed: NonNegativeInt = 0,
    ) -> None:
        super().__init__(n_components=n_components, seed=seed)
        self.n_bins = n_bins
        self.hidden_layer_sizes = hidden_layer_sizes
        self.dropout = dropout
        self.epochs = epochs
        self.min_steps = min_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate

    def build(self, shape: Shape) -> None:
        """Create the untrained network for images of shape (C, H, W); see `Detector.build`."""
        self.shape_ = shape
        widths = (self.n_features_, *self.hidden_layer_sizes)
        layers: list[nn.Module] = []
        for depth, (inputs, outputs) in enumerate(pairwise(widths)):
            layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(self.dropout if depth else 0.0)]
        self.network_ = nn.Sequential(*layers, nn.Linear(widths[-1], self.n_bins))

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Train on normal images (N, C, H, W); see `Detector.fit`."""
        self._fit_axes(images, self.n_components)
        features = self._features(images)
        self.centre_ = features.mean(0)
        self.scale_ = features.std(0, correction=0).clamp_min(MIN_DEVIATION)
        self.n_features_ = features.shape[1]
        channels, height, width = self.mean_.shape
        with seeded(self.seed) as generator:
            self.build((channels, height, width))
            train(
                self.network_,
                self._objective,
                images,
                epochs=max(self.epochs, math.ceil(self.min_steps / math.ceil(len(images) / self.batch_size))),
                batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                bfloat16=False,
                generator=generator,
                monitor=monitor or Monitor(),
            )
        return self

    def score(self, images: Tensor) -> Tensor:
        """Return the odds of the mean bin at images (N, C, H, W), their logarithm, (N,); see `Detector.score`."""
        self.network_.eval()
        return in_batches(lambda batch: log_odds(self.network_(self._standardised(batch))), images, images.device)

    def _standardised(self, images: Tensor) -> Tensor:
        """Return the features (N, K + 1) of images (N, C, H, W) in units of the training images' deviations."""
        return (self._features(images) - self.centre_) / self.scale_

    def _objective(self, images: Tensor, noise: torch.Generator | None) -> dict[str, Tensor]:
        """Return the loss of images (N, C, H, W), (N,); the draws for held-out images are always the same."""
        self.network_.train(noise is not None)
        generator = noise or torch.Generator().manual_seed(0)
        points = self._standardised(images)
        times = torch.randint(TIMES, (len(points),), generator=generator)
        deviations = noise_deviations()[times].unsqueeze(1)
        noisy = points + deviations * torch.randn(points.shape, generator=generator)
        bins = times * self.n_bins // TIMES
        return {"loss": functional.cross_entropy(self.network_(noisy), bins, reduction="none")}


def noise_deviations() -> Tensor:
    """Return the noise's standard deviation ``√(1 − ᾱₜ)`` at each time, float32 (T,)."""
    kept = 1 - torch.linspace(1e-4, 1e-2, TIMES, dtype=torch.float64)
    return (1 - kept.cumprod(0)).sqrt().float()


def log_odds(logits: Tensor) -> Tensor:
    """Return ``ln m/(B − 1 − m)`` with m the mean of 0, …, B − 1 under the softmax of logits.

    Parameters
    ----------
    logits : Tensor
        float32 (N, B).

    Returns
    -------
    Tensor
        float32 (N,).
    """
    bins = torch.arange(logits.shape[1], dtype=logits.dtype)
    return torch.logsumexp(logits + bins.log(), 1) - torch.logsumexp(logits + bins.flip(0).log(), 1)
