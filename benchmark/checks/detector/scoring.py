"""Scores: refused before fitting, finite, different, and higher for what is unlike the training images."""

from __future__ import annotations

from functools import partial

import torch
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score

from oodbench.benchmark.checks.check import Check, CheckFailed, adds_to, demand
from oodbench.benchmark.checks.detector.images import NEW, far_images, toy_images
from oodbench.benchmark.checks.detector.specimen import Specimen
from oodbench.detectors.base import DetectorError

CHECKS: list[Check[Specimen]] = []
check = adds_to(CHECKS)
FAR = 0.8
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
    far = specimen.fitted.score(far_images()[kind])
    area = roc_auc_score([0] * NEW + [1] * NEW, torch.cat([specimen.scores, far]).nan_to_num().numpy())
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


CHECKS += [
    Check("noise_scores_higher", partial(_scores_higher, "noise")),
    Check("constant_images_score_higher", partial(_scores_higher, "constant")),
]
