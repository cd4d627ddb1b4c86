"""Where the time of a trial goes that runs as in a worker process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from oodbench.benchmark.evaluation import yardsticks
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.store import Result, Store
from oodbench.benchmark.running.trial import Options, run_trial
from oodbench.benchmark.running.workers import plugins_of, shared_part
from oodbench.benchmark.trials import Trial
from tests.performance.phases import REST, watch
from tests.performance.results import Results
from tests.performance.settings import NORMAL_CLASS, Cell, Settings


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store.at(tmp_path_factory.mktemp("out"))
    store.prepare()
    return store


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let real images be looked at anew."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yardsticks, "user_cache_path", lambda _: cache)
        yield


@pytest.fixture(autouse=True, scope="module")
def _warm(arrays: Path, store: Store, _cache: None) -> None:
    """Import what a process imports in its first trial only."""
    _run(Trial("digits", "ae", NORMAL_CLASS, 0, (("epochs", 1),)), arrays, store)


def test_phases(
    cell: Cell,
    plugins: Plugins,
    arrays: Path,
    store: Store,
    settings: Settings,
    results: Results,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stopwatch = watch(plugins.detectors[cell.detector], monkeypatch)
    trial = Trial(cell.dataset, cell.detector, NORMAL_CLASS, 0, settings.changes)
    total, result = _run(trial, arrays, store)
    results.add("trials", **cell.columns, epochs=result["hyperparameters"]["epochs"], seconds=total)
    phases = {**stopwatch.seconds, REST: total - sum(stopwatch.seconds.values())}
    for phase, seconds in phases.items():
        results.add("phases", **cell.columns, phase=phase, seconds=seconds)


def _run(trial: Trial, arrays: Path, store: Store) -> tuple[float, Result]:
    """Run a trial; give the seconds that it took, and its result."""
    parts = (shared_part(arrays, trial.dataset, "train"), shared_part(arrays, trial.dataset, "test"))

    plugins = plugins_of(())
    start = time.perf_counter()
    result = run_trial(
        trial,
        plugins,
        parts,
        store,
        options=Options("cpu"),
        yardstick=lambda: yardsticks.yardstick(trial, plugins, lambda: parts),
    )
    seconds = time.perf_counter() - start
    assert result["status"] == "done", result
    return seconds, result
