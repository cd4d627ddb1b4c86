"""Jobs on a Dask cluster, through the same interface as on this machine.

The scheduler hands each job to a worker, and to another one if that worker dies. A worker finds or downloads the
datasets itself, and sends back the result and the run folder, which are stored here; see `cluster_worker`.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from oodbench.benchmark.errors import RunError, UsageError
from oodbench.benchmark.files import new_folder, remove
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.result import TrialResult
from oodbench.benchmark.running.backend import Backend, Progress, Workers
from oodbench.benchmark.running.cluster_worker import Answer, Source, clear, run_here, unpack
from oodbench.benchmark.running.interruption import PATIENCE, check_interruption, interruption_held_back
from oodbench.benchmark.running.job import Job
from oodbench.benchmark.running.processes import start_server, without_main

if TYPE_CHECKING:
    from distributed import Client

SECONDS_TO_CONNECT = 20
SECONDS_BETWEEN_COUNTS = 2.0
LOOPBACK = "127.0.0.1"
DIED = "every worker that tried it died (killed, perhaps for lack of memory): give the workers more memory"


class ClusterBackend(Backend):
    """The workers of a Dask scheduler.

    Parameters
    ----------
    address : str
        The scheduler's address, such as ``tcp://10.0.0.1:8786``; or ``local:N``, which starts one, and N workers, on
        this machine.

    Raises
    ------
    UsageError
        Nothing answers there, the address is none, or dask is not installed.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.cluster: Any = None
        self.client = self._connect()

    def _connect(self) -> Client:
        try:
            from distributed import Client
        except ImportError as error:
            raise UsageError('--scheduler needs Dask: pip install "oodbench[dask]".') from error
        for logger in ("distributed", "distributed.client"):  # a run says itself what happens to its trials
            logging.getLogger(logger).setLevel(logging.CRITICAL)
        kind, _, number = self.address.partition(":")
        if kind == "local":
            if not number.isdecimal() or int(number) < 1:
                raise UsageError(f"--scheduler {self.address}: say how many workers to start, as in local:4.")
            self._start(int(number))
        try:
            return Client(self.cluster or self.address, timeout=SECONDS_TO_CONNECT)
        except Exception as error:  # each kind of address has its own
            raise UsageError(
                f"--scheduler {self.address}: no scheduler answers there ({' '.join(str(error).split())}): start one "
                f"with `dask scheduler`, and give the address that it prints, such as tcp://10.0.0.1:8786."
            ) from error

    def _start(self, workers: int) -> None:
        """Start a scheduler and workers on this machine."""
        from dask.config import set as set_config
        from distributed import LocalCluster

        start_server()  # before Dask does, who would import less in it
        self.folder = tempfile.TemporaryDirectory(prefix="oodbench-cluster-", ignore_cleanup_errors=True)
        settings = {"distributed.worker.multiprocessing-method": "forkserver", "temporary-directory": self.folder.name}
        # what is half-started cannot be ended
        with interruption_held_back(), set_config(settings), without_main(), _one_cause():
            self.cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                memory_limit=0,  # no limit: the operating system has one
                host=LOOPBACK,  # whoever reaches a scheduler can run code
                dashboard_address=f"{LOOPBACK}:0",  # any free port, without a dashboard
                worker_dashboard_address=f"{LOOPBACK}:0",
                scheduler_kwargs={"dashboard": False},
                silence_logs=logging.CRITICAL,
            )

    def slots(self, trials: int) -> int:
        """Return how many workers there are now; a cluster may grow."""
        return max(1, min(trials, len(threads_of(self.client))))

    def _warnings(self) -> list[str]:
        """Return what is unusual about the workers."""
        threads = threads_of(self.client)
        if not threads:
            return [f"The scheduler {self.address} has no workers yet; the trials wait for the first."]
        if max(threads) > 1:
            return ["Workers with several threads run one trial at a time: start one a core, with --nthreads 1."]
        return []

    @contextmanager
    def open(self, jobs: Sequence[Job], plugins: Plugins) -> Iterator[Workers]:
        """Listen to the workers; see `Backend.open`."""
        sources = [(path.name, path.read_text(encoding="utf-8")) for path in plugins.files]
        workers = ClusterWorkers(self.client, jobs, sources, self._warnings(), away=self.cluster is None)
        self.client.subscribe_topic(workers.run, workers.listen)
        try:
            yield workers
        finally:
            workers.close()
            self._close(workers.run)

    def _close(self, run: str) -> None:
        with suppress(Exception):  # whatever state the cluster is in, the results are here
            self.client.run(clear, run, on_error="ignore")
        with suppress(Exception):
            self.client.close(timeout=2)
            if self.cluster is not None:
                self.cluster.sync(self._end_workers)
                self.cluster.close(timeout=2)
                self.folder.cleanup()

    async def _end_workers(self) -> None:
        """End the workers that we have started, even in the midst of a trial, for the end of which Dask would wait."""
        await asyncio.gather(*(nanny.close(timeout=0.5) for nanny in self.cluster.workers.values()))


@contextmanager
def _one_cause() -> Iterator[None]:
    """Raise RunError, which names the first cause, for whatever keeps workers from starting."""
    try:
        yield
    except Exception as error:
        cause: BaseException = error
        while (earlier := cause.__cause__ or cause.__context__) is not None:
            cause = earlier
        raise RunError(
            f"Dask cannot start workers on this machine ({type(cause).__name__}: {cause}): leave out --scheduler."
        ) from error


class ClusterWorkers(Workers):
    """See `ClusterBackend`.

    Parameters
    ----------
    client : Client
        Connected to the scheduler.
    jobs : sequence of Job
        What will be handed in.
    sources : sequence of (str, str)
        Names and texts of local plugin files.
    warnings : sequence of str
        What is unusual about the workers.
    away : bool
        Whether the workers may be on other machines.
    """

    def __init__(
        self,
        client: Client,
        jobs: Sequence[Job],
        sources: Sequence[Source] = (),
        warnings: Sequence[str] = (),
        *,
        away: bool,
    ) -> None:
        self.run = uuid.uuid4().hex[:12]
        self._client, self._sources, self._away = client, tuple(sources), away
        self._jobs = {job.number: job for job in jobs}
        self._warnings, self._warned = list(warnings), set[str]()
        self._has_workers, self._counted = False, 0.0
        self._running: set[Any] = set()
        self._reports: queue.SimpleQueue[tuple[int, int, int]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[Job, Answer | BaseException]] = queue.SimpleQueue()

    def listen(self, event: tuple[Any, tuple[int, int, int]]) -> None:
        """Take a worker's report of progress."""
        self._reports.put(event[1])

    def close(self) -> None:
        """Give up what is not done."""
        with suppress(Exception):  # the client may be closed
            self._client.cancel(list(self._running))

    def submit(self, job: Job) -> None:
        """Hand in a job."""
        future = self._client.submit(run_here, job, self.run, self._sources, away=self._away, pure=False)
        self._running.add(future)

        # Dask's own executor loses a result when the connection drops while it is fetched
        def fetch(done: Any) -> None:
            try:
                answer = done.result()
            except BaseException as error:  # `outcomes` deals with it
                answer = error
            self._running.discard(done)
            self._answers.put((job, answer))

        future.add_done_callback(fetch)

    def outcomes(self) -> list[tuple[Job, TrialResult]]:
        """Wait a moment for what workers send, and store it."""
        arrived = []
        with interruption_held_back(), suppress(queue.Empty):
            arrived.append(self._answers.get(timeout=PATIENCE))
            while True:
                arrived.append(self._answers.get_nowait())
        check_interruption()
        outcomes = [(job, self._outcome(job, answer)) for job, answer in arrived]
        return [(job, result) for job, result in outcomes if result is not None]

    def _outcome(self, job: Job, answer: Answer | BaseException) -> TrialResult | None:
        """Store the result of a job; None where it has been handed in again."""
        if isinstance(answer, BaseException):
            if self._is_to_be_repeated(answer):
                self.submit(job)
                return None
            answer = Answer(job.failure(DIED))
        for warning in set(answer.warnings) - self._warned:  # each machine may send the same
            self._warned.add(warning)
            self._warnings.append(warning)
        return _store(job, answer)

    def _is_to_be_repeated(self, error: BaseException) -> bool:
        """Return whether a job was lost with the connection, not with its workers; raises RunError if all is lost."""
        from distributed import KilledWorker
        from distributed.client import ClosedClientError
        from distributed.comm.core import CommClosedError

        if isinstance(error, KilledWorker):  # the scheduler itself has tried again, elsewhere
            return False
        if isinstance(error, (CancelledError, CommClosedError, ClosedClientError)):
            if self._is_connected():
                return True
            raise RunError("The scheduler is gone.") from error
        cause = str(error).partition("\n")[0]
        raise RunError(
            f"The cluster cannot run trials ({type(error).__name__}: {cause}): install the same oodbench where the "
            f"scheduler and the workers are."
        ) from error

    def _is_connected(self) -> bool:
        """Wait until the client, which gives up its jobs when a connection drops, has another one, or has none."""
        end = time.monotonic() + 2 * SECONDS_TO_CONNECT
        while self._client.status == "connecting" and time.monotonic() < end:
            time.sleep(0.1)
        return bool(self._client.status == "running")

    def progress(self) -> Iterator[Progress]:
        """Yield what has been reported."""
        while not self._reports.empty():
            number, step, steps = self._reports.get()
            yield self._jobs[number], step, steps

    def warnings(self) -> list[str]:
        """Return what is new about workers and datasets."""
        warnings, self._warnings = [*self._warnings, *self._loss_of_workers()], []
        return warnings

    def _loss_of_workers(self) -> Iterator[str]:
        """Yield a sentence when the last worker has gone, of which nobody else would hear."""
        now = time.monotonic()
        if now - self._counted < SECONDS_BETWEEN_COUNTS:
            return
        self._counted = now
        with suppress(Exception):  # the connection may be down, which `outcomes` deals with
            before, self._has_workers = self._has_workers, bool(threads_of(self._client))
            if before and not self._has_workers:
                yield "The cluster has no workers any more (do trials end them?); the trials wait for the next."


def threads_of(client: Client) -> list[int]:
    """Return how many threads each worker has that there is now."""
    return [worker["nthreads"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()]


def _store(job: Job, answer: Answer) -> TrialResult:
    """Store what a worker sent."""
    result, path = answer.result, job.store.run_folder(job.trial)
    with job.store.lock(str(job.trial.path)):
        if not job.options.keep:
            remove(path)
        elif answer.folder is not None and result.status == "done":
            with new_folder(path) as folder:
                unpack(answer.folder, folder)
        job.store.write(result)
    return result
