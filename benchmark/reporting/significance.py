"""Which differences between detectors are more than chance: paired tests over splits, and intervals on one split."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import permutation_test, rankdata, wilcoxon

LEVEL = 0.05
"""Differences with a corrected p-value below it are called significant."""
RESAMPLES = 1000
ENUMERATED = 13
"""Splits of which every choice of signs is gone through."""


def can_be_told_apart(detectors: int, splits: int) -> bool:
    """Whether a corrected test of any pair can be significant: its least p-value is 2 / 2ⁿ, times the pairs."""
    pairs = detectors * (detectors - 1) // 2
    return pairs > 0 and 2 / 2**splits * pairs < LEVEL


def paired_tests(splits: pd.DataFrame) -> pd.DataFrame:
    """Compare detectors in pairs over splits, as Demšar (JMLR 2006, §3.1.3) and Benavoli et al. (JMLR 2016) advise.

    Parameters
    ----------
    splits : DataFrame
        Detectors × splits, two detectors or more, without NaN.

    Returns
    -------
    DataFrame
        Detectors × detectors: p-values of Wilcoxon's signed-rank test, corrected by Holm over all pairs; 1 on the
        diagonal. Splits of one dataset share their test images, which the test does not know: it takes them for
        independent.
    """
    from statsmodels.stats.multitest import multipletests  # it imports much

    pairs = list(combinations(range(len(splits)), 2))
    values = splits.to_numpy(dtype=float)
    found = [signed_rank_test(values[one] - values[other]) for one, other in pairs]
    p_values = np.ones((len(splits), len(splits)))
    for (one, other), p_value in zip(pairs, multipletests(found, method="holm")[1], strict=True):
        p_values[one, other] = p_values[other, one] = p_value
    return pd.DataFrame(p_values, index=splits.index, columns=splits.index)


def signed_rank_test(differences: NDArray[np.float64]) -> float:
    """Test whether differences are symmetric about 0 (Wilcoxon 1945).

    Parameters
    ----------
    differences : array
        (n,); those that are 0 count half to either side.

    Returns
    -------
    float
        Two-sided p-value: exact for n up to 13, and for n up to 50 without ties.
    """
    if len(differences) > ENUMERATED:
        return float(wilcoxon(differences, zero_method="zsplit").pvalue)
    # scipy's own test goes through the signs one choice at a time where there are ties: forty times as slow
    every = {"permutation_type": "samples", "vectorized": True, "n_resamples": 2**ENUMERATED}
    return float(permutation_test((differences,), _signed_ranks, **every).pvalue)


def _signed_ranks(differences: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    sums: NDArray[np.float64] = (rankdata(np.abs(differences), axis=axis) * np.sign(differences)).sum(axis)
    return sums


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
