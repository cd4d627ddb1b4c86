"""What misbehaving detectors come to: failures of their trials, and of no others."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.trials import Trial
from tests.benchmark.running.test_engine import run, stored

PLUGIN = Path(__file__).with_name("plugin_that_misbehaves.py")


@pytest.fixture(scope="module")
def misbehaving() -> Plugins:
    return Plugins.load([PLUGIN])


def test_whatever_ends_a_trial_is_its_own_failure(misbehaving: Plugins, tmp_path: Path) -> None:
    """Exit code 0 of a process that was not done is a death like any other."""
    exits = [Trial("digits", "test-exits", 0, 0, (("how", how),)) for how in ("exit", "interrupt", "silent")]
    summary = run([*exits, Trial("digits", "mean", 0, 0)], misbehaving, tmp_path, jobs=2)
    causes = {result.changes["how"]: result.error for result in summary.failed}
    assert summary.done == 4
    assert causes.pop("silent", "").startswith("its process died 2 times")  # type: ignore[union-attr]
    assert causes == {"exit": "SystemExit: enough", "interrupt": "KeyboardInterrupt: "}


def test_every_trial_starts_from_the_same_state(misbehaving: Plugins, tmp_path: Path) -> None:
    notes = [Trial("digits", "test-notes", k, 7, (("path", str(tmp_path / str(k))),)) for k in (0, 1)]
    spoils = Trial("digits", "test-spoils", 0, 0)
    assert run([notes[0], spoils, notes[1]], misbehaving, tmp_path / "out", jobs=1).failed == []
    before, after = ((tmp_path / str(k)).read_text() for k in (0, 1))
    assert before == after
    assert before.startswith(f"({Path.cwd()!r}, torch.float32, True, 1, ")


def where(folder: Path, number: int) -> Trial:
    return Trial("digits", "test-where", number, 0, (("path", str(folder / str(number))),))


@pytest.mark.parametrize("what", ["busy threads", "a waiting thread"])
def test_a_process_in_which_threads_are_left_behind_is_replaced(
    misbehaving: Plugins, tmp_path: Path, what: str
) -> None:
    leaves = Trial("digits", "test-leaves", 0, 0, (("what", what),))
    trials = [where(tmp_path, 0), where(tmp_path, 1), leaves, where(tmp_path, 2)]
    assert run(trials, misbehaving, tmp_path / "out", jobs=1).failed == []
    before, between, after = ((tmp_path / str(number)).read_text().split() for number in range(3))
    assert before == between, "what leaves nothing behind keeps its process"
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_a_process_that_is_left_behind_is_ended(misbehaving: Plugins, tmp_path: Path) -> None:
    note = tmp_path / "note"
    leaves = Trial("digits", "test-leaves", 0, 0, (("note", str(note)), ("what", "a process")))
    assert run([leaves], misbehaving, tmp_path / "out").failed == []
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


def test_numbers_of_numpy_and_torch_are_accepted(misbehaving: Plugins, tmp_path: Path) -> None:
    trial = Trial("digits", "test-numbers", 0, 0)
    assert run([trial], misbehaving, tmp_path).failed == []
    found = stored(tmp_path, trial)
    assert found.diagnostics["one"] == 1
    assert found.diagnostics["some"] == 2
    assert 0 < found.diagnostics["mean"] < 1
    history = pd.read_csv(Store.at(tmp_path).run_folder(trial) / "history.csv")
    assert history["rate"].tolist() == [0.5, 0.25]
    assert history["loss"][0] == pytest.approx(64 * found.diagnostics["mean"], rel=1e-5)


def test_folders_may_be_relative(misbehaving: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers work in the folder where the command stands, even if it has changed, and a detector changes theirs."""
    monkeypatch.chdir(tmp_path)
    trial = Trial("digits", "test-spoils", 0, 0)
    assert run([trial], misbehaving, Path("out")).failed == []
    assert (tmp_path / "out" / "runs" / trial.path / "scores.npz").is_file()
    assert not os.path.lexists("/out")


@pytest.mark.parametrize(
    ("detector", "cause"),
    [
        ("test-forgets", "DetectorError: The stored model cannot be loaded again (AttributeError:"),
        ("test-half-forgets", "DetectorError: The stored model, loaded again, gives other scores:"),
    ],
)
def test_a_model_that_would_not_load_again(misbehaving: Plugins, tmp_path: Path, detector: str, cause: str) -> None:
    trial = Trial("digits", detector, 0, 0)
    (failed,) = run([trial], misbehaving, tmp_path).failed
    assert (failed.error or "").startswith(cause)
    assert "give everything else" in (failed.error or "")
    assert not Store.at(tmp_path).run_folder(trial).exists()
    assert run([trial], misbehaving, tmp_path, keep=False).failed == [], "nothing is stored that could be loaded"
    assert stored(tmp_path, trial).status == "done"
