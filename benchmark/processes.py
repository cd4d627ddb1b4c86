"""Where worker processes come from; nothing here imports torch, so that they are made ready while this process does."""

from __future__ import annotations

import multiprocessing
from multiprocessing import forkserver

# Workers are forked from a server process that has imported everything once and done nothing with it: a fork of this
# process could inherit locks that other threads hold, and spawned processes would each import torch anew.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["oodbench.benchmark.preload"])


def start_server() -> None:
    """Let the server begin to import; without this it would when the first worker is asked for."""
    forkserver.ensure_running()
