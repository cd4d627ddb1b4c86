"""What stands in one table is of one version; what is older is left out and counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oodbench.benchmark.reporting.page import render
from oodbench.benchmark.reporting.summary import Summary
from oodbench.benchmark.results.collection import Results
from oodbench.benchmark.results.store import Store
from tests.benchmark.made_up import result, row

EARLY, LATE = "2026-01-02T03:04:05+00:00", "2026-02-02T03:04:05+00:00"


def test_a_class_added_to_a_folder_mixes_no_columns(tmp_path: Path) -> None:
    """Classes are labelled in order: with ants before them, cats are class 1; one detector was run on both versions."""
    store = Store.at(tmp_path)
    cats_and_dogs, with_ants = ("cat", "dog"), ("ant", "cat", "dog")
    for detector in ("ae", "vae"):
        for label, name in enumerate(cats_and_dogs):
            store.write(result("pets", detector, label, classes=2, class_name=name, data_version="a", finished=EARLY))
    for label, name in enumerate(with_ants):
        store.write(result("pets", "ae", label, classes=3, class_name=name, data_version="b", finished=LATE))
    results = store.read_all()
    assert {one.detector for one in results} == {"ae"}
    assert results.problems == ["pets: 2 results of an earlier version of the data; `bench run` computes them again."]
    summary = Summary(results)
    assert summary.class_names == {"pets": {0: "ant", 1: "cat", 2: "dog"}}
    page = render(summary)
    assert "vae" not in page
    assert "pets: 2 results of an earlier version" in page.partition("## Results left out")[2]


@pytest.mark.parametrize(
    ("older", "says"),
    [
        ({"data_version": "a"}, "mnist: 1 result of an earlier version of the data; `bench run` computes it again."),
        (
            {"class_name": "three"},
            "mnist, class 3: 1 result from when the class had another name; `bench run` computes it again.",
        ),
        (
            {"classifier": "a"},
            "mnist: 1 result with samples measured by an earlier classifier; `bench run` computes it again.",
        ),
        (
            {"fingerprint": "a"},
            "mnist, vae: 1 result of an earlier version of the code or its hyperparameters; `bench run` computes it "
            "again.",
        ),
        (
            {"hyperparameters": {"epochs": 3}},
            "mnist, vae: 1 result of an earlier version of the code or its hyperparameters; `bench run` computes it "
            "again.",
        ),
    ],
)
def test_the_newest_version_is_kept(older: dict[str, Any], says: str) -> None:
    today: dict[str, Any] = {"data_version": "b", "classifier": "b"}
    new, old = result(seed=0, finished=LATE, **today), result(seed=1, finished=EARLY, **{**today, **older})
    for results in (Results([new, old]), Results([old, new], ["a damaged file"])):
        assert results.newest() == [new]
        assert results.newest().problems == [*results.problems, says]
    assert Results([old]).newest() == [old]


def test_what_may_differ_in_a_table_does() -> None:
    """Detectors have codes of their own, some are not measured with a classifier, and some cannot be constructed."""
    results = Results(
        [
            *row("vae", [0.9, 0.8], fingerprint="a", classifier="c"),
            *row("knn", [0.9, 0.8], fingerprint="b", finished=LATE),
            *row("vae", [0.9, 0.8], seed=1, fingerprint=None, hyperparameters=None, status="failed", finished=LATE),
            *row("vae", [0.9], "digits", fingerprint="d", classifier="e", data_version="1"),
            *row("vae", [0.9, 0.8], fingerprint="f", changes={"latent_size": 3}),
        ]
    )
    assert results.newest() == results
    assert results.newest().problems == []
