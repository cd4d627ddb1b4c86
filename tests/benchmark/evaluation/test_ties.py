from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oodbench.benchmark.evaluation.evaluate import evaluate
from oodbench.benchmark.evaluation.ties import lost_to_ties
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.reporting.page import render
from oodbench.benchmark.reporting.summary import Summary
from oodbench.benchmark.results.collection import Results
from oodbench.datasets.components.split import one_vs_rest
from oodbench.datasets.digits import Digits
from tests.benchmark.made_up import row

IMAGES = np.arange(1000, dtype=np.uint16).view(np.uint8).reshape(1000, 1, 1, 2)
EVEN = np.linspace(0, 1, 1000, dtype=np.float64)


@pytest.mark.parametrize(
    "scores",
    [
        1e5 + EVEN,  # float32 has 1/128 steps there
        np.minimum(EVEN, 0.3),
        1 / (1 + np.exp(-40 * (EVEN + 0.3))),  # all but 1
        np.zeros(1000),
    ],
)
def test_ties_that_take_the_order_away(scores: np.ndarray) -> None:
    said = lost_to_ties(scores.astype(np.float32), IMAGES)
    assert said is not None
    count = len(np.unique(scores.astype(np.float32)))
    assert said.startswith(f"only {count} different score")
    assert "for 1,000 different test images: rounding or a limit makes ties" in said


@pytest.mark.parametrize(
    ("scores", "images"),
    [
        (EVEN, IMAGES),
        (np.minimum(EVEN, 0.6), IMAGES),  # more than half differ
        (EVEN.round(2), IMAGES),  # a method that counts
        (1e5 + EVEN, IMAGES // 255),  # the images hardly differ
        (np.zeros(1000), IMAGES * 0),
    ],
)
def test_ties_that_do_not(scores: np.ndarray, images: np.ndarray) -> None:
    assert lost_to_ties(scores.astype(np.float32), images) is None


def test_no_baseline_loses_the_order_of_digits(plugins: Plugins) -> None:
    digits = Digits(Path())
    split = one_vs_rest(digits.load("train"), digits.load("test"), 3)
    for name in ("ocsvm", "complexity", "knn", "lof"):
        assert evaluate(plugins.detectors[name](), split).unhealthy == (), name


def test_the_page_says_so_of_a_method_without_diagnostics() -> None:
    page = render(Summary(Results([*row("ocsvm", [0.9, 0.8], unhealthy=("only 9 scores",)), *row("knn", [0.9, 0.8])])))
    assert "No model reports diagnostics of its own training; 2 of all are unhealthy." in page
    assert "- ⚠ mnist, normal class 0, ocsvm, seed 0: only 9 scores" in page
    assert "Means over classes and seeds" not in page
