"""Trials on a Dask cluster, through the same interface as on this machine.

The scheduler hands each trial to a worker, and to another one if that worker dies. A worker finds or fetches the
datasets itself, and sends back the result and, packed, the run folder, which are stored here.
"""

from __future__ import annotations

import asyncio
import io
import logging
import os
import platform
import queue
import shutil
import tarfile
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from oodbench.benchmark.errors import RunError, UsageError
from oodbench.benchmark.files import file_name, new_folder, remove, write_text
from oodbench.benchmark.results.store import Result, Store
from oodbench.benchmark.running.backend import Backend, Order, Session, WorkerLostError
from oodbench.benchmark.running.interruption import interruption_held_back
from oodbench.benchmark.running.processes import start_server
from oodbench.benchmark.running.task import Task, execute
from oodbench.benchmark.running.trial import Options, describe, failed, finish, identity
from oodbench.benchmark.running.workers import plugins_of, use_one_thread, write_arrays
from oodbench.benchmark.trials import Trial

if TYPE_CHECKING:
    from distributed import Client

SECONDS_TO_CONNECT = 20


@dataclass(frozen=True)
class Parcel:
    """A trial, with all that a worker on another machine needs to run it.

    Attributes
    ----------
    trial : Trial
        Which.
    plugins : tuple of (str, str)
        Names and texts of local plugin files.
    data : Path
        Where datasets lie.
    away : bool
        Whether the worker may be on another machine, whose environment says where datasets lie there.
    run : str
        Names the run, and the topic under which its progress is reported.
    options : Options
        How.
    """

    trial: Trial
    plugins: tuple[tuple[str, str], ...]
    data: Path
    away: bool
    run: str
    options: Options


@dataclass(frozen=True)
class Delivery:
    """What a worker sends back.

    Attributes
    ----------
    result : dict
        Of the trial.
    folder : bytes or None
        The run folder as a tar archive, if there is one.
    remarks : tuple of str
        What the dataset has to say, from the worker that loads it for those on its machine.
    """

    result: Result
    folder: bytes | None
    remarks: tuple[str, ...] = ()


# ---------------------------------------------------------------------- in the worker

_turn = threading.Lock()
_ended: set[str] = set()
"""Runs whose trials nobody waits for any more."""


def execute_away(parcel: Parcel) -> Delivery:
    """Run a trial in this worker, whose folders are its own.

    A worker may have several threads, but its trials wait for each other: they share random states and processors.

    Parameters
    ----------
    parcel : Parcel
        Which, and how.

    Returns
    -------
    Delivery
    """
    with _turn:
        if parcel.run in _ended:
            raise CancelledError("The run has ended.")
        use_one_thread()
        try:
            here = folder_of(parcel.run)
            here.mkdir(exist_ok=True)
            return _execute(parcel, here)
        except Exception as error:  # what is wrong with one worker is no reason to end the run
            result = failed({}, error)
            return Delivery({**result, "error": f"on {platform.node()}: {result['error']}"}, None)
        finally:
            if parcel.run in _ended:
                clear(parcel.run)


def _execute(parcel: Parcel, here: Path) -> Delivery:
    """Run a trial in this worker, with `here` for what the run's trials on this machine share."""
    trial = parcel.trial
    files = _unpack_plugins(parcel.plugins, here)
    plugins = plugins_of(files)
    try:
        plugins.detectors[trial.detector]
    except UsageError as error:  # it may be in what cannot be loaded here
        causes = [str(error), *(f"{broken.source}: {broken.cause}" for broken in plugins.broken)]
        raise UsageError("; ".join(causes)) from error
    data = Path(os.environ.get("OODBENCH_DATA", parcel.data)) if parcel.away else parcel.data
    with tempfile.TemporaryDirectory(dir=here) as own:
        store = Store.at(Path(own), trial.protocol)
        task = Task(
            trial=trial,
            store=store,
            plugin_files=files,
            arrays=here,
            options=parcel.options,
            since=0.0,
            progress=Topic(parcel.run),
        )
        dataset = plugins.datasets[trial.dataset](data)
        with FileLock(here / f"{file_name(trial.dataset)}.lock"):
            dataset.prepare()
            write_arrays(dataset, here)
        result, folder = execute(task), store.run_folder(trial)
        return Delivery(result, pack(folder) if folder.exists() else None, tuple(dataset.warnings()))


def folder_of(run: str) -> Path:
    """Give the folder of a run on a worker's machine; the workers on one machine share the datasets in it."""
    return Path(tempfile.gettempdir(), f"oodbench-{run}")


def clear(run: str) -> None:
    """Begin no further trial of a run in this worker, and remove its folder."""
    _ended.add(run)
    shutil.rmtree(folder_of(run), ignore_errors=True)


def _unpack_plugins(plugins: Sequence[tuple[str, str]], folder: Path) -> tuple[Path, ...]:
    paths = tuple(folder / "plugins" / str(number) / name for number, (name, _) in enumerate(plugins))
    for path, (_, text) in zip(paths, plugins, strict=True):
        if not path.is_file():
            write_text(path, text)
    return paths


class Topic:
    """Sends reports of progress to whoever listens to a topic."""

    def __init__(self, name: str) -> None:
        self.name = name

    def put(self, report: tuple[Trial, int, int]) -> None:
        """Send a report; a trial goes by its path."""
        from distributed import get_worker

        trial, step, steps = report
        get_worker().log_event(self.name, (str(trial.path), step, steps))


def pack(folder: Path) -> bytes:
    """Pack the files of a folder into a tar archive."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.add(folder, arcname=".")
    return stream.getvalue()


def unpack(archive: bytes, folder: Path) -> None:
    """Unpack what `pack` made into a folder; nothing gets outside it."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        packed.extractall(folder, filter="data")


# ---------------------------------------------------------------------- here


class ClientExecutor(Executor):
    """The standard interface to a Dask client.

    Dask's own loses a result, and leaves its future pending for ever, when the connection drops while it is fetched.

    Parameters
    ----------
    client : Client
        Whose workers run what is submitted.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.pending: set[Any] = set()

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Hand in a call."""
        future: Future[Any] = Future()
        running = self.client.submit(function, *args, **kwargs, pure=False)
        self.pending.add(running)

        def fetch(done: Any) -> None:
            try:
                future.set_result(done.result())
            except BaseException as error:  # it goes to whoever asks for the result
                future.set_exception(error)
            self.pending.discard(done)

        running.add_done_callback(fetch)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Give up what is not done."""
        with suppress(Exception):  # the client may be closed
            self.client.cancel(list(self.pending))


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
            from dask.config import set as set_config
            from distributed import Client, LocalCluster
        except ImportError as error:
            raise UsageError('--scheduler needs Dask: pip install "oodbench[dask]".') from error
        for logger in ("distributed", "distributed.client"):  # a run says itself what happens to its trials
            logging.getLogger(logger).setLevel(logging.CRITICAL)
        kind, _, number = self.address.partition(":")
        if kind == "local":
            if not number.isdecimal() or int(number) < 1:
                raise UsageError(f"--scheduler {self.address}: say how many workers to start, as in local:4.")
            start_server()  # before Dask does, who would import less in it
            forked = set_config({"distributed.worker.multiprocessing-method": "forkserver"})
            with interruption_held_back(), forked:  # what is half-started cannot be ended
                self.cluster = LocalCluster(
                    n_workers=int(number),
                    threads_per_worker=1,
                    memory_limit=0,  # no limit: the operating system has one
                    dashboard_address=":0",  # any free port
                    silence_logs=logging.CRITICAL,
                )
        try:
            return Client(self.cluster or self.address, timeout=SECONDS_TO_CONNECT)
        except Exception as error:  # each kind of address has its own
            raise UsageError(
                f"--scheduler {self.address}: no scheduler answers there ({' '.join(str(error).split())}): start one "
                f"with `dask scheduler`, and give the address that it prints, such as tcp://10.0.0.1:8786."
            ) from error

    def _threads(self) -> list[int]:
        """Threads of each worker that there is now."""
        return [worker["nthreads"] for worker in self.client.scheduler_info(n_workers=-1)["workers"].values()]

    def places(self, trials: int) -> int:
        """Give how many workers there are now; a cluster may grow."""
        return max(1, min(trials, len(self._threads())))

    def _remarks(self) -> list[str]:
        """Say what is unusual about the workers."""
        threads = self._threads()
        if not threads:
            return [f"The scheduler {self.address} has no workers yet; the trials wait for the first."]
        if max(threads) > 1:
            return ["Workers with several threads run one trial at a time: start one a core, with --nthreads 1."]
        return []

    @contextmanager
    def session(self, order: Order, trials: Sequence[Trial]) -> Iterator[Session]:
        """Listen to the workers; see `Backend.session`."""
        session = ClusterSession(order, self.client, trials, self._remarks(), away=self.cluster is None)
        try:
            yield session
        finally:
            self._close(session.run)

    def _close(self, run: str) -> None:
        with suppress(Exception):  # whatever state the cluster is in, the results are here
            self.client.run(clear, run, on_error="ignore")
        with suppress(Exception):
            self.client.close(timeout=2)
            if self.cluster is not None:
                self.cluster.sync(self._end_workers)
                self.cluster.close(timeout=2)

    async def _end_workers(self) -> None:
        """End the workers that we have started, even in the midst of a trial, for the end of which Dask would wait."""
        await asyncio.gather(*(nanny.close(timeout=0.5) for nanny in self.cluster.workers.values()))


class ClusterSession(Session):
    """See `ClusterBackend`."""

    attempts = 1
    """The scheduler itself tries again, elsewhere."""
    died = "every worker that tried it died (killed, perhaps for lack of memory): give the workers more memory"

    def __init__(
        self, order: Order, client: Client, trials: Sequence[Trial], remarks: Sequence[str] = (), *, away: bool
    ) -> None:
        super().__init__(remarks)
        self.said: set[str] = set()
        self.order, self.client, self.away = order, client, away
        self.run = uuid.uuid4().hex[:12]
        self.by_path = {str(trial.path): trial for trial in trials}
        self.arrived: queue.SimpleQueue[tuple[str, int, int]] = queue.SimpleQueue()
        self.plugins = tuple((path.name, path.read_text(encoding="utf-8")) for path in order.plugins.files)

    @contextmanager
    def executor(self) -> Iterator[Executor]:
        """Lend the cluster's executor."""
        self.client.subscribe_topic(self.run, lambda event: self.arrived.put(event[1]))
        executor = ClientExecutor(self.client)
        try:
            yield executor
        finally:
            executor.shutdown(wait=False)

    def submit(self, executor: Executor, trial: Trial) -> Future[Any]:
        """Hand in a trial."""
        order = self.order
        parcel = Parcel(
            trial=trial,
            plugins=self.plugins,
            data=order.data.absolute(),
            away=self.away,
            run=self.run,
            options=order.options,
        )
        return executor.submit(execute_away, parcel)

    def outcome(self, trial: Trial, future: Future[Any]) -> Result:
        """Store what a worker sent."""
        from distributed import KilledWorker
        from distributed.client import ClosedClientError
        from distributed.comm.core import CommClosedError

        try:
            delivery: Delivery = future.result()
        except KilledWorker as error:
            raise WorkerLostError(self.died) from error
        except (CancelledError, CommClosedError, ClosedClientError) as error:
            if not self._connected():
                raise RunError("The scheduler is gone.") from error
            raise WorkerLostError("The connection to the scheduler was lost.", begun=False) from error
        except Exception as error:
            cause = str(error).partition("\n")[0]
            raise RunError(
                f"The cluster cannot run trials ({type(error).__name__}: {cause}): install the same oodbench where the "
                f"scheduler and the workers are."
            ) from error
        for remark in set(delivery.remarks) - self.said:  # each machine may send the same
            self.said.add(remark)
            self._remarks.append(remark)
        return self._store(trial, delivery)

    def _store(self, trial: Trial, delivery: Delivery) -> Result:
        order, result = self.order, delivery.result
        if result["status"] == "done":
            today = identity(order.plugins, trial)
            other = ", ".join(key for key, value in today.items() if result.get(key) != value)
            if other:
                cause = f"its worker has another {other} than here: install the same oodbench and data there"
                result = {"status": "failed", "error": cause}
        if result["status"] == "failed":  # the worker may not even have known the detector
            result = {**describe(trial, order.plugins, "cpu"), **result}
        with order.store.lock(str(trial.path)):
            if not order.options.keep:
                remove(order.store.run_folder(trial))
            elif delivery.folder is not None and result["status"] == "done":
                with new_folder(order.store.run_folder(trial)) as folder:
                    unpack(delivery.folder, folder)
            return finish(trial, order.store, result)

    def _connected(self) -> bool:
        """Wait until the client, which gives up its trials when a connection drops, has another one, or has none."""
        end = time.monotonic() + 2 * SECONDS_TO_CONNECT
        while self.client.status == "connecting" and time.monotonic() < end:
            time.sleep(0.1)
        return bool(self.client.status == "running")

    def reports(self) -> Iterator[tuple[Trial, int, int]]:
        """Empty the queue."""
        while not self.arrived.empty():
            path, step, steps = self.arrived.get()
            yield self.by_path[path], step, steps
