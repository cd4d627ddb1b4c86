"""When Ctrl-C may interrupt."""

from __future__ import annotations

import signal
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from typing import Any

PATIENCE = 0.2
"""Seconds that a Ctrl-C waits at most while futures are waited for."""
_heeded = threading.Event()


def heed_one_interruption() -> None:
    """Let the first Ctrl-C end the command, and further ones not disturb what is then cleared away."""

    def interrupt(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _heeded.set()
        raise KeyboardInterrupt

    _heeded.clear()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, interrupt)


@contextmanager
def interruption_held_back() -> Iterator[None]:
    """Let a Ctrl-C that arrives in the block have its effect at the block's end.

    In the midst of what executors do, an exception can leave a lock locked that another thread waits for
    (https://github.com/python/cpython/issues/74174): the command would wait for that thread for ever.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    arrived: list[tuple[object, ...]] = []
    signal.signal(signal.SIGINT, lambda *caught: arrived.append(caught))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if arrived:
            handler(*arrived[0])  # type: ignore[arg-type]


def finished_of(futures: Collection[Future[Any]]) -> set[Future[Any]]:
    """Wait until one of some futures is finished, but not longer than `PATIENCE`; give those that are."""
    with interruption_held_back():
        done = wait(futures, timeout=PATIENCE, return_when=FIRST_COMPLETED).done
    if _heeded.is_set():  # raised where Python does not pass it on: in a callback of the garbage collector, say
        raise KeyboardInterrupt
    return done


def result_of(future: Future[Any]) -> Any:
    """Wait for a future, and give its result; raises what it raised."""
    while not finished_of([future]):
        pass
    return future.result()
