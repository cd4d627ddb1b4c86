"""Where worker processes come from; nothing here imports torch, so that they get ready while this process does."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any

# Workers are forked from a server process that has imported everything once and done nothing with it: a fork of this
# process could inherit locks that other threads hold, and spawned processes would each import torch anew.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["oodbench.benchmark.running.preload"])
LONGEST_TEMPORARY = 60
"""Letters of a temporary folder in which the server's socket can lie: its whole path may have a hundred."""
QUOTA = Path("/sys/fs/cgroup/cpu.max")


def allowed_cores() -> int:
    """Return how many cores this process may use: those it is bound to (``taskset``), and no more than its quota."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # no container, or one without a quota
        microseconds, period = map(int, QUOTA.read_text(encoding="ascii").split())
        return max(1, min(bound, -(-microseconds // period)))
    return bound


def start_server() -> None:
    """Let the server begin to import, unless it has; Ctrl-C does not reach it, nor what it forks, but this process."""
    resource_tracker.ensure_running()  # the server would start it, which unblocks the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which processes inherit
    try:
        with _short_temporary_folder():
            forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _short_temporary_folder() -> Iterator[None]:
    """Let temporary files lie in ``/tmp`` meanwhile, if the path of the user's folder is too long for a socket."""
    before = tempfile.tempdir
    if len(os.fsencode(tempfile.gettempdir())) > LONGEST_TEMPORARY and os.access("/tmp", os.W_OK | os.X_OK):
        tempfile.tempdir = "/tmp"
    try:
        yield
    finally:
        tempfile.tempdir = before


def start_process(function: Callable[..., None], *args: Any) -> BaseProcess:
    """Start a process that calls a function; it does not import the user's main script, which may have no guard."""
    start_server()
    process = PROCESSES.Process(target=function, args=args)
    with without_main():
        process.start()
    return process


@contextmanager
def without_main() -> Iterator[None]:
    """Hide the main module from `multiprocessing`, whose processes would otherwise run it again as they start."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
