"""How good generated images are, in the features of one fixed classifier a dataset.

They are compared with the normal class's test images; training images serve to find copies.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from oodbench.benchmark.evaluation.classifier import FEATURES, Classifier
from oodbench.datasets.components.split import Split, as_float

NEIGHBOURS = 5
"""k of density and coverage: the authors' recommendation (Naeem et al. 2020, §4)."""


@dataclass(frozen=True)
class RealFeatures:
    """Features of the real images of one normal class.

    Attributes
    ----------
    test : Tensor
        float32 (N, F), features of the normal test images.
    train : Tensor
        float32 (M, F), features of the training images.
    normal_class : int
        Label of the normal class.
    """

    test: Tensor
    train: Tensor
    normal_class: int

    @classmethod
    def of(cls, split: Split, classifier: Classifier, normal_class: int) -> RealFeatures:
        """Compute the features of a split's images."""
        test = classifier.features(as_float(split.test[~split.is_ood]))
        return cls(test, classifier.features(as_float(split.train)), normal_class)

    @cached_property
    def neighbours(self) -> int:
        """Number of neighbours in a neighbourhood; fewer than k where there are too few images."""
        return min(NEIGHBOURS, len(self.test) - 1)

    @cached_property
    def radii(self) -> Tensor:
        """Distance (N,) of each test image to its k-th neighbour, itself not counted."""
        return torch.cdist(self.test, self.test).kthvalue(self.neighbours + 1, dim=1).values

    @cached_property
    def novelty(self) -> float:
        """Mean distance of test images to the nearest training image."""
        return self.distance_from_training(self.test)

    def distance_from_training(self, features: Tensor) -> float:
        """Compute the mean distance of images, given by their features (n, F), to the nearest training image."""
        return float(torch.cdist(features, self.train).min(1).values.mean())


def generation_metrics(features: Tensor, probabilities: Tensor, real: RealFeatures) -> dict[str, float]:
    """Measure generated images; if there are as many as real ones, or fewer, their order does not matter.

    Parameters
    ----------
    features : Tensor
        float32 (n, F), features of the generated images, n > 1.
    probabilities : Tensor
        float32 (n, classes), the classifier's probabilities for them.
    real : RealFeatures
        Features of the real images.

    Returns
    -------
    dict of str to float
        ``frechet``: squared Fréchet distance of two Gaussians fitted to the features (Heusel et al., NeurIPS 2017); 0
        is best, and it is biased upwards by about 1/n.
        ``kid``: unbiased squared maximum mean discrepancy with the kernel ``(x·y / F + 1)³`` (Bińkowski et al., ICLR
        2018); about 0 is best, and it can be negative.
        ``density``, ``coverage``: how many of the real images' neighbourhoods (to the fifth neighbour) a sample lies
        in, over five, so that about 1 is best; and the share of these neighbourhoods that hold a sample, at most 1
        (Naeem et al., ICML 2020, equations 3 and 4).
        ``class_fidelity``: the share of samples that are classified as the normal class.
        ``novelty``: mean distance from a sample to the nearest training image, over that from a test image; 0 is a
        copy, 1 is as new as test images are.
    """
    within = torch.cdist(real.test, features) <= real.radii.unsqueeze(1)
    return {
        "frechet": _frechet(features, real.test),
        "kid": _kid(features, real.test),
        "density": float(within.double().sum(0).mean()) / real.neighbours,
        "coverage": float(within.any(1).double().mean()),
        "class_fidelity": float((probabilities.argmax(1) == real.normal_class).double().mean()),
        "novelty": real.distance_from_training(features) / real.novelty,
    }


class _AsTheyAre(nn.Module):
    """Stands where torchmetrics has its Inception network: the features are there already."""

    num_features = FEATURES

    def forward(self, features: Tensor) -> Tensor:
        return features


def _frechet(features: Tensor, real: Tensor) -> float:
    from torchmetrics.image.fid import FrechetInceptionDistance  # it imports much

    metric = FrechetInceptionDistance(feature=_AsTheyAre())
    metric.update(real, real=True)
    metric.update(features, real=False)
    return float(metric.compute())


def _kid(features: Tensor, real: Tensor) -> float:
    from torchmetrics.image.kid import poly_mmd  # it imports much

    n = min(len(features), len(real))  # it takes as many of one as of the other
    return float(poly_mmd(real[:n].double(), features[:n].double()))
