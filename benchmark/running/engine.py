"""Runs the trials that are not done yet, and survives whatever happens to their workers."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oodbench.benchmark.cli.display import Display
from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.store import Result, Store
from oodbench.benchmark.running.backend import Backend, Order, Session, WorkerLostError
from oodbench.benchmark.running.device import check_device
from oodbench.benchmark.running.interruption import finished_of, interruption_held_back
from oodbench.benchmark.running.local import LocalBackend
from oodbench.benchmark.running.trial import Options, describe, finish, identity, is_stale, was_traced
from oodbench.benchmark.trials import Trial


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


def run(
    trials: Sequence[Trial],
    plugins: Plugins,
    store: Store,
    *,
    data: Path,
    jobs: int | None = None,
    scheduler: str | None = None,
    device: str = "auto",
    force: bool = False,
    trace: bool = False,
    keep: bool = True,
    together: bool = False,
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
    scheduler : str, optional
        Instead, a Dask cluster; see `oodbench.benchmark.running.cluster.ClusterBackend`.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    force : bool
        Whether to run again what is done.
    trace : bool
        Whether to watch the test images after every epoch.
    keep : bool
        Whether to keep run folders: weights, scores, pictures.
    together : bool
        Whether to train all classes of a detector as one batched model, where it can be (see
        `oodbench.detectors.components.batched`).
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
        The folders cannot be written to, the device or the cluster is not there, or trials are of another protocol than
        the store.
    OSError
        The disk is full.
    RunError
        The cluster is gone.
    KeyboardInterrupt
        After the worker processes have been ended.
    """
    check_device(device)
    display = display or Display()
    if trace and not keep:
        raise UsageError("A trace is kept in the run folder: leave out --trace, or --results-only.")
    if together and (trace or scheduler):
        raise UsageError("--together goes with neither --trace, which asks for scores in the midst, nor --scheduler.")
    for protocol in {trial.protocol for trial in trials} - {store.protocol}:
        raise UsageError(
            f"Results of the protocol {protocol} go into a store of their own: Store.at(out, {protocol!r})."
        )
    order = Order(plugins, store, data, Options(device, trace, keep), time.time(), together)
    store.prepare()
    todo, stale = _missing(trials, plugins, store, force=force, trace=trace)
    summary = Summary(skipped=len(trials) - len(todo))
    if not todo:
        display.begin(len(trials), 0, stale, 0)
        return summary
    backend = _backend(jobs, scheduler)
    display.begin(len(trials), len(todo), stale, backend.places(len(todo)))
    try:
        with backend.session(order, todo) as session:
            _pass_on_remarks(session, display)
            with display:
                for result in _run_all(todo, session, order, display):
                    _pass_on_remarks(session, display)
                    summary.done += 1
                    if result["status"] == "failed":
                        summary.failed.append(result)
    finally:
        store.clear()  # after workers that were killed
    return summary


def _pass_on_remarks(session: Session, display: Display) -> None:
    for remark in session.remarks():
        display.remark(remark)


def _backend(jobs: int | None, scheduler: str | None) -> Backend:
    """Choose where trials run."""
    if scheduler is None:
        return LocalBackend(jobs)
    if jobs is not None:
        raise UsageError("--jobs is for this machine; a cluster runs as many trials at a time as it has workers.")
    from oodbench.benchmark.running.cluster import ClusterBackend  # needs an extra

    return ClusterBackend(scheduler)


def _missing(
    trials: Sequence[Trial], plugins: Plugins, store: Store, *, force: bool, trace: bool
) -> tuple[list[Trial], int]:
    """Trials without a result of today's code; and how many of them have a stale one."""
    todo, stale = [], 0
    for trial in trials:
        stored = store.read(trial)
        outdated = stored is not None and is_stale(stored, _identity(trial, plugins))
        done = stored is not None and stored["status"] == "done" and not outdated
        stale += outdated
        if force or not done or (trace and not was_traced(stored, store, trial)):
            todo.append(trial)
    return todo, stale


def _identity(trial: Trial, plugins: Plugins) -> Result:
    """Give a trial's identity; none for a detector that cannot be constructed, whose trial will fail and say why."""
    try:
        return identity(plugins, trial)
    except Exception:  # whatever a plugin raises
        return {"fingerprint": None}


def _run_all(trials: Sequence[Trial], session: Session, order: Order, display: Display) -> Iterator[Result]:
    """Run trials with an executor, and again, with a new one, those that a dying worker took with it."""
    attempts: dict[Trial, int] = {}
    batches = deque([list(trials)])
    while batches:
        trials = batches.popleft()
        running: set[Trial] = set()
        lost: dict[Trial, bool] = {}
        with session.executor() as executor:
            with interruption_held_back():
                pending: dict[Future[Any], Trial] = {session.submit(executor, trial): trial for trial in trials}
            while pending:
                finished = finished_of(pending)
                waiting = set(pending.values())
                for trial, step, steps in session.reports():
                    if trial in waiting:  # a report may arrive after the result
                        running.add(trial)
                        display.progress(trial, step, steps)
                for future in finished:
                    trial = pending.pop(future)
                    try:
                        result = session.outcome(trial, future)
                    except WorkerLostError as error:
                        lost[trial] = error.begun
                        continue
                    running.discard(trial)
                    display.finished(trial, result)
                    yield result
        together = []
        for trial, suspect in lost.items():
            # where nothing had begun, starting a worker is what fails, and every trial is concerned
            attempts[trial] = attempts.get(trial, 0) + (suspect and (trial in running or not running))
            if attempts[trial] >= session.attempts:
                result = _give_up(trial, session.died, order)
                display.finished(trial, result)
                yield result
            elif suspect and trial in running:
                batches.append([trial])  # alone, so that it takes no other trial with it if it is to blame
            else:
                together.append(trial)
        if together:
            batches.append(together)


def _give_up(trial: Trial, cause: str, order: Order) -> Result:
    """Store that a trial's worker died every time."""
    about = {**describe(trial, order.plugins, "cpu"), **_identity(trial, order.plugins)}
    return finish(trial, order.store, {**about, "status": "failed", "error": cause})
