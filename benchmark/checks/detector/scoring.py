"""Scores: refused before fitting, finite, different, and higher for what is unlike the training images."""

from __future__ import annotations

from functools import partial

import torch
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from torch import Tensor

from oodbench.benchmark.checks.check import Check, CheckFailed, adds_to, demand
from oodbench.benchmark.checks.detector.images import NEW, REAL_SHAPES, SCENES, far_images, scenes, toy_images
from oodbench.benchmark.checks.detector.specimen import Specimen
from oodbench.detectors.base import DetectorError, Shape

CHECKS: list[Check[Specimen]] = []
check = adds_to(CHECKS)
FAR = 0.9
"""AUROC that is asked for against images that are nothing like the normal ones."""


@check
def scoring_before_fitting_is_refused(specimen: Specimen) -> None:
    """``score`` before ``fit`` raises NotFittedError or DetectorError."""
    try:
        specimen.new().score(toy_images(2))
    except (NotFittedError, DetectorError):
        return
    except Exception as error:
        raise CheckFailed(
            f"score before fit raised {type(error).__name__}: {error}; let it read an attribute that ends in _ "
            "and is set by fit, or raise sklearn.exceptions.NotFittedError."
        ) from error
    raise CheckFailed("score before fit returns scores: keep what is fitted in attributes that fit alone sets.")


@check
def scores_are_finite(specimen: Specimen) -> None:
    """Scores are neither NaN nor infinite, for normal and for far images."""
    for kind, images in {"normal": specimen.new_images, **far_images()}.items():
        scores = specimen.fitted.score(images)
        bad = int((~scores.isfinite()).sum())
        demand(
            not bad, f"{bad} of {len(scores)} scores of {kind} images are not finite: guard logarithms and divisors."
        )


@check
def scores_differ(specimen: Specimen) -> None:
    """Different images get different scores."""
    everything = torch.cat([specimen.fitted.score(specimen.new_images), specimen.fitted.score(far_images()["noise"])])
    demand(
        len(everything.unique()) > 2,
        f"{len(everything)} different images get only {len(everything.unique())} different scores: return a continuous "
        "score, not a decision.",
    )


def _scores_higher(kind: str, specimen: Specimen) -> None:
    """Images that are nothing like the training images score higher than normal ones."""
    area = _auroc(specimen.scores, specimen.fitted.score(far_images()[kind]))
    demand(
        area >= FAR,
        f"{kind} images do not score higher than normal ones (AUROC {area:.2f}, at least {FAR} is asked for): higher "
        "must mean more out-of-distribution"
        + (
            "; the sign is the wrong way round."
            if area < 0.3
            else ", and the detector must learn from its training images."
        ),
    )


def _noise_scores_higher_at(shape: Shape, specimen: Specimen) -> None:
    """Noise scores higher than images of a real size with strong contrast over large areas."""
    detector = specimen.fit(scenes(SCENES, shape))
    noise = torch.rand(NEW, *shape, generator=torch.Generator().manual_seed(3))
    area = _auroc(detector.score(scenes(NEW, shape, seed=1)), detector.score(noise))
    demand(
        area >= FAR,
        f"trained on images of shape {shape}, it takes noise for normal (AUROC {area:.2f}, at least {FAR} is asked "
        "for): what a projection or an encoder leaves out of an image must count, for example by adding its squared "
        "residual.",
    )


def _auroc(normal: Tensor, far: Tensor) -> float:
    return float(roc_auc_score([0] * NEW + [1] * NEW, torch.cat([normal, far]).nan_to_num().numpy()))


CHECKS += [
    Check("noise_scores_higher", partial(_scores_higher, "noise")),
    Check("constant_images_score_higher", partial(_scores_higher, "constant")),
    *(
        Check(f"noise_scores_higher_{'x'.join(map(str, shape))}", partial(_noise_scores_higher_at, shape))
        for shape in REAL_SHAPES
    ),
]
