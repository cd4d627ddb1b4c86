"""Trials in worker processes of this machine, one thread each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.store import Result
from oodbench.benchmark.running.backend import Backend, Order, Session, WorkerLostError
from oodbench.benchmark.running.device import choose_device
from oodbench.benchmark.running.mailbox import Mailbox, Report, mailbox
from oodbench.benchmark.running.task import Task, execute
from oodbench.benchmark.running.workers import shared_arrays, worker_pool
from oodbench.benchmark.trials import Trial
from oodbench.detectors.components.batched import can_train_together

ATTEMPTS = 2


class LocalBackend(Backend):
    """Worker processes of this machine.

    Parameters
    ----------
    jobs : int, optional
        How many; by default one a core.
    """

    def __init__(self, jobs: int | None = None) -> None:
        self.jobs = jobs

    def places(self, trials: int) -> int:
        """Give how many of `trials` trials run at a time."""
        return min(self.jobs or os.cpu_count() or 1, max(trials, 1))

    @contextmanager
    def session(self, order: Order, trials: Sequence[Trial]) -> Iterator[Session]:
        """Write the datasets to where all workers can map them; see `Backend.session`."""
        choose_device(order.options.device)
        names = sorted({trial.dataset for trial in trials})
        datasets = [order.plugins.datasets[name](order.data) for name in names]
        with shared_arrays(datasets, order.store.runs) as arrays, mailbox() as reports:
            remarks = [remark for dataset in datasets for remark in dataset.warnings()]
            yield LocalSession(order, arrays, reports, self.places(len(trials)), trials, remarks)


class LocalSession(Session):
    """See `LocalBackend`."""

    attempts = ATTEMPTS
    died = f"its process died {ATTEMPTS} times (killed, perhaps for lack of memory): try fewer --jobs"

    def __init__(
        self, order: Order, arrays: Path, box: Mailbox, jobs: int, trials: Sequence[Trial], remarks: Sequence[str]
    ) -> None:
        super().__init__(remarks)
        self.order, self.arrays, self.mailbox, self.jobs = order, arrays, box, jobs
        self.together: dict[Trial, tuple[Trial, ...]] = batches(trials, order.plugins) if order.together else {}

    def executor(self) -> AbstractContextManager[Executor]:
        """Start the processes."""
        return worker_pool(self.jobs)

    def submit(self, executor: Executor, trial: Trial) -> Future[Any]:
        """Hand in a trial."""
        order = self.order
        task = Task(
            trial=trial,
            store=order.store,
            plugin_files=order.plugins.files,
            arrays=self.arrays,
            options=order.options,
            since=order.since,
            progress=self.mailbox.slot,
            together=self.together.get(trial, ()),
        )
        return executor.submit(execute, task)

    def outcome(self, trial: Trial, future: Future[Any]) -> Result:
        """Give the result, which the worker has stored."""
        try:
            result: Result = future.result()
        except BrokenProcessPool as error:
            raise WorkerLostError(self.died) from error
        return result

    def reports(self) -> Iterator[Report]:
        """Empty the mailbox."""
        return self.mailbox.reports()


def batches(trials: Sequence[Trial], plugins: Plugins) -> dict[Trial, tuple[Trial, ...]]:
    """Find trials whose networks can be trained as one: all classes of a detector, with one seed.

    Parameters
    ----------
    trials : sequence of Trial
        What is to be run.
    plugins : Plugins
        Where their detectors are found.

    Returns
    -------
    dict of Trial to tuple of Trial
        For each such trial those that are trained with it, itself among them.
    """
    groups: dict[Trial, list[Trial]] = {}
    for trial in trials:
        if can_train_together(plugins.detectors[trial.detector]):
            groups.setdefault(replace(trial, normal_class=-1), []).append(trial)
    return {trial: tuple(group) for group in groups.values() for trial in group}
