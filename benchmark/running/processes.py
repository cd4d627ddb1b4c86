"""Where worker processes come from; nothing here imports torch, so that they are made ready while this process does."""

from __future__ import annotations

import multiprocessing
import signal
from multiprocessing import forkserver, resource_tracker

# Workers are forked from a server process that has imported everything once and done nothing with it: a fork of this
# process could inherit locks that other threads hold, and spawned processes would each import torch anew.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["oodbench.benchmark.running.preload"])


def start_server() -> None:
    """Let the server begin to import, unless it has; Ctrl-C does not reach it, nor what it forks, but this process."""
    resource_tracker.ensure_running()  # the server would start it, which unblocks the signal
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which processes inherit
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
