"""How far the AUROC on one split depends on the choice of its test images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000


def bootstrap_interval(
    scores: NDArray[np.float32], is_ood: NDArray[np.bool_], *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Compute a 95 % interval of the AUROC on one split, for the choice of its test images.

    Normal and out-of-distribution images are drawn anew, with replacement, each kind as many as there are
    (percentiles: Efron & Tibshirani 1993, §13.3). It says nothing of how training differs from seed to seed.

    Parameters
    ----------
    scores : array
        (N,), higher is more out-of-distribution.
    is_ood : array
        bool (N,), with at least one of each.
    resamples : int
        How often images are drawn.
    seed : int
        Seeds the draws.

    Returns
    -------
    tuple of float
        The 2.5th and the 97.5th percentile.
    """
    generator = np.random.default_rng(seed)
    values, place = np.unique(scores, return_inverse=True)
    normal, ood = place[~is_ood], place[is_ood]
    aurocs = np.empty(resamples)
    for index in range(resamples):
        drawn = (kind[generator.integers(0, len(kind), len(kind))] for kind in (normal, ood))
        count_normal, count_ood = (np.bincount(kind, minlength=len(values)) for kind in drawn)
        below = np.cumsum(count_normal) - 0.5 * count_normal  # ties count half
        aurocs[index] = (below @ count_ood) / (len(normal) * len(ood))
    low, high = np.percentile(aurocs, [2.5, 97.5])
    return float(low), float(high)
