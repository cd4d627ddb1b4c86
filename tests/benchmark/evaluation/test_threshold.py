from __future__ import annotations

import pytest
import torch

from oodbench.benchmark.evaluation.threshold import caution, conformal_threshold, likely_range


def test_the_rank_is_the_conformal_one() -> None:
    """With 99 scores 1 … 99 the ⌈0.95 · 100⌉-th smallest is 95; it keeps 95 in 100."""
    threshold = conformal_threshold(torch.arange(1.0, 100.0).flip(0))
    assert (threshold.value, threshold.keeps, threshold.images) == (95.0, 0.95, 99)


@pytest.mark.parametrize(("images", "keeps"), [(1, 0.5), (18, 18 / 19), (19, 0.95), (20, 20 / 21)])
def test_few_images_promise_what_they_can(images: int, keeps: float) -> None:
    threshold = conformal_threshold(torch.arange(float(images)))
    assert threshold.keeps == pytest.approx(keeps)
    assert threshold.value == images - 1


def test_it_keeps_what_it_promises_on_average() -> None:
    generator = torch.Generator().manual_seed(0)
    kept = [
        float((torch.randn(200, generator=generator) <= conformal_threshold(held_out).value).float().mean())
        for held_out in torch.randn(400, 60, generator=generator)
    ]
    assert sum(kept) / len(kept) == pytest.approx(conformal_threshold(torch.zeros(60)).keeps, abs=0.005)
    assert sum(kept) / len(kept) >= 0.945


def test_few_images_are_warned_of() -> None:
    """The largest of 30 scores keeps more than a share p with a probability of 1 - p^30: 0.05^(1/30) is 0.905."""
    threshold = conformal_threshold(torch.arange(30.0))
    assert likely_range(threshold) == pytest.approx((0.05 ** (1 / 30), 0.95 ** (1 / 30)))
    assert caution(threshold) == (
        "The threshold was set with only 30 held-out images, whose largest score it is: on average it keeps 96.8% of "
        "normal images, in nine of ten cases between 90.5% and 99.8%, and it may catch few others. "
        "Train on more images."
    )


def test_a_rate_that_cannot_be_attained_is_said() -> None:
    said = caution(conformal_threshold(torch.arange(1.0)))
    assert said is not None
    assert "only 1 held-out image, whose" in said
    assert "it keeps 50.0% of normal images (95% would take 19), in" in said
    for images, largest in ((38, True), (39, False), (59, False)):
        said = caution(conformal_threshold(torch.arange(float(images))))
        assert said is not None
        assert ("whose largest score it is" in said) == largest
        assert "would take" not in said
    assert caution(conformal_threshold(torch.arange(60.0))) is None
