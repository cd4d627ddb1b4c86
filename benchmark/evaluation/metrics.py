"""How well scores separate normal from out-of-distribution images.

One convention throughout: out-of-distribution is the positive class, and higher scores are more out-of-distribution.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve


def detection_metrics(scores: NDArray[np.float32], is_ood: NDArray[np.bool_]) -> dict[str, float]:
    """Measure a detector's scores on a test part.

    Parameters
    ----------
    scores : array
        (N,), higher is more out-of-distribution; finite.
    is_ood : array
        bool (N,), with at least one of each.

    Returns
    -------
    dict of str to float
        ``auroc``: area under the ROC curve; ties count half.
        ``aupr_out``: average precision with out-of-distribution as positive.
        ``aupr_in``: average precision with normal as positive.
        ``fpr95``: the share of normal images that are flagged at the threshold at which at least 95 % of the
        out-of-distribution images are (lower is better).

    Raises
    ------
    ValueError
        A score is not finite, or one of the two kinds is missing.
    """
    if not np.isfinite(scores).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(scores))} of {len(scores)} scores are NaN or infinite.")
    if is_ood.all() or not is_ood.any():
        raise ValueError("The test part needs both normal and out-of-distribution images.")
    false_positive_rate, true_positive_rate, _ = roc_curve(is_ood, scores, drop_intermediate=False)
    figures = {
        "auroc": roc_auc_score(is_ood, scores),
        "aupr_out": average_precision_score(is_ood, scores),
        "aupr_in": average_precision_score(~is_ood, -scores),
        "fpr95": false_positive_rate[np.argmax(true_positive_rate >= 0.95)],
    }
    return {name: min(float(value), 1.0) for name, value in figures.items()}  # a sum of shares is rounded
