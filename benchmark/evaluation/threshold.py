"""A threshold that is set with normal images alone."""

from __future__ import annotations

import math

from torch import Tensor

from oodbench.benchmark.evaluation.measures import Threshold

KEPT = 0.95
"""Share of normal images that a threshold is to keep."""
ENOUGH = 60
"""With fewer held-out images, what a threshold keeps varies by more than a few percent from one set to the next."""


def conformal_threshold(scores: Tensor) -> Threshold:
    """Set the threshold that keeps 95 % of normal images: a conformal quantile of held-out images' scores.

    With M held-out images that are as likely in any order as a new normal one, the ⌈0.95 (M + 1)⌉-th smallest score is
    exceeded by the new one with a probability of at most 5 % (Vovk, Gammerman & Shafer, "Algorithmic learning in a
    random world", 2005; Angelopoulos & Bates, arXiv:2107.07511, §1). With fewer than 19 images there is no such score;
    the largest is taken, which keeps M / (M + 1).

    Parameters
    ----------
    scores : Tensor
        (M,), of held-out normal images; M at least 1.

    Returns
    -------
    Threshold
    """
    images = len(scores)
    rank = min(images, math.ceil(KEPT * (images + 1)))
    return Threshold(value=float(scores.sort().values[rank - 1]), keeps=rank / (images + 1), images=images)


def likely_range(threshold: Threshold) -> tuple[float, float]:
    """Return between which shares of normal images a threshold keeps in nine of ten cases.

    What the k-th smallest of M scores keeps is distributed as Beta(k, M + 1 - k) (Angelopoulos & Bates,
    arXiv:2107.07511, §3.2).
    """
    from scipy.stats import beta  # takes a second

    rank = round(threshold.keeps * (threshold.images + 1))
    low, high = beta.ppf([0.05, 0.95], rank, threshold.images + 1 - rank)
    return float(low), float(high)


def caution(threshold: Threshold) -> str | None:
    """Return a sentence that warns of a threshold set with few images; None for one set with enough."""
    images, keeps = threshold.images, threshold.keeps
    if images >= ENOUGH:
        return None
    low, high = likely_range(threshold)
    largest = round(keeps * (images + 1)) == images
    return (
        f"The threshold was set with only {images} held-out image{'s' * (images != 1)}"
        f"{', whose largest score it is' if largest else ''}: on average it keeps {keeps:.1%} of normal images"
        f"{' (95% would take 19)' if keeps < KEPT else ''}, in nine of ten cases between {low:.1%} and {high:.1%}, "
        "and it may catch few others. Train on more images."
    )
