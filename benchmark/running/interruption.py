"""When Ctrl-C, or another signal that asks a command to end, may interrupt it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE = 0.2
"""Seconds that are waited for results at most, before progress is shown and an interruption heeded."""
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C; what ``kill``, ``timeout`` and batch systems send; what the end of a terminal sends."""
_heeded: list[int] = []
"""The signal that interrupted the command, if one did."""


def heed_one_interruption() -> None:
    """Let the first of the signals `ENDING` end the command, and further ones not disturb what is then cleared away.

    It raises KeyboardInterrupt. A signal that is ignored, as ``nohup`` lets its command ignore SIGHUP, stays so.
    """

    def interrupt(number: int, _: FrameType | None) -> None:
        for one in ENDING:
            signal.signal(one, signal.SIG_IGN)
        _heeded.append(number)
        raise KeyboardInterrupt

    _heeded.clear()
    if threading.current_thread() is threading.main_thread():
        for one in ENDING:
            if one == signal.SIGINT or signal.getsignal(one) != signal.SIG_IGN:
                signal.signal(one, interrupt)


def exit_code() -> int:
    """Return the exit code of the interrupted command, as shells have it: 130 after Ctrl-C, 143 after SIGTERM."""
    return 128 + (_heeded[0] if _heeded else signal.SIGINT)


@contextmanager
def interruption_held_back() -> Iterator[None]:
    """Let a signal to end that arrives in the block have its effect at the block's end.

    An exception in the midst of it can leave a process half-started, or a lock locked that another thread waits for
    (https://github.com/python/cpython/issues/74174).
    """
    handlers = {number: handler for number in ENDING if callable(handler := signal.getsignal(number))}
    if threading.current_thread() is not threading.main_thread() or not handlers:
        yield
        return
    arrived: list[tuple[int, FrameType | None]] = []
    for number in handlers:
        signal.signal(number, lambda *caught: arrived.append(caught))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if arrived:
            handlers[signal.Signals(arrived[0][0])](*arrived[0])


def check_interruption() -> None:
    """Raise KeyboardInterrupt if a signal came where Python passes no error on, as in callbacks of its collector."""
    if _heeded:
        raise KeyboardInterrupt
