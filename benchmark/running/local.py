"""Jobs in worker processes of this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.result import TrialResult
from oodbench.benchmark.running.arrays import shared_arrays
from oodbench.benchmark.running.backend import Backend, Progress, Workers
from oodbench.benchmark.running.device import choose_device
from oodbench.benchmark.running.job import Job
from oodbench.benchmark.running.pool import ATTEMPTS, WorkerLostError, WorkerPool, worker_pool
from oodbench.benchmark.running.processes import allowed_cores, start_server
from oodbench.benchmark.running.progress import ProgressTable, write_progress
from oodbench.benchmark.running.worker import run_job
from oodbench.benchmark.trials import Trial
from oodbench.detectors.components.batched import can_train_together

Batch = tuple[tuple[int, Trial], ...]
"""Numbers and trials of jobs whose networks are trained as one; see `Job.together`."""
DIED = f"its process died {ATTEMPTS} times (killed, perhaps for lack of memory): try fewer --jobs"


class LocalBackend(Backend):
    """Worker processes of this machine.

    Parameters
    ----------
    jobs : int, optional
        How many; by default one a core.
    together : bool
        Whether to train all classes of a detector as one batched model, where it can be.
    """

    def __init__(self, jobs: int | None = None, *, together: bool = False) -> None:
        self.jobs = jobs
        self.together = together

    def slots(self, trials: int) -> int:
        """Return how many of a number of trials run at a time."""
        return min(self.jobs or allowed_cores(), max(trials, 1))

    @contextmanager
    def open(self, jobs: Sequence[Job], plugins: Plugins) -> Iterator[Workers]:
        """Write the datasets to where all workers can map them; see `Backend.open`."""
        start_server()
        choose_device(jobs[0].options.device)
        names = sorted({job.trial.dataset for job in jobs})
        datasets = [plugins.datasets[name](jobs[0].data) for name in names]
        with shared_arrays(datasets, jobs[0].store.runs) as arrays, worker_pool(self.slots(len(jobs))) as pool:
            warnings = [warning for dataset in datasets for warning in dataset.warnings()]
            yield LocalWorkers(pool, arrays, jobs, batches(jobs, plugins) if self.together else {}, warnings)


class LocalWorkers(Workers):
    """See `LocalBackend`.

    Parameters
    ----------
    pool : WorkerPool
        The processes.
    arrays : Path
        Folder in which the datasets' arrays lie.
    jobs : sequence of Job
        What will be handed in.
    together : mapping of int to tuple
        From `batches`.
    warnings : sequence of str
        What the datasets have to say.
    """

    def __init__(
        self,
        pool: WorkerPool,
        arrays: Path,
        jobs: Sequence[Job],
        together: Mapping[int, Batch],
        warnings: Sequence[str],
    ) -> None:
        self._pool, self._arrays, self._together, self._warnings = pool, arrays, together, list(warnings)
        self._table = ProgressTable(arrays / "progress.npy", len(jobs))
        self._report = partial(write_progress, self._table.path)
        self._jobs = {job.number: job for job in jobs}
        self._waiting: dict[Future[TrialResult], Job] = {}
        self._submitted: dict[Future[TrialResult], Job] = {}

    def submit(self, job: Job) -> None:
        """Hand in a job."""
        job = replace(job, arrays=self._arrays, together=self._together.get(job.number, ()))
        future = self._pool.submit(run_job, job, self._report)
        self._waiting[future] = self._submitted[future] = job

    def outcomes(self) -> list[tuple[Job, TrialResult]]:
        """Wait a moment for results, which the workers have stored."""
        found = []
        for future in self._pool.wait():
            job = self._submitted.pop(future)
            try:
                result = future.result()
            except WorkerLostError:
                result = job.failure(DIED)
                job.store.write(result)
            found.append((job, result))
        return found

    def progress(self) -> Iterator[Progress]:
        """Yield first what has begun, then what has got further."""
        for future in [future for future in self._waiting if future.running() or future.done()]:
            yield self._waiting.pop(future), 0, 1
        for number, step, steps in self._table.changes():
            if step:
                yield self._jobs[number], step, steps

    def warnings(self) -> list[str]:
        """Return what the datasets have to say, once."""
        warnings, self._warnings = self._warnings, []
        return warnings


def batches(jobs: Sequence[Job], plugins: Plugins) -> dict[int, Batch]:
    """Find jobs whose networks can be trained as one: all classes of a detector, with one seed.

    Parameters
    ----------
    jobs : sequence of Job
        What is to be run.
    plugins : Plugins
        Where their detectors are found.

    Returns
    -------
    dict of int to tuple
        For the number of each such job the numbers and trials of all that are trained with it, itself among them.
    """
    groups: dict[Trial, list[tuple[int, Trial]]] = {}
    for job in jobs:
        if can_train_together(plugins.detectors[job.trial.detector]):
            groups.setdefault(replace(job.trial, normal_class=-1), []).append((job.number, job.trial))
    return {number: tuple(group) for group in groups.values() for number, _ in group}
