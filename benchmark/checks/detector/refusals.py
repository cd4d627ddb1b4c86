"""Bad input: refused with a clear error, or understood."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from oodbench.benchmark.checks.check import Check, CheckFailed, adds_to, demand
from oodbench.benchmark.checks.detector.images import FEW, images_with_nan, toy_images
from oodbench.benchmark.checks.detector.specimen import Specimen

ADVICE = "call oodbench.detectors.check_images in it first."


def _refused(call: Callable[[Any], object], what: str, images: object) -> object:
    """Call a method with bad images; return None if it refuses them with a ValueError, or else its result."""
    try:
        return call(images)
    except ValueError:
        return None
    except Exception as error:
        raise CheckFailed(f"{what} raised {type(error).__name__}: {error}; {ADVICE}") from error


def _refuses(name: str, bad: Tensor, specimen: Specimen) -> None:
    """Bad images are refused with a clear error."""
    returned = _refused(specimen.fitted.score, f"score of {name}", bad)
    demand(returned is None, f"score takes {name} without an error: {ADVICE}")


CHECKS: list[Check[Specimen]] = [
    Check("score_refuses_nan", partial(_refuses, "images with NaN", images_with_nan())),
    Check("score_refuses_another_size", partial(_refuses, "images of another size", toy_images(3, (1, 13, 12)))),
    Check("score_refuses_other_channels", partial(_refuses, "images with more channels", toy_images(3, (3, 12, 12)))),
    Check("score_refuses_an_image_without_batch", partial(_refuses, "an image without a batch axis", toy_images(1)[0])),
]
check = adds_to(CHECKS)


@check
def fit_refuses_nan(specimen: Specimen) -> None:
    """Training images with NaN are refused with a clear error."""
    returned = _refused(specimen.new().fit, "fit to images with NaN", images_with_nan())
    demand(returned is None, f"fit takes images with NaN without an error: {ADVICE}")


@check
def score_handles_numpy_images(specimen: Specimen) -> None:
    """A NumPy array of images is scored as a tensor of them, or refused with a clear error."""
    images = toy_images(5, seed=1)
    scores = _refused(specimen.fitted.score, "score of a NumPy array", images.numpy())
    if scores is not None:
        same = isinstance(scores, Tensor) and torch.allclose(scores, specimen.fitted.score(images))
        demand(same, f"a NumPy array of images gets other scores than a tensor of them: {ADVICE}")


@check
def fit_handles_numpy_images(specimen: Specimen) -> None:
    """A NumPy array of training images is understood, or refused with a clear error."""
    _refused(specimen.new().fit, "fit to a NumPy array", toy_images(FEW).numpy())
