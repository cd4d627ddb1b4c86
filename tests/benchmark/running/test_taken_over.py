"""A trial on top of another detector takes over what that one's trial has trained."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.running.taken_over import take_over
from oodbench.benchmark.trials import Trial, make_detector, plan
from oodbench.detectors.components.wrapper import Wrapper
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


def test_only_what_is_current_and_whole_is_taken_over(to_wrap: Plugins, tmp_path: Path) -> None:
    bare, on_top = trials(tmp_path / "note")
    run([bare], to_wrap, tmp_path, jobs=1)
    store = Store.at(tmp_path)

    def seconds(trial: Trial = on_top) -> float:
        return take_over(cast(Wrapper, make_detector(to_wrap, trial)), trial, store, to_wrap, "cpu")

    result, folder = store.result_path(bare), store.run_folder(bare)
    whole, weights = result.read_bytes(), (folder / "model.safetensors").read_bytes()
    assert seconds() == stored(tmp_path, bare).fit_seconds > 0
    assert seconds(replace(on_top, changes=bare.changes[:1])) == 0  # other hyperparameters
    for key, value in (("fingerprint", "0" * 12), ("auroc", 0.25), ("status", "failed")):
        result.write_text(json.dumps({**json.loads(whole), key: value, "error": "none"}), encoding="utf-8")
        assert seconds() == 0
    result.write_bytes(whole)
    (folder / "model.safetensors").write_bytes(b"cut off")
    assert seconds() == 0
    (folder / "model.safetensors").write_bytes(weights)
    assert seconds() > 0
    shutil.rmtree(folder)
    assert seconds() == 0


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
