from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon
from sklearn.metrics import roc_auc_score

from oodbench.benchmark.reporting.significance import (
    bootstrap_interval,
    can_be_told_apart,
    paired_tests,
    signed_rank_test,
)


def test_paired_tests_are_wilcoxon_s_with_holm_s_correction() -> None:
    """By hand: the three p-values in order times 3, 2 and 1, none below the one before."""
    generator = np.random.default_rng(0)
    base = generator.uniform(0.5, 0.9, 20)
    table = pd.DataFrame(
        [base, base + generator.normal(0.02, 0.02, 20), base + generator.normal(0, 0.02, 20)],
        index=["z", "b", "a"],
        columns=pd.MultiIndex.from_product([["mnist", "cifar10"], range(10)]),
    )
    found = paired_tests(table)
    pairs = [("z", "b"), ("z", "a"), ("b", "a")]
    plain = {pair: wilcoxon(table.loc[pair[0]], table.loc[pair[1]], zero_method="zsplit").pvalue for pair in pairs}
    least = 0.0
    for rank, (pair, value) in enumerate(sorted(plain.items(), key=lambda item: item[1])):
        least = min(1.0, max(least, value * (3 - rank)))
        one, other = (list(table.index).index(name) for name in pair)
        assert found.to_numpy()[one, other] == found.to_numpy()[other, one] == pytest.approx(least)
    assert list(found.index) == list(found.columns) == ["z", "b", "a"]
    assert found.to_numpy()[0, 1] < 0.05 < found.to_numpy()[0, 2]


@pytest.mark.parametrize("splits", [7, 13, 14])
@pytest.mark.parametrize("decimals", [1, 8], ids=["tied", "untied"])
def test_the_signed_rank_test_gives_what_scipy_s_gives(splits: int, decimals: int) -> None:
    generator = np.random.default_rng(splits)
    differences = generator.normal(0.2, 0.3, splits).round(decimals)
    expected = wilcoxon(differences, zero_method="zsplit").pvalue
    assert signed_rank_test(differences) == pytest.approx(expected)
    assert signed_rank_test(np.zeros(splits)) == 1


def test_how_many_splits_it_takes() -> None:
    """The least p-value of 2 / 2ⁿ, times the pairs, against 0.05."""
    assert [can_be_told_apart(2, splits) for splits in (5, 6)] == [False, True]
    assert [can_be_told_apart(15, splits) for splits in (10, 12, 13, 20)] == [False, False, True, True]
    assert not can_be_told_apart(1, 20)


def test_a_detector_beside_itself_is_no_different() -> None:
    same = pd.DataFrame([np.linspace(0.5, 0.9, 20)] * 2, index=["one", "other"])
    assert paired_tests(same).loc["one", "other"] == 1


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
