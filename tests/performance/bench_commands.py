"""The command as users run it: start-up, ten splits of digits, memory.

`pytest tests/performance/bench_commands.py -n 0` runs it; see README.md beside this file.
"""

from __future__ import annotations

import os
import subprocess
import sysconfig
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

BENCH = Path(sysconfig.get_path("scripts"), "bench")
FOUR = [word for name in ("ae", "vae", "memae", "memvae") for word in ("--detector", name)]
STARTS = {
    "help": ["--help"],
    "list": ["list"],
    "one trial of mean on digits": ["run", "--dataset", "digits", "--class", "3", "--detector", "mean"],
    "ten trials of mean on digits": ["run", "--dataset", "digits", "--detector", "mean"],
    "one trial of mean on cifar10": ["run", "--dataset", "cifar10", "--class", "3", "--detector", "mean"],
}
OPTIONS = [[], ["--together"], ["--results-only"], ["--scheduler", "local:2"]]


def run(arguments: Sequence[str], out: Path) -> subprocess.Popen[bytes]:
    """Start the command, with results in a folder of their own."""
    own = ["--out", str(out)] if arguments[0] == "run" else []
    return subprocess.Popen([BENCH, *arguments, *own], stdout=subprocess.DEVNULL)


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait until the command ends well."""
    assert process.wait() == 0


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """An output folder that a command removes nothing from and finds nothing in."""
    return tmp_path / "out"


@pytest.mark.parametrize("what", STARTS)
def test_start(what: str, benchmark: BenchmarkFixture, data_dir: Path, tmp_path: Path) -> None:
    os.environ["OODBENCH_DATA"] = str(data_dir)
    outs = iter(range(1000))
    benchmark.pedantic(lambda: finish(run(STARTS[what], tmp_path / str(next(outs)))), rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: " ".join(options) or "plain")
def test_forty_trials_of_digits(options: list[str], benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    outs = iter(range(1000))
    forty = ["run", "--dataset", "digits", *FOUR, *options]
    benchmark.pedantic(lambda: finish(run(forty, tmp_path / str(next(outs)))), rounds=1, warmup_rounds=1)


def test_memory(benchmark: BenchmarkFixture, data_dir: Path, fresh: Path) -> None:
    """All detectors, two processes, one epoch: proportional set size of all processes, in MiB."""
    os.environ["OODBENCH_DATA"] = str(data_dir)
    peak = 0.0

    def watch() -> None:
        nonlocal peak
        epochs = [word for name in ("ae", "vae", "memae", "memvae", "rotnet") for word in ("--set", f"{name}.epochs=1")]
        process = run(["run", "--all", "--class", "3", "--jobs", "2", *epochs], fresh)
        while process.poll() is None:
            peak = max(peak, _proportional_mib(process.pid))
            time.sleep(0.2)
        finish(process)

    benchmark.pedantic(watch, rounds=1)
    benchmark.extra_info["mib"] = round(peak)


def _proportional_mib(command: int) -> float:
    """Return what a process and its descendants hold; of a page that n processes share, each counts 1/n."""
    total = 0
    with suppress(psutil.Error):
        root = psutil.Process(command)
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.Error):
                total += process.memory_full_info().pss
    return total / 2**20
