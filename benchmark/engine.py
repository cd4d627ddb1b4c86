"""Runs trials in worker processes, one thread each, and survives whatever happens to them."""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from multiprocessing.managers import SyncManager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from oodbench.benchmark.classifier import classifier_of
from oodbench.benchmark.display import Display
from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.generation import Yardstick, yardstick_of
from oodbench.benchmark.plan import Plugins, Trial, file_name
from oodbench.benchmark.store import Result, Store
from oodbench.benchmark.store import partial as partial_file
from oodbench.benchmark.trial import describe, finish, identity, is_stale, run_trial
from oodbench.benchmark.workers import PROCESSES, follow_parent, plugins_of, shared_arrays, shared_part, worker_pool
from oodbench.datasets.split import PROTOCOLS, one_vs_rest
from oodbench.detectors.base import Monitor

ATTEMPTS = 2
"""How often a trial is begun whose worker process dies."""


@dataclass(frozen=True)
class Task:
    """All that a worker process needs to know to run a trial."""

    trial: Trial
    store: Store
    plugin_files: tuple[Path, ...]
    arrays: Path
    device: str
    trace: bool
    progress: Any


@dataclass
class Summary:
    """How a run went.

    Attributes
    ----------
    done, skipped : int
        Trials that were run, and that had been done already.
    failed : list of dict
        The results of those that failed.
    """

    done: int = 0
    skipped: int = 0
    failed: list[Result] = field(default_factory=list)


def choose_device(wanted: str) -> str:
    """Resolve ``auto``, and refuse what is not there.

    Parameters
    ----------
    wanted : str
        ``auto``, ``cpu`` or ``cuda``.

    Returns
    -------
    str
        ``cpu`` or ``cuda``.

    Raises
    ------
    UsageError
        Another word, or no GPU.
    """
    if wanted not in ("auto", "cpu", "cuda"):
        raise UsageError(f"--device is auto, cpu or cuda, not {wanted!r}.")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch finds no GPU here; use --device cpu, or auto.")
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def run(
    trials: Sequence[Trial],
    plugins: Plugins,
    store: Store,
    *,
    data: Path,
    jobs: int | None = None,
    device: str = "auto",
    force: bool = False,
    trace: bool = False,
    display: Display | None = None,
) -> Summary:
    """Run the trials that are not done yet.

    Parameters
    ----------
    trials : sequence of Trial
        What to run.
    plugins : Plugins
        Where their detectors and datasets are found.
    store : Store
        Where to.
    data : Path
        Where datasets lie.
    jobs : int, optional
        Worker processes; by default one a core.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    force : bool
        Whether to run again what is done.
    trace : bool
        Whether to watch the test images after every epoch.
    display : Display, optional
        Shows what happens.

    Returns
    -------
    Summary

    Raises
    ------
    DatasetError
        A dataset cannot be had.
    UsageError
        The folders cannot be written to, the device is not there, or trials are of another protocol than the store.
    KeyboardInterrupt
        After the worker processes have been ended.
    """
    device = choose_device(device)
    display = display or Display()
    for protocol in {trial.protocol for trial in trials} - {store.protocol}:
        raise UsageError(
            f"Results of the protocol {protocol} go into a store of their own: Store.at(out, {protocol!r})."
        )
    store.prepare()
    todo, stale = _missing(trials, plugins, store, force=force, trace=trace)
    jobs = min(jobs or os.cpu_count() or 1, max(len(todo), 1))
    display.begin(len(trials), len(todo), stale, jobs)
    summary = Summary(skipped=len(trials) - len(todo))
    if not todo:
        return summary
    datasets = [plugins.datasets[name](data) for name in sorted({trial.dataset for trial in todo})]
    with shared_arrays(datasets, store.runs) as arrays, _progress() as progress:
        for remark in (remark for dataset in datasets for remark in dataset.remarks()):
            display.remark(remark)
        tasks = [Task(trial, store, plugins.files, arrays, device, trace, progress) for trial in todo]
        with display:
            for result in _run_all(tasks, jobs, progress, display):
                summary.done += 1
                if result["status"] == "failed":
                    summary.failed.append(result)
    return summary


def _missing(
    trials: Sequence[Trial], plugins: Plugins, store: Store, *, force: bool, trace: bool
) -> tuple[list[Trial], int]:
    """Trials without a result of today's code; and how many of them have a stale one."""
    todo, stale = [], 0
    for trial in trials:
        stored = store.read(trial)
        outdated = stored is not None and is_stale(stored, _identity(trial, plugins))
        done = stored is not None and stored["status"] == "done" and not outdated
        traced = not trace or (store.run_folder(trial) / "trace").exists()
        stale += outdated
        if force or not (done and traced):
            todo.append(trial)
    return todo, stale


def _identity(trial: Trial, plugins: Plugins) -> Result:
    """Give a trial's identity; none for a detector that cannot be constructed, whose trial will fail and say why."""
    try:
        return identity(plugins, trial)
    except Exception:  # whatever a plugin raises
        return {"fingerprint": None}


def _run_all(tasks: Sequence[Task], jobs: int, progress: Any, display: Display) -> Iterator[Result]:
    """Run tasks in a pool, and again in a new pool those that a dying worker took with it."""
    attempts: dict[Trial, int] = {}
    while tasks:
        running: set[Trial] = set()
        lost: list[Task] = []
        with worker_pool(jobs) as pool:
            pending: dict[Future[Result], Task] = {pool.submit(execute, task): task for task in tasks}
            while pending:
                finished, _ = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                waiting = {task.trial for task in pending.values()}
                for trial, step, steps in _drain(progress):
                    if trial in waiting:  # a report may arrive after the result
                        running.add(trial)
                        display.progress(trial, step, steps)
                for future in finished:
                    task = pending.pop(future)
                    try:
                        result = future.result()
                    except BrokenProcessPool:
                        lost.append(task)
                        continue
                    running.discard(task.trial)
                    display.finished(task.trial, result)
                    yield result
        tasks = []
        for task in lost:
            # where nothing had begun, starting a worker is what fails, and every trial is concerned
            begun = task.trial in running or not running
            attempts[task.trial] = attempts.get(task.trial, 0) + begun
            if attempts[task.trial] < ATTEMPTS:
                tasks.append(task)
                continue
            result = _give_up(task)
            display.finished(task.trial, result)
            yield result


def _give_up(task: Task) -> Result:
    """Store that a trial's worker process died every time."""
    trial, plugins = task.trial, plugins_of(task.plugin_files)
    cause = f"its process died {ATTEMPTS} times (killed, perhaps for lack of memory): try fewer --jobs"
    about = {**describe(trial, plugins, task.device), **_identity(trial, plugins)}
    return finish(trial, task.store, {**about, "status": "failed", "error": cause})


# ---------------------------------------------------------------------- in the worker process


class _Reporter(Monitor):
    """Sends a fit's progress to the process that shows it."""

    def __init__(self, trial: Trial, progress: Any) -> None:
        self.trial = trial
        self.queue = progress

    def report(self, step: int, steps: int, measures: Mapping[str, float]) -> None:
        del measures
        with suppress(OSError, EOFError):  # a trial does not fail because nobody listens
            self.queue.put((self.trial, step, steps))


def execute(task: Task) -> Result:
    """Run one task in this process."""
    reporter = _Reporter(task.trial, task.progress)
    reporter.report(0, 1, {})
    plugins, trial = plugins_of(task.plugin_files), task.trial
    yardstick = partial(_yardstick, task.arrays, trial.dataset, trial.normal_class, trial.protocol)
    return run_trial(
        trial,
        plugins,
        (shared_part(task.arrays, trial.dataset, "train"), shared_part(task.arrays, trial.dataset, "test")),
        task.store,
        device=task.device,
        yardstick=yardstick,
        listener=reporter,
        trace=task.trace,
    )


@lru_cache(maxsize=2)
def _yardstick(arrays: Path, dataset: str, normal_class: int, protocol: str) -> Yardstick | None:
    """Give the yardstick of a split, which the first process to need it leaves beside the arrays for the others.

    There is none where images are tested that the classifier may have been trained on.
    """
    if not PROTOCOLS[protocol].tests_test_part_only or classifier_of(dataset) is None:
        return None
    path = arrays / f"{file_name(dataset)}-yardstick-{normal_class}.safetensors"
    with FileLock(f"{path}.lock"):
        if not path.is_file():
            parts = (shared_part(arrays, dataset, "train"), shared_part(arrays, dataset, "test"))
            made = yardstick_of(dataset, one_vs_rest(*parts, normal_class), normal_class)
            assert made is not None
            with partial_file(path) as temporary:
                made.save(temporary)
                temporary.replace(path)
    return Yardstick.load(path, dataset, normal_class)


# ---------------------------------------------------------------------- in the parent process


@contextmanager
def _progress() -> Iterator[Any]:
    """Lend a queue for the workers' reports; each has its own connection to it, so that a dying one cannot jam it."""
    manager = SyncManager(ctx=PROCESSES)
    with _interrupted_later():  # a process that nobody waits for any more complains
        manager.start(follow_parent)
    try:
        yield manager.Queue()
    finally:
        manager.shutdown()


@contextmanager
def _interrupted_later() -> Iterator[None]:
    """Let Ctrl-C wait until the block ends."""
    if threading.current_thread() is not threading.main_thread():  # which alone hears of Ctrl-C
        yield
        return
    came: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if came:
        raise KeyboardInterrupt


def _drain(progress: Any) -> Iterator[tuple[Trial, int, int]]:
    while True:
        try:
            yield progress.get_nowait()
        except (queue.Empty, OSError, EOFError):
            return
