from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from oodbench.benchmark.evaluation.metrics import detection_metrics


def measure(scores: list[float], is_ood: list[int]) -> dict[str, float]:
    return detection_metrics(np.array(scores, dtype=np.float32), np.array(is_ood, dtype=bool))


def test_perfect_separation() -> None:
    assert measure([0, 1, 2, 3], [0, 0, 1, 1]) == {"auroc": 1.0, "aupr_out": 1.0, "aupr_in": 1.0, "fpr95": 0.0}


def test_reversed_scores_are_as_bad_as_can_be() -> None:
    measured = measure([3, 2, 1, 0], [0, 0, 1, 1])
    assert measured["auroc"] == 0.0
    assert measured["fpr95"] == 1.0


def test_by_hand() -> None:
    # of the 3 × 2 pairs, all but (normal 2, OOD 1) are in order
    measured = measure([0, 2, 0.5, 1, 3], [0, 0, 0, 1, 1])
    assert measured["auroc"] == pytest.approx(5 / 6)
    # both OOD images are flagged from score 1 up, and with them one normal image of three
    assert measured["fpr95"] == pytest.approx(1 / 3)
    # precision is 1/1 at the first OOD image and 2/3 at the second
    assert measured["aupr_out"] == pytest.approx((1 + 2 / 3) / 2)


def test_ties_count_half() -> None:
    assert measure([1, 1], [0, 1])["auroc"] == 0.5


def test_constant_scores_are_chance() -> None:
    measured = measure([7.0] * 10, [0] * 4 + [1] * 6)
    assert measured["auroc"] == 0.5
    assert measured["fpr95"] == 1.0
    assert measured["aupr_out"] == pytest.approx(0.6)
    assert measured["aupr_in"] == pytest.approx(0.4)


def test_agrees_with_scikit_learn_and_is_not_rounded() -> None:
    random = np.random.default_rng(0)
    is_ood = random.random(500) < 0.9
    scores = (random.normal(size=500) + is_ood * 1e-3).astype(np.float32)
    measured = detection_metrics(scores, is_ood)
    assert measured["auroc"] == roc_auc_score(is_ood, scores)
    assert measured["aupr_out"] == average_precision_score(is_ood, scores)
    assert measured["aupr_in"] == average_precision_score(~is_ood, -scores)


@pytest.mark.parametrize("order", range(3))
def test_order_of_images_does_not_matter(order: int) -> None:
    random = np.random.default_rng(1)
    scores, is_ood = random.integers(0, 9, 200).astype(np.float32), random.random(200) < 0.5
    shuffled = np.random.default_rng(order).permutation(200)
    assert detection_metrics(scores[shuffled], is_ood[shuffled]) == pytest.approx(detection_metrics(scores, is_ood))


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 scores are NaN"):
        measure([float("nan"), 1], [0, 1])


def test_one_kind_only_is_refused() -> None:
    with pytest.raises(ValueError, match="both normal and out-of-distribution"):
        measure([0, 1], [1, 1])


def test_no_measure_is_rounded_above_one() -> None:
    rng = np.random.default_rng(0)
    for n in range(2, 60):
        is_ood = np.arange(10 * n) >= n
        scores = (rng.random(10 * n) + 2 * is_ood).astype(np.float32)
        measured = detection_metrics(scores, is_ood)
        assert all(0 <= value <= 1 for value in measured.values())
        assert measured["aupr_in"] == pytest.approx(1)
