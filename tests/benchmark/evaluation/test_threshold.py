from __future__ import annotations

import pytest
import torch

from oodbench.benchmark.evaluation.threshold import conformal_threshold


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
