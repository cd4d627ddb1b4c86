"""What a call leaves running in its process, where it would disturb the next one: threads and child processes."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

SECONDS_WATCHED = 0.05
BUSY_NANOSECONDS = 5_000_000
"""Time on a processor within `SECONDS_WATCHED`; idle threads of libraries, OpenMP's for example, have none."""
TASKS = Path("/proc/self/task")


class Watch:
    """Remembers the threads that a process has now, and finds those that come later."""

    def __init__(self) -> None:
        self._known = _threads()

    def finds_threads(self) -> bool:
        """Return whether there are new threads: such as run Python code, or busy ones of a library."""
        return bool(self._new() & _python_threads()) or self.finds_busy_threads()

    def finds_busy_threads(self) -> bool:
        """Return whether there are new threads that compute; that takes a moment if there are new ones at all."""
        new = self._new()
        if not new:
            return False
        before = _nanoseconds(new)
        time.sleep(SECONDS_WATCHED)
        after = _nanoseconds(new)
        return any(after.get(thread, 0) - before[thread] > BUSY_NANOSECONDS for thread in before)

    def _new(self) -> set[int]:
        return _threads() - self._known


def end_children() -> None:
    """Kill the child processes of this process."""
    for children in TASKS.glob("*/children"):
        with suppress(OSError):  # the thread has ended
            for child in map(int, children.read_text(encoding="ascii").split()):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)


def _threads() -> set[int]:
    """Return the system's numbers of all threads; where it does not tell, of those that run Python code."""
    with suppress(OSError):
        return {int(path.name) for path in TASKS.iterdir()}
    return _python_threads()


def _python_threads() -> set[int]:
    return {thread.native_id for thread in threading.enumerate() if thread.native_id is not None}


def _nanoseconds(threads: Iterable[int]) -> dict[int, int]:
    """Return the time that each thread was on a processor, as far as the system tells."""
    found = {}
    for thread in threads:
        with suppress(OSError, ValueError, IndexError):
            found[thread] = int((TASKS / str(thread) / "schedstat").read_text(encoding="ascii").split()[0])
    return found
