"""Worker processes of one thread each.

Every worker has a pipe of its own to this process, and one call at a time. So a worker that dies takes no other's call
with it, its death is seen at once, and there are neither threads nor locks that an interruption could leave locked.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TypeVar

from oodbench.benchmark.errors import RunError
from oodbench.benchmark.running.interruption import PATIENCE, check_interruption, interruption_held_back
from oodbench.benchmark.running.leftovers import Watch, end_children
from oodbench.benchmark.running.processes import PROCESSES, start_process

T = TypeVar("T")

ATTEMPTS = 2
"""How often a call is handed out whose worker dies."""
SECONDS_TO_END = 2.0
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "LOKY_MAX_CPU_COUNT"), "1"
)
"""Environment variables of libraries that start their threads when a plugin imports them."""


class WorkerLostError(RunError):
    """A call's worker died every time."""

    def __init__(self) -> None:
        super().__init__(
            f"A worker process died {ATTEMPTS} times (killed, perhaps for lack of memory): try fewer --jobs."
        )


# ---------------------------------------------------------------------- in the worker process


def serve(connection: Connection, folder: Path) -> None:
    """Answer calls until there are no more, in a working directory."""
    with suppress(OSError):  # it may be gone
        os.chdir(folder)
    initialise()
    watch = Watch()
    with suppress(EOFError, OSError):  # the other end is closed
        while True:
            answer = _answer(connection.recv_bytes())
            end_children()
            connection.send_bytes(bytes([watch.finds_threads()]) + answer)


def initialise() -> None:
    """Make this process a worker."""
    from oodbench.benchmark.running.memory import keep_freed_memory
    from oodbench.benchmark.running.state import reset_state  # it imports torch, which the command need not

    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(ONE_THREAD)
    reset_state(0)
    keep_freed_memory()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _answer(packed: bytes) -> bytes:
    """Make a call; return whether it worked, and what it returned or raised."""
    try:
        function, args = pickle.loads(packed)
        return pickle.dumps((True, function(*args)))
    except BaseException as error:  # a plugin may raise SystemExit; Ctrl-C does not reach a worker
        error.add_note("".join(traceback.format_exception(error)))
        try:
            return pickle.dumps((False, error))
        except Exception:
            return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))


# ---------------------------------------------------------------------- in this process


@dataclass
class _Call:
    """A call that was handed in.

    Attributes
    ----------
    packed : bytes
        Function and arguments, pickled.
    future : Future
        Gets its result.
    deaths : int
        How many workers died of it.
    """

    packed: bytes
    future: Future[Any]
    deaths: int = 0


class _Worker:
    """A worker process; `call` is what it is at, if anything."""

    def __init__(self) -> None:
        self.call: _Call | None = None
        self.connection, theirs = PROCESSES.Pipe()
        with interruption_held_back():  # what is half-started cannot be ended
            self.process = start_process(serve, theirs, Path.cwd())
        theirs.close()  # so that the worker's death closes the pipe

    def take(self, call: _Call) -> None:
        """Make a call in the process."""
        self.call = call
        with suppress(OSError):  # it has died, which `answer` will show
            self.connection.send_bytes(call.packed)

    def answer(self) -> bytes | None:
        """Return whether the call left threads behind, a byte, and its answer; None if the process has died."""
        self.call = None
        with suppress(EOFError, OSError):
            if self.connection.poll():
                return self.connection.recv_bytes()
        return None

    def end(self, *, at_once: bool = False) -> None:
        """End the process: wait a moment until it has left, unless it is busy, or kill it."""
        self.connection.close()
        if not at_once and self.call is None:
            self.process.join(SECONDS_TO_END)
        self.process.kill()
        self.process.join()


class WorkerPool:
    """Processes that make calls. Whoever waits for a call drives them: see `wait`.

    Parameters
    ----------
    size : int
        How many processes there are at most; they start when there is something to do.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._calls: deque[_Call] = deque()
        self._workers: list[_Worker] = []

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        """Hand in a call of a function that workers can import.

        Returns
        -------
        Future
            It is pending until a worker takes the call, and can be cancelled until then. It raises what the function
            raises, with the worker's traceback as a note, or `WorkerLostError`.
        """
        future: Future[T] = Future()
        self._calls.append(_Call(pickle.dumps((function, args)), future))
        return future

    def wait(self, timeout: float = PATIENCE) -> list[Future[Any]]:
        """Hand out calls, wait until one is answered, and return the futures of those that are.

        Parameters
        ----------
        timeout : float
            Seconds after which it returns all the same.
        """
        self._hand_out()
        busy = [worker for worker in self._workers if worker.call is not None]
        ready = set(wait([end for worker in busy for end in (worker.connection, worker.process.sentinel)], timeout))
        check_interruption()
        finished = [self._collect(worker) for worker in busy if {worker.connection, worker.process.sentinel} & ready]
        self._hand_out()  # now, for the caller may take its time with the results
        return [future for future in finished if future is not None]

    def map(self, function: Callable[..., T], /, *iterables: Iterable[Any]) -> Iterator[T]:
        """Yield a function's results in the order of its arguments; calls that nobody waits for any more are dropped.

        Raises
        ------
        WorkerLostError
            A worker died of a call every time.
        """
        futures = [self.submit(function, *args) for args in zip(*iterables, strict=False)]
        try:
            for future in futures:
                while not future.done():
                    self.wait()
                yield future.result()
        finally:
            for future in futures:
                future.cancel()

    def end(self, *, at_once: bool = False) -> None:
        """End the processes, which may leave by themselves if they are idle."""
        for worker in self._workers:
            worker.connection.close()  # upon which an idle one leaves
        while self._workers:
            self._workers.pop().end(at_once=at_once)

    def _hand_out(self) -> None:
        """Give calls to idle workers; start workers as long as there are calls, and fewer than `size`."""
        while self._calls and (worker := self._idle()) is not None:
            call = self._calls.popleft()
            if call.deaths or call.future.set_running_or_notify_cancel():
                worker.take(call)

    def _idle(self) -> _Worker | None:
        for worker in [worker for worker in self._workers if worker.call is None]:
            if worker.process.is_alive():
                return worker
            self._remove(worker)
        if len(self._workers) == self.size:
            return None
        self._workers.append(_Worker())
        return self._workers[-1]

    def _remove(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.end(at_once=True)

    def _collect(self, worker: _Worker) -> Future[Any] | None:
        """Take a worker's answer, or hand its call in again if it has died; return the future, if it is done."""
        call = worker.call
        assert call is not None
        answer = worker.answer()
        if answer is None:
            self._remove(worker)
            call.deaths += 1
            if call.deaths < ATTEMPTS:
                self._calls.append(call)
                return None
            call.future.set_exception(WorkerLostError())
            return call.future
        left_threads, packed = answer[0], memoryview(answer)[1:]
        if left_threads:  # which would take the processor from the next call, and may change what it works with
            self._remove(worker)
        try:
            worked, value = pickle.loads(packed)
        except Exception as error:  # an exception's class may be made so that it cannot be unpickled
            worked, value = False, RuntimeError(f"What the worker returned cannot be read: {error}")
        if worked:
            call.future.set_result(value)
        else:
            call.future.set_exception(value)
        return call.future


@contextmanager
def worker_pool(size: int) -> Iterator[WorkerPool]:
    """Open a pool of `size` workers, which are killed, not waited for, when something interrupts the block."""
    pool = WorkerPool(size)
    try:
        yield pool
    except BaseException:
        pool.end(at_once=True)
        raise
    finally:
        pool.end()


@contextmanager
def parallel_map(jobs: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """Open a pool of `jobs` workers, and yield a function to use in place of `map`; with one job, `map` itself.

    What it calls must be importable by workers. Its results come in order, and raise what `WorkerPool.map` raises.
    """
    if jobs == 1:
        yield map
        return
    with worker_pool(jobs) as pool:
        yield pool.map
