"""A threshold that is set with normal images alone."""

from __future__ import annotations

import math

from torch import Tensor

from oodbench.benchmark.evaluation.measures import Threshold

KEPT = 0.95
"""Share of normal images that a threshold is to keep."""


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
