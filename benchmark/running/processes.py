"""Where worker processes come from; nothing here imports torch, so that they get ready while this process does."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

# Workers are forked from a server process that has imported everything once and done nothing with it: a fork of this
# process could inherit locks that other threads hold, and spawned processes would each import torch anew.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["oodbench.benchmark.running.preload"])


def start_server() -> None:
    """Let the server begin to import, unless it has; Ctrl-C does not reach it, nor what it forks, but this process."""
    resource_tracker.ensure_running()  # the server would start it, which unblocks the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which processes inherit
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
