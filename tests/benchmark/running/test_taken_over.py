"""A trial on top of another detector takes over what that one's trial has trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.trials import Trial, plan
from tests.benchmark.running.test_engine import run, scores, stored

PLUGIN = Path(__file__).parents[1] / "plugin_to_wrap.py"
MEASURED = (
    *("auroc", "aupr_out", "aupr_in", "fpr95", "threshold"),
    *("normal_kept", "ood_caught", "parameters", "diagnostics"),
)


@pytest.fixture(scope="module")
def to_wrap() -> Plugins:
    return Plugins.load([PLUGIN])


def trials(note: Path) -> tuple[Trial, Trial]:
    """Return the trial of a detector, which notes each of its fits, and the one on top of it."""
    changes: tuple[tuple[str, Any], ...] = (("note", str(note)), ("steps", 2))
    bare = Trial("digits", "test-both", 3, 0, changes)
    return bare, Trial("digits", "typical:test-both", 3, 0, changes)


def fits(note: Path) -> int:
    return len(note.read_text(encoding="utf-8").splitlines())


def test_figures_are_the_same_whether_shared_or_not(to_wrap: Plugins, tmp_path: Path) -> None:
    note = tmp_path / "note"
    bare, on_top = trials(note)
    assert run([bare, on_top], to_wrap, tmp_path / "shared", jobs=1).failed == []
    assert fits(note) == 1
    assert run([on_top], to_wrap, tmp_path / "alone", jobs=1).failed == []
    assert fits(note) == 2
    assert np.array_equal(scores(tmp_path / "shared", on_top), scores(tmp_path / "alone", on_top))
    shared, alone = (stored(tmp_path / folder, on_top) for folder in ("shared", "alone"))
    assert {name: getattr(shared, name) for name in MEASURED} == {name: getattr(alone, name) for name in MEASURED}
    assert shared.fit_seconds >= stored(tmp_path / "shared", bare).fit_seconds


@pytest.mark.parametrize("spoilt", ["fingerprint", "auroc", "model", "weights", "trace"])
def test_what_is_not_current_or_not_whole_is_fitted_anew(to_wrap: Plugins, tmp_path: Path, spoilt: str) -> None:
    note = tmp_path / "note"
    bare, on_top = trials(note)
    run([bare], to_wrap, tmp_path, jobs=1)
    store = Store.at(tmp_path)
    if spoilt in ("fingerprint", "auroc"):
        path = store.result_path(bare)
        other = {"fingerprint": "0" * 12, "auroc": 0.25}[spoilt]
        path.write_text(json.dumps({**json.loads(path.read_bytes()), spoilt: other}), encoding="utf-8")
    elif spoilt == "model":
        (store.run_folder(bare) / "model.json").unlink()
    elif spoilt == "weights":
        (store.run_folder(bare) / "model.safetensors").write_bytes(b"cut off")
    assert run([on_top], to_wrap, tmp_path, jobs=1, trace=spoilt == "trace").failed == []
    assert fits(note) == 2
    if spoilt == "trace":
        assert stored(tmp_path, on_top).oracle is not None


def test_two_processes_wait_for_one_fit_and_not_for_each_other(to_wrap: Plugins, tmp_path: Path) -> None:
    bare, on_top = trials(tmp_path / "note")
    assert run([on_top, bare], to_wrap, tmp_path, jobs=2).failed == []


def test_they_come_last(to_wrap: Plugins) -> None:
    found = plan(
        to_wrap,
        detectors=["typical:test-error", "test-error", "mean"],
        datasets=["digits"],
        classes=[0, 1],
        seeds=[0, 1],
    )
    names = [trial.detector for trial in found]
    assert names == [*["test-error", "mean"] * 2, *["test-error"] * 2, *["typical:test-error"] * 4]
