"""The command as users run it: start-up, memory, two processes beside one, and whole runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from oodbench.benchmark.plugins import Plugins
from tests.performance.commands import WORKERS, Command, Memory
from tests.performance.page import ALL, DIGITS, FIRST_LOOK, HELP, LIST, SECOND_LOOK
from tests.performance.results import Results
from tests.performance.settings import DATASETS, NORMAL_CLASS, Settings
from tests.performance.timing import median_seconds

ON_IMAGES = [word for dataset in DATASETS for word in ("--dataset", dataset)]
ONE_TRIAL = ["run", "--class", str(NORMAL_CLASS), "--detector", "mean", "--force"]
STARTS = {
    HELP: ["--help"],
    LIST: ["list"],
    "bench run: one trial of mean on digits": [*ONE_TRIAL, "--dataset", "digits"],
    "bench run: one trial of mean on mnist": [*ONE_TRIAL, "--dataset", "mnist"],
    "bench run: one trial of mean on cifar10": [*ONE_TRIAL, "--dataset", "cifar10"],
}


@pytest.fixture(scope="session")
def command(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Command:
    return Command(data_dir, tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("start", STARTS)
def test_start(
    start: str, command: Command, settings: Settings, results: Results, benchmark: BenchmarkFixture, tmp_path: Path
) -> None:
    arguments = [*STARTS[start], *(("--out", str(tmp_path)) if "run" in STARTS[start] else ())]
    seconds = median_seconds(benchmark, lambda: command.run(arguments), settings.rounds)
    results.add("start-up", what=start, seconds=seconds)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory(command: Command, plugins: Plugins, results: Results, tmp_path: Path) -> None:
    """How often images are passed over has no part in it."""
    memory = Memory()
    trained = [name for name, plugin in plugins.detectors.plugins.items() if "epochs" in plugin.cls().get_params()]
    once = [word for name in trained for word in ("--set", f"{name}.epochs=1")]
    run = ["run", "--all", "--class", str(NORMAL_CLASS), *once, "--jobs", str(WORKERS), "--out", str(tmp_path)]
    command.run(run, memory.look)
    assert sum(name.startswith("worker") for name in memory.peak) == WORKERS, memory.peak
    for process, mib in memory.peak.items():
        results.add("memory", process=process, mib=mib)


def test_first_look(command: Command, results: Results, tmp_path: Path) -> None:
    """A method that is trained in no time draws samples of all classes, and then once more."""
    for kept in command.cache.rglob("*.safetensors"):
        kept.unlink()
    run = ["run", *ON_IMAGES, "--detector", "ppca", "--force", "--out", str(tmp_path)]
    for what in (FIRST_LOOK, SECOND_LOOK):
        results.add("whole runs", what=what, trials=10 * len(DATASETS), seconds=command.run(run))


@pytest.mark.parametrize("jobs", [1, 2])
def test_scaling(jobs: int, command: Command, settings: Settings, results: Results, tmp_path: Path) -> None:
    """What is left of a run whose trials do next to nothing is its start-up, its reading of data, and its page."""
    classes = [word for label in settings.classes for word in ("--class", str(label))]
    run = ["run", *ON_IMAGES, *classes, "--jobs", str(jobs)]
    seconds = command.run([*run, *settings.options("ae"), "--out", str(tmp_path / "ae")])
    start = command.run([*run, "--detector", "mean", "--out", str(tmp_path / "mean")])
    trials = len(DATASETS) * len(settings.classes)
    results.add("scaling", jobs=jobs, trials=trials, seconds=seconds, start_seconds=start)


@pytest.mark.parametrize("options", [[], ["--together"], ["--results-only"], ["--together", "--results-only"]])
def test_digits(options: list[str], command: Command, settings: Settings, results: Results, tmp_path: Path) -> None:
    classes = [word for label in settings.digits for word in ("--class", str(label))]
    detectors = settings.options(*settings.detectors)
    seconds = command.run(["run", "--dataset", "digits", *classes, *detectors, *options, "--out", str(tmp_path)])
    trials = len(settings.digits) * len(settings.detectors)
    what = ", ".join([DIGITS, *(f"`{option}`" for option in options)])
    results.add("whole runs", what=what, trials=trials, seconds=seconds)


def test_everything(command: Command, settings: Settings, results: Results, tmp_path: Path) -> None:
    if not settings.full:
        pytest.skip("takes long: only with --full; without it the page has an estimate")
    seconds = command.run(["run", *ON_IMAGES, *settings.options(*settings.detectors), "--out", str(tmp_path)])
    results.add("whole runs", what=ALL, trials=10 * len(DATASETS) * len(settings.detectors), seconds=seconds)
