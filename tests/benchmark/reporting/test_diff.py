from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from oodbench.benchmark.cli.app import app
from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.reporting.diff import ADDED, BEYOND, FEWER, MISSING, MOVED, SAME, compare
from oodbench.benchmark.results.result import TrialResult
from oodbench.benchmark.results.store import Store
from tests.benchmark.made_up import result, row


def stored(folder: Path, results: list[TrialResult]) -> Store:
    store = Store.at(folder)
    for one in results:
        store.write(one)
    return store


def seeds(detector: str, *aurocs: list[float]) -> list[TrialResult]:
    """One list of AUROCs a seed."""
    return [one for seed, values in enumerate(aurocs) for one in row(detector, values, seed=seed)]


def verdicts(here: list[TrialResult], there: list[TrialResult], folder: Path, tolerance: float = 0.005) -> list[str]:
    store = stored(folder / "here", here)
    stored(folder / "there", there)
    return list(compare(store, folder / "there", tolerance=tolerance).cells["verdict"])


def test_with_one_seed_the_tolerance_counts(tmp_path: Path) -> None:
    """Three standard errors of the difference of two single seeds: 3 · 0.005 · √2 = 0.0212."""
    found = verdicts(row("ae", [0.9, 0.92, 0.95]), row("ae", [0.9, 0.9, 0.92]), tmp_path)
    assert found == [SAME, MOVED, BEYOND]


def test_with_several_seeds_their_deviation_counts(tmp_path: Path) -> None:
    """Each cell's deviation is 0.01·√2; of means over two seeds, three standard errors are 3 · 0.01414 = 0.0424."""
    here = seeds("ae", [0.91, 0.84], [0.93, 0.86])
    assert verdicts(here, seeds("ae", [0.87, 0.81], [0.89, 0.83]), tmp_path) == [MOVED, MOVED]
    assert verdicts(here, seeds("ae", [0.87, 0.80], [0.89, 0.80]), tmp_path / "2")[1] == BEYOND


def test_what_another_processor_rounds_otherwise_is_the_same(tmp_path: Path) -> None:
    """Even of a detector that draws nothing at random, whose seeds explain no difference."""
    there = seeds("pca", [0.9, 0.8], [0.9, 0.8])
    assert verdicts(seeds("pca", [0.90004, 0.8001], [0.90004, 0.8001]), there, tmp_path) == [SAME, BEYOND]


def test_missing_and_added(tmp_path: Path) -> None:
    failed = result("mnist", "vae", 0, classes=1, status="failed")
    assert verdicts([*row("ae", [0.9]), failed], row("vae", [0.9]), tmp_path) == [ADDED, MISSING]


def test_a_seed_that_is_missing_is_told(tmp_path: Path) -> None:
    both = seeds("ae", [0.91, 0.84], [0.92, 0.85])
    assert verdicts(seeds("ae", [0.91, 0.84]), both, tmp_path) == [FEWER, FEWER]
    assert verdicts(both, seeds("ae", [0.91, 0.84]), tmp_path / "2") == [MOVED, MOVED]  # more than there are there
    assert not compare(Store.at(tmp_path / "here"), tmp_path / "there", tolerance=0.005).well


def test_generation_is_compared_too(tmp_path: Path) -> None:
    """Three standard errors of the difference of single seeds, a tenth of 8 each: 3 · 0.8 · √2 = 3.4."""
    here, near, far = (row("ae", [0.9], frechet=distance) for distance in (8.0, 11.0, 12.0))
    assert verdicts(near, here, tmp_path) == [SAME, MOVED]
    assert verdicts(far, here, tmp_path / "2") == [SAME, BEYOND]
    assert verdicts(row("ae", [0.9]), here, tmp_path / "3") == [SAME, MISSING]
    other = row("ae", [0.9], frechet=12.0, classifier="another")
    assert verdicts(other, here, tmp_path / "4") == [SAME]  # which cannot be compared


def test_the_command(tmp_path: Path) -> None:
    stored(tmp_path / "here", row("ae", [0.9, 0.95]))
    stored(tmp_path / "there", row("ae", [0.9, 0.90]))
    same = CliRunner().invoke(app, ["diff", str(tmp_path / "here"), "--out", str(tmp_path / "here")])
    assert (same.exit_code, same.stdout) == (0, "2 cells: 2 the same.\n")
    for other in (tmp_path / "there", tmp_path / "there" / "results"):
        moved = CliRunner().invoke(app, ["diff", str(other), "--out", str(tmp_path / "here")], env={"COLUMNS": "200"})
        assert moved.exit_code == 1
        assert "+0.0500" in moved.stdout
        assert "2 cells: 1 the same, 1 moved more than seeds explain." in moved.stdout
    tolerant = ["diff", str(tmp_path / "there"), "--out", str(tmp_path / "here"), "--tolerance", "0.02"]
    assert CliRunner().invoke(app, tolerant).exit_code == 0


def test_a_folder_without_results_is_an_error(tmp_path: Path) -> None:
    store = stored(tmp_path / "here", row("ae", [0.9]))
    with pytest.raises(UsageError, match=r"There are no results in .*nothing: name a folder that `bench run` wrote to"):
        compare(store, tmp_path / "nothing", tolerance=0.005)


def test_files_that_were_left_out_are_named(tmp_path: Path) -> None:
    store = stored(tmp_path / "here", row("ae", [0.9, 0.8]))
    there = stored(tmp_path / "there", row("ae", [0.9, 0.8]))
    there.result_path(row("ae", [0.9, 0.8])[1].trial).write_text("{", encoding="utf-8")
    comparison = compare(store, tmp_path / "there", tolerance=0.005)
    assert list(comparison.cells["verdict"]) == [SAME, ADDED]
    (problem,) = comparison.problems
    assert "class-1_seed-0.json" in problem
