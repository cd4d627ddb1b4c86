from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from oodbench.benchmark.reporting.interval import bootstrap_interval


def test_the_interval_holds_the_auroc_and_narrows_with_more_images() -> None:
    generator = np.random.default_rng(0)
    widths = []
    for n in (100, 2000):
        is_ood = np.arange(n) >= n // 10
        scores = generator.normal(is_ood * 1.0, 1).astype(np.float32)
        low, high = bootstrap_interval(scores, is_ood)
        assert low < roc_auc_score(is_ood, scores) < high
        assert bootstrap_interval(scores, is_ood) == (low, high)
        widths.append(high - low)
    assert widths[1] < widths[0] / 3


def test_the_interval_agrees_with_the_plain_bootstrap() -> None:
    """Drawing indices and calling scikit-learn, on scores with ties."""
    generator = np.random.default_rng(1)
    is_ood = np.arange(200) >= 60
    scores = np.round(generator.normal(is_ood * 1.0, 1), 1).astype(np.float32)
    plain = []
    for _ in range(400):
        drawn = np.concatenate([generator.integers(0, 60, 60), generator.integers(60, 200, 140)])
        plain.append(roc_auc_score(is_ood[drawn], scores[drawn]))
    assert bootstrap_interval(scores, is_ood) == pytest.approx(np.percentile(plain, [2.5, 97.5]), abs=0.012)


def test_perfect_scores_have_no_spread() -> None:
    assert bootstrap_interval(np.array([0, 0.1, 1, 2], dtype=np.float32), np.array([0, 0, 1, 1], dtype=bool)) == (1, 1)
