"""When Ctrl-C may interrupt."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 0.2
"""Seconds that are waited for results at most, before progress is shown and an interruption heeded."""
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

    An exception in the midst of it can leave a process half-started, or a lock locked that another thread waits for
    (https://github.com/python/cpython/issues/74174).
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


def check_interruption() -> None:
    """Raise KeyboardInterrupt if Ctrl-C came where Python passes nothing on: in a callback of the garbage collector."""
    if _heeded.is_set():
        raise KeyboardInterrupt
