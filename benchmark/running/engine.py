"""Runs the trials that are not done yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cloudpickle

from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.identity import Identity, identity_of
from oodbench.benchmark.results.result import TrialResult
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.running.backend import Backend, Workers
from oodbench.benchmark.running.device import check_device
from oodbench.benchmark.running.interruption import interruption_held_back
from oodbench.benchmark.running.job import Job, Options, stored_digest
from oodbench.benchmark.running.listener import Display
from oodbench.benchmark.trials import Trial


@dataclass
class Summary:
    """How a run went.

    Attributes
    ----------
    done, skipped : int
        Trials that were run, and trials that had been done already.
    failed : list of TrialResult
        The results of those that failed.
    """

    done: int = 0
    skipped: int = 0
    failed: list[TrialResult] = field(default_factory=list)


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
    options: Sequence[str] = (),
) -> Summary:
    """Run the trials that are not done yet.

    Parameters
    ----------
    trials : sequence of Trial
        What is run.
    plugins : Plugins
        Where their detectors and datasets are found.
    store : Store
        Where results and run folders go.
    data : Path
        Folder in which datasets lie.
    jobs : int, optional
        Worker processes; by default one a core.
    scheduler : str, optional
        Instead, a Dask cluster; see `oodbench.benchmark.running.cluster.ClusterBackend`.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    force : bool
        Whether to run again what is done.
    trace : bool
        Whether to score the test images after every epoch.
    keep : bool
        Whether to keep run folders: weights, scores, pictures.
    together : bool
        Whether to train all classes of a detector as one batched model, where it can be (see
        `oodbench.detectors.components.batched`).
    display : Display, optional
        Shows what happens.
    options : sequence of str
        Options that the command which runs a trial again must repeat, such as ``["--out", "folder"]``.

    Returns
    -------
    Summary

    Raises
    ------
    DatasetError
        A dataset cannot be read.
    UsageError
        The folders cannot be written to, the device or the cluster is not there, options contradict each other, or
        trials are of another protocol than the store.
    OSError
        The disk is full.
    RunError
        The cluster is gone.
    KeyboardInterrupt
        After the worker processes have been ended.
    """
    check_device(device)
    _check_options(trials, store, trace=trace, keep=keep, together=together, scheduler=scheduler)
    display = display or Display()
    store.prepare()
    how = Options(device, trace, keep)
    todo, stale = _todo(trials, plugins, store, data, how, options, force=force)
    summary = Summary(skipped=len(trials) - len(todo))
    if not todo:
        display.begin(len(trials), 0, stale, 0)
        return summary
    backend = _backend(jobs, scheduler, together=together)
    display.begin(len(trials), len(todo), stale, backend.slots(len(todo)))
    try:
        with backend.open(todo, plugins) as workers:
            _pass_on_warnings(workers, display)
            with display:
                for result in _results(todo, workers, display):
                    summary.done += 1
                    if result.status == "failed":
                        summary.failed.append(result)
    finally:
        store.clear()  # after workers that were killed
    return summary


def _check_options(
    trials: Sequence[Trial], store: Store, *, trace: bool, keep: bool, together: bool, scheduler: str | None
) -> None:
    if trace and not keep:
        raise UsageError("A trace is kept in the run folder: leave out --trace, or --results-only.")
    if together and (trace or scheduler):
        raise UsageError("--together goes with neither --trace, which asks for scores in the midst, nor --scheduler.")
    for protocol in {trial.protocol for trial in trials} - {store.protocol}:
        raise UsageError(
            f"Results of the protocol {protocol} go into a store of their own: Store.at(out, {protocol!r})."
        )


def _backend(jobs: int | None, scheduler: str | None, *, together: bool) -> Backend:
    """Choose where jobs run."""
    if scheduler is None:
        from oodbench.benchmark.running.local import LocalBackend  # imports torch

        return LocalBackend(jobs, together=together)
    if jobs is not None:
        raise UsageError("--jobs is for this machine; a cluster runs as many trials at a time as it has workers.")
    from oodbench.benchmark.running.cluster import ClusterBackend  # needs an extra

    return ClusterBackend(scheduler)


def _todo(
    trials: Sequence[Trial],
    plugins: Plugins,
    store: Store,
    data: Path,
    how: Options,
    options: Sequence[str],
    *,
    force: bool,
) -> tuple[list[Job], int]:
    """Return jobs for the trials without a result of today's code; and how many of these have a stale one."""
    from oodbench.detectors.base import can_sample  # imports torch

    where = replace(store, leaderboard=store.leaderboard.absolute(), runs=store.runs.absolute())
    files = tuple(path.absolute() for path in plugins.files)
    classes = cloudpickle.dumps(plugins.classes) if plugins.classes else b""  # by value, as a notebook defines them
    todo: list[Job] = []
    stale = 0
    for trial in trials:
        dataset, detector = plugins.datasets[trial.dataset], plugins.detectors[trial.detector]
        class_name = dataset.class_names[trial.normal_class]
        job = Job(
            number=len(todo),
            trial=trial,
            identity=_identity(trial, plugins),
            class_name=class_name,
            classes=len(dataset.normal_classes()),
            can_sample=can_sample(detector),
            extra_data=detector.EXTRA_DATA,
            command=trial.command(class_name, options),
            store=where,
            data=data.absolute(),
            options=how,
            plugin_files=files,
            plugin_classes=classes,
            before=stored_digest(store, trial),
        )
        stored = store.read(trial)
        stale += stored is not None and not job.identity.matches(stored)
        if force or stored is None or not job.is_done_by(stored):
            todo.append(job)
    return todo, stale


def _identity(trial: Trial, plugins: Plugins) -> Identity:
    """Return a trial's identity; that of the data alone if the detector cannot be made: its trial will say why."""
    try:
        return identity_of(trial, plugins)
    except (Exception, SystemExit):  # whatever a plugin raises
        return Identity(data_version=plugins.datasets[trial.dataset].version)


def _results(todo: Sequence[Job], workers: Workers, display: Display) -> Iterator[TrialResult]:
    """Hand in jobs, and yield their results as they arrive."""
    with interruption_held_back():
        for job in todo:
            workers.submit(job)
    pending = {job.number for job in todo}
    while pending:
        outcomes = workers.outcomes()
        for job, step, steps in workers.progress():
            if job.number in pending and steps > 0:  # a report may arrive after the result
                display.progress(job.trial, step, steps)
        _pass_on_warnings(workers, display)
        for job, result in outcomes:
            pending.discard(job.number)
            display.finished(job.trial, result)
            yield result


def _pass_on_warnings(workers: Workers, display: Display) -> None:
    for warning in workers.warnings():
        display.warn(warning)
