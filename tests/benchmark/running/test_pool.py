from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from oodbench.benchmark.errors import RunError
from oodbench.benchmark.running.pool import WorkerLostError, WorkerPool, parallel_map, worker_pool
from tests.benchmark.running.test_engine import wait_for


def double(number: int) -> int:
    return 2 * number


def add(first: int, second: int) -> int:
    return first + second


def process(_: int = 0) -> int:
    return os.getpid()


def die(number: int, of: int = signal.SIGKILL) -> int:
    os.kill(os.getpid(), of)
    return number


def die_once(folder: Path, number: int) -> int:
    path = folder / str(number)
    if number % 2 and not path.exists():
        path.touch()
        os._exit(0)
    return number


def fail(number: int) -> int:
    raise ZeroDivisionError(f"call {number}")


class UnreadableError(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)


def fail_unreadably() -> None:
    raise UnreadableError("one", "two")


def wait_in_a_thread() -> int:
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    return os.getpid()


def unpicklable() -> Any:
    return lambda: None


def slow(path: Path) -> None:
    path.touch()
    time.sleep(60)


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    with worker_pool(2) as pool:
        yield pool


def result_of(pool: WorkerPool, future: Future[Any]) -> Any:
    while not future.done():
        pool.wait()
    return future.result()


def test_results_come_in_order(pool: WorkerPool) -> None:
    assert list(pool.map(double, range(20))) == list(range(0, 40, 2))
    assert list(pool.map(add, [1, 2], [10, 20])) == [11, 22]
    assert 1 <= len(set(pool.map(process, range(20)))) <= 2


def test_errors_come_through_with_their_traceback(pool: WorkerPool) -> None:
    with pytest.raises(ZeroDivisionError, match="call 3") as raised:
        list(pool.map(fail, [3]))
    assert "in fail" in raised.value.__notes__[0]
    with pytest.raises(RuntimeError, match="cannot be read"):
        result_of(pool, pool.submit(fail_unreadably))
    with pytest.raises(Exception, match="pickle"):
        result_of(pool, pool.submit(unpicklable))
    assert list(pool.map(double, [1])) == [2]


def test_a_worker_that_dies_costs_nothing(tmp_path: Path) -> None:
    """Not even with exit code 0, or while it has nothing to do."""
    with worker_pool(2) as pool:
        numbers = list(range(12))
        assert list(pool.map(die_once, [tmp_path] * 12, numbers)) == numbers
        for idle in set(pool.map(process, numbers)):
            os.kill(idle, signal.SIGKILL)
        assert list(pool.map(double, numbers)) == [2 * number for number in numbers]


def test_a_call_that_kills_its_workers_takes_no_other_with_it() -> None:
    with worker_pool(2) as pool:
        futures = [pool.submit(die, 0), *(pool.submit(double, number) for number in range(6)), pool.submit(die, 1)]
        with pytest.raises(WorkerLostError, match="A worker process died 2 times"):
            result_of(pool, futures[0])
        assert [result_of(pool, future) for future in futures[1:-1]] == [0, 2, 4, 6, 8, 10]
        with pytest.raises(RunError):  # which ends a command with one sentence
            result_of(pool, futures[-1])


def test_what_leaves_a_thread_behind_is_answered_and_its_worker_replaced() -> None:
    with worker_pool(1) as pool:
        left = result_of(pool, pool.submit(wait_in_a_thread))
        first, second = pool.map(process, range(2))
    assert left != first == second


def test_what_is_no_longer_waited_for_is_dropped(tmp_path: Path) -> None:
    with worker_pool(1) as pool:
        results = pool.map(die_once, [tmp_path] * 3, [0, 2, 5])
        assert next(results) == 0
        results.close()  # type: ignore[attr-defined]
        assert list(pool.map(double, [1])) == [2]
    assert not (tmp_path / "5").exists()


def test_an_interruption_kills_what_runs(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), worker_pool(1) as pool:  # noqa: PT012
        future = pool.submit(slow, tmp_path / "begun")
        wait_for(lambda: pool.wait(0.05) or (tmp_path / "begun").exists())
        (number,) = [worker.process.pid for worker in pool._workers]
        assert not future.done()
        raise KeyboardInterrupt
    assert number is not None
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_a_map_in_this_process_or_in_others() -> None:
    with parallel_map(1) as here:
        assert set(here(process, range(2))) == {os.getpid()}
    with parallel_map(2) as parallel:
        assert os.getpid() not in set(parallel(process, range(4)))
        assert list(parallel(double, [1, 2])) == [2, 4]
        assert list(parallel(double, [])) == []


SCRIPT = """
import oodbench.benchmark.running.engine as engine
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.trials import plan
from oodbench.detectors import Detector
from pathlib import Path
import sys

print("imported")

class Mine(Detector):
    def fit(self, images, *, monitor=None):
        self.mean_ = images.mean(0)
        return self

    def score(self, images):
        return (images - self.mean_).square().flatten(1).sum(1)

plugins = Plugins.load(classes=[Mine])
trials = plan(plugins, detectors=["mine"], datasets=["digits"], classes=[1, 2, 3])
summary = engine.run(trials, plugins, Store.at(Path(sys.argv[1])), data=Path(sys.argv[1]), jobs=2)
print(summary.done, [result.error for result in summary.failed])
"""


@pytest.mark.parametrize("way", ["file", *(pytest.param(way, marks=pytest.mark.slow) for way in ("stdin", "command"))])
def test_a_script_without_a_guard(tmp_path: Path, way: str) -> None:
    """Workers do not run it again, and get the class that it defines."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    given = {"file": [str(script)], "stdin": ["-"], "command": ["-c", SCRIPT]}[way]
    done = subprocess.run(
        [sys.executable, *given, str(tmp_path / "out")],
        input=SCRIPT if way == "stdin" else None,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == "imported\n3 []\n", done.stderr
    assert done.stderr == ""
