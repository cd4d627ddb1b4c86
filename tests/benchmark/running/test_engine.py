from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from typer.testing import CliRunner

from oodbench.benchmark.cli.app import app
from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.evaluation.classifier import classifier_of, digest_of
from oodbench.benchmark.evaluation.generation import RealFeatures, generation_metrics
from oodbench.benchmark.evaluation.measures import GENERATION
from oodbench.benchmark.files import PARTIAL
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.result import TrialResult
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.running import engine, pool
from oodbench.benchmark.running.listener import Display
from oodbench.benchmark.trials import Trial
from oodbench.datasets import DatasetError, as_float, one_vs_rest
from oodbench.datasets.components.split import memae_split

PLUGIN = Path(__file__).parents[1] / "plugin_for_tests.py"
QUICK = (("epochs", 3),)


@pytest.fixture(scope="module")
def with_tests() -> Plugins:
    return Plugins.load([PLUGIN])


def run(trials: list[Trial], plugins: Plugins, folder: Path, **more: object) -> engine.Summary:
    return engine.run(trials, plugins, Store.at(folder), data=folder, **more)  # type: ignore[arg-type]


def stored(folder: Path, trial: Trial) -> TrialResult:
    result = Store.at(folder).read(trial)
    assert result is not None
    return result


def scores(folder: Path, trial: Trial) -> NDArray[np.float32]:
    with np.load(Store.at(folder).run_folder(trial) / "scores.npz") as file:
        return np.array(file["score"])


class Steps(Display):
    def __init__(self) -> None:
        self.seen: list[tuple[Trial, int, int]] = []

    def progress(self, trial: Trial, step: int, steps: int) -> None:
        self.seen.append((trial, step, steps))


def test_a_trial_leaves_a_result_and_a_run_folder(plugins: Plugins, tmp_path: Path) -> None:
    trial = Trial("digits", "memvae", 3, 0, QUICK)
    steps = Steps()
    assert run([trial], plugins, tmp_path, display=steps).done == 1
    assert (trial, 0, 1) in steps.seen
    assert (trial, 3, 3) in steps.seen
    store = Store.at(tmp_path)
    result = stored(tmp_path, trial)
    assert result.status == "done"
    assert result.hyperparameters["epochs"] == 3
    assert result.hyperparameters["latent_size"] is not None
    assert result.environment["threads"] == 1
    assert result.peak_memory_mb > 50
    assert {"dead_queries", "active_units", "reconstruction_variance"} <= set(result.diagnostics)
    assert result.classifier == digest_of(plugins.datasets["digits"])
    assert all(np.isfinite(getattr(result, measure)) for measure in GENERATION)
    assert result.controls["noise"].frechet > result.controls["replay"].frechet
    folder = store.run_folder(trial)
    dataset = plugins.datasets["digits"](tmp_path)
    split = one_vs_rest(dataset.load("train"), dataset.load("test"), 3)
    classifier = classifier_of(type(dataset))
    assert classifier is not None
    drawn = plugins.detectors["memvae"].load(folder).sample(64, generator=torch.Generator().manual_seed(0))
    features = classifier.features(drawn[: (~split.is_ood).sum()])  # as many as normal test images: 55
    real = RealFeatures.of(split, classifier, 3)
    expected = generation_metrics(features, classifier.probabilities(features), real)
    assert {measure: getattr(result, measure) for measure in GENERATION} == pytest.approx(expected, rel=1e-4)
    assert {path.name for path in folder.iterdir()} == {
        *("model.json", "model.safetensors", "model_card.json", "scores.npz", "history.csv", "samples.npy"),
        *("roc.png", "scores.png", "history.png", "reconstructions.png", "extremes.png", "samples.png"),
        *("nearest.png", "doubtful.png"),
    }
    assert len(scores(tmp_path, trial)) == result.test_images == 540
    assert list(pd.read_csv(folder / "history.csv")["step"]) == [1, 2, 3]
    assert not list(tmp_path.rglob(f"{PARTIAL}*"))


def test_what_is_done_is_not_done_again_unless_forced(plugins: Plugins, tmp_path: Path) -> None:
    trials = [Trial("digits", "ae", k, 0, QUICK) for k in (0, 1)]
    assert run(trials[:1], plugins, tmp_path).done == 1
    path = Store.at(tmp_path).result_path(trials[0])
    before = path.stat().st_mtime_ns
    summary = run(trials, plugins, tmp_path)
    assert (summary.done, summary.skipped) == (1, 1)
    assert path.stat().st_mtime_ns == before
    other = Store.at(tmp_path).result_path(trials[1]).stat().st_mtime_ns
    assert run(trials[:1], plugins, tmp_path, force=True).done == 1
    assert path.stat().st_mtime_ns > before
    assert Store.at(tmp_path).result_path(trials[1]).stat().st_mtime_ns == other


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("fingerprint", "of other code"),
        ("hyperparameters", {"epochs": 4}),
        ("classifier", "another"),
        ("data_version", "2"),
        ("protocol", "memae"),
        ("auroc", "no number"),  # the file is damaged
    ],
)
def test_a_stale_or_damaged_result_is_computed_again(plugins: Plugins, tmp_path: Path, key: str, other: object) -> None:
    trial = Trial("digits", "mean", 0, 0)
    run([trial], plugins, tmp_path)
    fresh, path = stored(tmp_path, trial), Store.at(tmp_path).result_path(trial)
    path.write_text(json.dumps({**json.loads(path.read_text()), key: other}))
    assert run([trial], plugins, tmp_path).done == 1
    assert getattr(stored(tmp_path, trial), key) == getattr(fresh, key)
    assert run([trial], plugins, tmp_path).done == 0


def test_same_scores_alone_beside_others_and_again(plugins: Plugins, tmp_path: Path) -> None:
    trials = [Trial("digits", name, 1, 5, QUICK) for name in ("ae", "vae", "memae", "memvae")]
    run(trials, plugins, tmp_path / "beside", jobs=2)
    run(trials[2:3], plugins, tmp_path / "alone", jobs=1)
    assert np.array_equal(scores(tmp_path / "beside", trials[2]), scores(tmp_path / "alone", trials[2]))
    run(trials[2:3], plugins, tmp_path / "alone", jobs=1, force=True)
    assert np.array_equal(scores(tmp_path / "beside", trials[2]), scores(tmp_path / "alone", trials[2]))


def test_trace_is_kept_and_changes_nothing(plugins: Plugins, tmp_path: Path) -> None:
    trial = Trial("digits", "memvae", 2, 0, QUICK)
    run([trial], plugins, tmp_path)
    before = scores(tmp_path, trial)
    assert run([trial], plugins, tmp_path, trace=True).done == 1  # it was done, but without a trace
    assert np.array_equal(scores(tmp_path, trial), before)
    folder = Store.at(tmp_path).run_folder(trial) / "trace"
    assert {path.name for path in folder.iterdir()} == {
        *("trace.csv", "trace.png", "epoch-001.png", "epoch-002.png", "epoch-003.png")
    }
    rows = pd.read_csv(folder / "trace.csv")
    result = stored(tmp_path, trial)
    assert rows["auroc"].iloc[-1] == pytest.approx(result.auroc)
    best = rows.sort_values("auroc", ascending=False, kind="stable").iloc[0]
    expected = {"auroc": best["auroc"], "epoch": best["step"], "last": rows["auroc"].iloc[-1]}
    assert result.oracle is not None
    assert result.oracle.model_dump() == pytest.approx(expected)
    assert {"error_train", "error_test_normal", "error_test_ood"} <= set(rows.columns)
    assert run([trial], plugins, tmp_path, trace=True).done == 0
    shutil.rmtree(Store.at(tmp_path).runs)  # as in a clone, which has the results alone
    assert run([trial], plugins, tmp_path, trace=True).done == 0
    assert run([trial], plugins, tmp_path, force=True).done == 1
    assert stored(tmp_path, trial).oracle is None


def test_what_has_no_epochs_has_no_oracle_epoch(plugins: Plugins, tmp_path: Path) -> None:
    trial = Trial("digits", "mean", 2, 0)
    assert run([trial], plugins, tmp_path, trace=True).failed == []
    assert stored(tmp_path, trial).oracle is None


def test_a_failure_is_recorded_with_its_cause_and_the_others_go_on(with_tests: Plugins, tmp_path: Path) -> None:
    names = ["test-raises", "test-mean", "test-nan", "test-shape", "test-samples"]
    trials = [Trial("digits", name, 0, 0) for name in names]
    diverging = Trial("digits", "ae", 0, 0, (("epochs", 3), ("learning_rate", 1e30)))
    summary = run([*trials, diverging], with_tests, tmp_path)
    assert summary.done == 6
    store = Store.at(tmp_path)
    causes = {result.detector: result.error or "" for result in summary.failed}
    assert causes["test-raises"] == "RuntimeError: this detector\nalways raises"
    assert "NaN" in causes["test-nan"]
    assert "score gave shape (540, 1) for 540 images" in causes["test-shape"]
    assert "sample gave values that are NaN" in causes["test-samples"]
    assert "training diverged" in causes["ae"]
    mean = stored(tmp_path, trials[1])
    assert mean.status == "done"
    assert mean.auroc > 0.9
    assert "plugin_for_tests.py" in (stored(tmp_path, trials[0]).traceback or "")
    assert not store.run_folder(trials[0]).exists()
    assert run(trials, with_tests, tmp_path).done == 4  # what failed is tried again, what is done is not


def test_a_trial_whose_process_dies_is_tried_again(with_tests: Plugins, tmp_path: Path) -> None:
    remembers = Trial("digits", "test-dies", 0, 0, (("memory", str(tmp_path / "died")),))
    others = [Trial("digits", "test-mean", k, 0) for k in range(4)]
    summary = run([remembers, *others], with_tests, tmp_path, jobs=2)
    assert (summary.done, summary.failed) == (5, [])


def test_a_trial_whose_process_always_dies_is_a_failure(with_tests: Plugins, tmp_path: Path) -> None:
    trials = [Trial("digits", "test-dies", 0, 0), *(Trial("digits", "test-mean", k, 0) for k in range(3))]
    summary = run(trials, with_tests, tmp_path, jobs=1)
    assert summary.done == 4
    (failed,) = summary.failed
    assert "its process died 2 times" in (failed.error or "")
    assert stored(tmp_path, trials[0]).status == "failed"


def test_a_trial_that_kills_its_process_takes_no_other_with_it(with_tests: Plugins, tmp_path: Path) -> None:
    trials = [Trial("digits", "test-dies", 0, 0), Trial("digits", "test-slow", 0, 0, (("seconds", 2.0),))]
    summary = run(trials, with_tests, tmp_path, jobs=2)
    assert summary.done == 2
    assert [result.detector for result in summary.failed] == ["test-dies"]


def test_workers_that_cannot_even_start_are_a_failure(
    plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "serve", os.abort)
    summary = run([Trial("digits", "ae", k, 0, QUICK) for k in (0, 1)], plugins, tmp_path, jobs=1)
    assert len(summary.failed) == 2
    assert "its process died 2 times" in (summary.failed[0].error or "")


def command(folder: Path, *more: str) -> list[str]:
    program = Path(sys.executable).with_name("bench")
    where = [] if "--scheduler" in more else ["--jobs", "2"]
    return [str(program), "run", "--dataset", "digits", "--out", str(folder), *where, *more]


def wait_for(what: object, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not what():  # type: ignore[operator]
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def processes_of(session: int) -> list[str]:
    """Numbers of the living processes that were started in a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, _, its_session = path.read_text().rpartition(")")[2].split()[:4]
            if int(its_session) == session and state != "Z":
                found.append(path.parent.name)
    return found


@pytest.mark.parametrize("results", [pytest.param(0, marks=pytest.mark.slow), 2])
def test_killed_at_any_moment_and_resumed(plugins: Plugins, tmp_path: Path, results: int) -> None:
    """SIGKILL to the whole run; then no file is half there, and the same command does only what is missing."""
    select = ["--detector", "vae", "--class", "0,1,2,3", "--set", "vae.epochs=30"]
    store = Store.at(tmp_path)
    process = subprocess.Popen(command(tmp_path, *select), stdout=subprocess.DEVNULL, start_new_session=True)
    runs = store.runs / "digits"
    wait_for(lambda: len(list(store.results.rglob("*.json"))) >= results and runs.exists())
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not processes_of(process.pid))  # nothing outlives it
    finished = {path: path.stat().st_mtime_ns for path in store.results.rglob("class-*.json")}
    assert len(finished) < 4
    for path in finished:
        assert json.loads(path.read_text())["status"] == "done"
    _, *words = command(tmp_path, *select)
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert f"4 trials: {len(finished)} done already, {4 - len(finished)} to run" in done.output
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert len(store.read_all()) == 4
    assert not list(tmp_path.rglob(f"{PARTIAL}*"))
    undisturbed = Trial("digits", "vae", 3, 0, (("epochs", 30),))
    run([undisturbed], plugins, tmp_path / "again")
    assert np.array_equal(scores(tmp_path / "again", undisturbed), scores(tmp_path, undisturbed))


def test_trained_together(plugins: Plugins, tmp_path: Path) -> None:
    """All classes as one batched model: the same result as one at a time, where the steps are as many; and said so."""
    trials = [Trial("digits", name, k, 0, QUICK) for k in (1, 2, 3) for name in ("ae", "pca")]
    steps = Steps()
    summary = run(trials, plugins, tmp_path / "together", together=True, display=steps)
    assert (summary.done, summary.failed) == (6, [])
    assert (trials[0], 3, 3) in steps.seen
    run(trials, plugins, tmp_path / "alone")
    for trial in trials:
        together, alone = (stored(tmp_path / place, trial) for place in ("together", "alone"))
        assert together.environment.get("trained_together") == (3 if trial.detector == "ae" else None)
        assert together.auroc == pytest.approx(alone.auroc, abs=1e-4)
        folders = [Store.at(tmp_path / place).run_folder(trial) for place in ("together", "alone")]
        assert {path.name for path in folders[0].iterdir()} == {path.name for path in folders[1].iterdir()}
    histories = [
        pd.read_csv(Store.at(tmp_path / place).run_folder(trials[0]) / "history.csv") for place in ("together", "alone")
    ]
    assert list(histories[0].columns) == list(histories[1].columns)
    assert np.allclose(histories[0], histories[1], rtol=1e-3)
    with pytest.raises(UsageError, match="--together goes with neither --trace"):
        run(trials, plugins, tmp_path / "together", together=True, trace=True)


def test_missing_data_stops_before_anything_runs(
    plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchvision.datasets.MNIST.mirrors", ["http://127.0.0.1:1/"])
    with pytest.raises(DatasetError, match="could not be downloaded"):
        run([Trial("mnist", "ae", 0, 0)], plugins, tmp_path)
    assert not list(tmp_path.rglob("*.json"))


def test_trials_of_another_protocol_do_not_go_into_this_store(plugins: Plugins, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="protocol memae go into a store of their own"):
        run([Trial("digits", "ae", 0, 0, QUICK, "memae")], plugins, tmp_path)


def test_under_another_protocol_samples_are_drawn_and_not_measured(plugins: Plugins, tmp_path: Path) -> None:
    trial, store = Trial("digits", "gmm", 0, 1, protocol="memae"), Store.at(tmp_path, "memae")
    assert engine.run([trial], plugins, store, data=tmp_path).failed == []
    result = store.read(trial)
    assert result is not None
    assert result.classifier is None
    assert result.controls == {}
    assert not set(GENERATION) & set(json.loads(store.result_path(trial).read_text()))
    folder = store.run_folder(trial)
    assert (folder / "samples.png").is_file()
    dataset = plugins.datasets["digits"](tmp_path)
    split = memae_split(dataset.load("train"), dataset.load("test"), 0, 1)
    with np.load(folder / "scores.npz") as file:
        detector = plugins.detectors["gmm"].load(folder)
        assert np.array_equal(file["score"], detector.score(as_float(split.test)).numpy())
    assert engine.run([trial], plugins, store, data=tmp_path).done == 0
