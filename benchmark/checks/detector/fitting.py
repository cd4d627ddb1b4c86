"""Fitting: to images of any shape, to very few of them, and the same every time."""

from __future__ import annotations

import random
from functools import partial

import numpy as np
import torch

from oodbench.benchmark.checks.check import Check, CheckFailed, adds_to, demand
from oodbench.benchmark.checks.detector.images import FEW, SHAPE, SHAPES, toy_images
from oodbench.benchmark.checks.detector.specimen import Specimen
from oodbench.detectors.base import Shape


def _fits(shape: Shape, specimen: Specimen) -> None:
    """Images of this shape can be fitted and scored."""
    scores = specimen.fit(toy_images(FEW, shape)).score(toy_images(5, shape, seed=1))
    demand(
        scores.shape == (5,) and scores.isfinite().all(),
        f"after fitting images of shape {shape} the scores are {scores.tolist()}: read sizes off the images' shape.",
    )


def _fits_few(n: int, specimen: Specimen) -> None:
    """A training set of this size can be fitted."""
    scores = specimen.fit(toy_images(n)).score(toy_images(5, seed=1))
    demand(
        scores.isfinite().all(), f"fitted to {n} image{'s' * (n > 1)}, it scores {scores.tolist()}: guard variances."
    )


CHECKS: list[Check[Specimen]] = [
    *(Check(f"fits_{'x'.join(map(str, shape))}", partial(_fits, shape)) for shape in SHAPES),
    Check("fits_1_image", partial(_fits_few, 1)),
    Check("fits_2_images", partial(_fits_few, 2)),
]
check = adds_to(CHECKS)


@check
def fits_a_batch_and_one(specimen: Specimen) -> None:
    """The last batch may hold a single image."""
    size = specimen.new().hyperparameters(SHAPE).get("batch_size")
    n = (size if isinstance(size, int) and 0 < size <= 512 else 32) + 1
    try:
        scores = specimen.fit(toy_images(n)).score(toy_images(5, seed=1))
    except Exception as error:
        raise CheckFailed(
            f"with {n} training images, so that the last batch holds one, it raised {type(error).__name__}: {error}; "
            "batch norm cannot train on one value."
        ) from error
    demand(scores.isfinite().all(), f"with {n} training images it scores {scores.tolist()}: guard divisors.")


@check
def fits_identical_images(specimen: Specimen) -> None:
    """Training images without any variance can be fitted."""
    scores = specimen.fit(toy_images(1).repeat(20, 1, 1, 1)).score(toy_images(5, seed=1))
    demand(
        scores.isfinite().all(),
        f"fitted to 20 equal images, it scores {scores.tolist()}: keep divisors above 0 (clamp_min).",
    )


@check
def same_seed_same_scores(specimen: Specimen) -> None:
    """Fitted again with the same seed, it gives the same scores to the last bit, whatever the global random state."""
    torch.manual_seed(12345)
    np.random.seed(12345)  # noqa: NPY002
    random.seed(12345)
    again = specimen.fit(specimen.images).score(specimen.new_images)
    demand(
        torch.equal(again, specimen.scores),
        "two fits with the same seed give different scores: take a parameter seed, and draw everything random from it.",
    )


@check
def fit_starts_anew(specimen: Specimen) -> None:
    """A second ``fit`` forgets the first."""
    detector = specimen.fit(1 - toy_images(FEW, seed=2))
    again = detector.fit(specimen.images).score(specimen.new_images)
    demand(
        torch.equal(again, specimen.scores),
        "fitted a second time, it gives other scores than when fitted once: make everything anew in fit.",
    )


@check
def training_images_are_not_changed(specimen: Specimen) -> None:
    """``fit`` does not write into its input."""
    images = toy_images(FEW)
    before = images.clone()
    specimen.fit(images)
    demand(torch.equal(images, before), "fit changes the images that it is given: copy before working in place.")
