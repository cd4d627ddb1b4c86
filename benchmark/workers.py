"""Worker processes of one thread each, and the data that they share."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from oodbench.benchmark.plan import Plugins, file_name
from oodbench.benchmark.store import PARTIAL
from oodbench.datasets.base import Dataset, Part

# Workers are forked from a server process that has imported everything once and done nothing with it: a fork of this
# process could inherit locks that other threads hold, and spawned processes would each import torch anew.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["oodbench.benchmark.engine"])

# ---------------------------------------------------------------------- in the worker process


def initialise() -> None:
    """Make this process a worker of one thread."""
    follow_parent()
    torch.set_num_threads(1)
    threadpool_limits(1)


def follow_parent() -> None:
    """Leave Ctrl-C to the parent process, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@lru_cache(maxsize=1)
def plugins_of(files: tuple[Path, ...]) -> Plugins:
    """Load the plugins once a process."""
    return Plugins.load(files)


@lru_cache(maxsize=8)
def shared_part(arrays: Path, dataset: str, part: str) -> Part:
    """Map a part of a dataset, of which `shared_arrays` wrote the arrays, into memory; the processes share one copy."""
    images, labels = (
        np.load(arrays / f"{file_name(dataset)}-{part}-{kind}.npy", mmap_mode="c") for kind in ("images", "labels")
    )
    return Part(torch.from_numpy(images), torch.from_numpy(labels))


# ---------------------------------------------------------------------- in the parent process


@contextmanager
def worker_pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Lend a pool of workers that are killed, not waited for, when something interrupts."""
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(jobs, mp_context=PROCESSES, initializer=initialise)
    try:
        yield pool
    except BaseException:
        for child in set(multiprocessing.active_children()) - others:
            child.kill()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def shared_arrays(
    datasets: Sequence[Dataset], folder: Path, parts: Sequence[Literal["train", "test"]] = ("train", "test")
) -> Iterator[Path]:
    """Write parts of datasets into a folder of their own in `folder`, where all workers can map them, and lend it."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=f"{PARTIAL}{os.getpid()}-") as own:
        for dataset in datasets:
            dataset.prepare()
            for part in parts:
                loaded = dataset.load(part)
                start = f"{file_name(dataset.name)}-{part}"
                np.save(Path(own, f"{start}-images.npy"), loaded.images.numpy())
                np.save(Path(own, f"{start}-labels.npy"), loaded.labels.numpy())
        yield Path(own)
