"""A run with nothing to do knows so without importing a detector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.running import finished
from oodbench.benchmark.running.finished import Selection, finished_trials, has_gaps, keep
from tests.benchmark.made_up import result

SELECTION = Selection(("Mean", "knn"), ("digits",), ("3",), (), (0,), "deep-svdd")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store where all of the selection is done, as was kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    store, plugins = Store.at(tmp_path / "out"), Plugins.load()
    results = [result("digits", detector, 3) for detector in ("mean", "knn")]
    for done in results:
        store.write(done)
    keep(SELECTION, [done.trial for done in results], plugins, store)
    return store


def found(store: Store, selection: Selection = SELECTION) -> list[str] | None:
    trials = finished_trials(selection, Plugins.load(), store)
    return None if trials is None else [str(trial) for trial in trials]


def test_what_was_kept_is_found(store: Store) -> None:
    assert found(store) == ["digits 3 mean seed 0", "digits 3 knn seed 0"]


@pytest.mark.parametrize(
    "other",
    [
        Selection(("knn",), ("digits",), ("3",), (), (0,), "deep-svdd"),
        Selection(("Mean", "knn"), ("digits",), ("3",), ("knn.k=3",), (0,), "deep-svdd"),
        Selection(("Mean", "knn"), ("digits",), ("3",), (), (1,), "deep-svdd"),
        Selection(("Mean", "knn"), ("digits",), ("3",), (), (0,), "memae"),
    ],
)
def test_another_selection_is_not_known(store: Store, other: Selection) -> None:
    assert found(store, other) is None


@pytest.mark.parametrize("change", [{"fingerprint": "other"}, {"hyperparameters": {"k": 1}}, {"status": "failed"}])
def test_a_result_of_other_code_or_of_a_failure_is_not_done(store: Store, change: dict[str, Any]) -> None:
    store.write(result("digits", "knn", 3, **change))
    assert found(store) is None


def test_a_result_that_is_gone_or_damaged_is_not_done(store: Store) -> None:
    path = store.result_path(result("digits", "knn", 3).trial)
    path.write_text("{", encoding="utf-8")
    assert found(store) is None
    path.unlink()
    assert found(store) is None


def test_a_change_of_our_files_is_seen(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finished, "_state", lambda: iter(["another state"]))
    assert found(store) is None


def test_failures_and_what_is_not_built_in_are_not_kept(store: Store, tmp_path: Path) -> None:
    plugins = Plugins.load([Path(__file__).parents[1] / "plugin_for_tests.py"])
    kept = list((tmp_path / "cache").rglob("finished/*.json"))
    failed = result("digits", "knn", 3, status="failed")
    store.write(failed)
    keep(SELECTION, [failed.trial], plugins, store)
    mine = result("digits", "test-mean", 3)
    store.write(mine)
    keep(Selection(("test-mean",), ("digits",), ("3",), (), (0,), "deep-svdd"), [mine.trial], plugins, store)
    assert list((tmp_path / "cache").rglob("finished/*.json")) == kept


def test_gaps(store: Store) -> None:
    plugins = Plugins.load()
    assert not has_gaps(SELECTION, plugins, store)
    store.result_path(result("digits", "knn", 3).trial).unlink()
    assert has_gaps(SELECTION, plugins, store)
    assert has_gaps(Selection((), ("digits",), (), (), (0,), "deep-svdd"), plugins, store)
