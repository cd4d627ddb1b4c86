"""Samples and reconstructions."""

from __future__ import annotations

import torch
from torch import Tensor

from oodbench.benchmark.checks.check import Check, CheckSkipped, adds_to, demand
from oodbench.benchmark.checks.detector.images import SHAPE
from oodbench.benchmark.checks.detector.specimen import Specimen
from oodbench.detectors.base import Detector, can_reconstruct, can_sample

CHECKS: list[Check[Specimen]] = []
check = adds_to(CHECKS)


def sampling(specimen: Specimen) -> Detector:
    """Return the fitted detector; skip the check if it cannot sample."""
    if not can_sample(specimen.cls):
        raise CheckSkipped("it has no method sample")
    return specimen.fitted


def draw(detector: Detector, n: int, seed: int = 0) -> Tensor:
    """Draw n samples with a generator of this seed."""
    return detector.sample(n, generator=torch.Generator().manual_seed(seed))


@check
def samples_are_images(specimen: Specimen) -> None:
    """``sample(n)`` returns n float32 images of the training images' shape, finite and in [0, 1]."""
    detector = sampling(specimen)
    for n in (1, 7):
        _demand_images(draw(detector, n), (n, *SHAPE), f"sample({n})")


def _demand_images(made: object, shape: tuple[int, ...], what: str) -> None:
    demand(
        isinstance(made, Tensor) and made.shape == shape and made.dtype == torch.float32,
        f"{what} returns {tuple(getattr(made, 'shape', ()))} {getattr(made, 'dtype', type(made).__name__)}: "
        f"return a float32 tensor {shape}.",
    )
    assert isinstance(made, Tensor)
    demand(made.isfinite().all(), f"{what} returns values that are not finite: guard logarithms and divisors.")
    demand(made.min() >= 0 and made.max() <= 1, f"{what} leaves [0, 1]: end it with a sigmoid or .clamp(0, 1).")
    demand(not made.requires_grad, f"{what} carries a graph: compute it under torch.inference_mode().")


@check
def samples_differ(specimen: Specimen) -> None:
    """Two samples are not the same image."""
    samples = draw(sampling(specimen), 8)
    differences = (samples[1:] - samples[:1]).abs().flatten(1).amax(1)
    demand(differences.min() > 1e-4, "samples are all alike: draw a new latent for each.")


@check
def samples_follow_their_generator(specimen: Specimen) -> None:
    """The generator that is passed decides what is drawn, and nothing else."""
    detector = sampling(specimen)
    first = draw(detector, 4)
    torch.manual_seed(4321)
    demand(
        torch.equal(draw(detector, 4), first),
        "the same generator leads to other samples: pass generator on to every random function.",
    )
    demand(
        not torch.equal(draw(detector, 4, seed=1), first),
        "another generator leads to the same samples: draw from the generator, not from a fixed seed.",
    )


@check
def reconstructions_are_images(specimen: Specimen) -> None:
    """``reconstruct`` returns float32 images of its input's shape, finite and in [0, 1]."""
    if not can_reconstruct(specimen.cls):
        raise CheckSkipped("it has no method reconstruct")
    _demand_images(specimen.fitted.reconstruct(specimen.new_images), tuple(specimen.new_images.shape), "reconstruct")
