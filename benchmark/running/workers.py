"""Worker processes of one thread each, and the data that they share."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from oodbench.benchmark.errors import check_room
from oodbench.benchmark.files import PARTIAL, file_name, replacing
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.running.processes import PROCESSES, start_server
from oodbench.datasets.base import Dataset, Part

PartName = Literal["train", "test"]
PARTS: tuple[PartName, ...] = ("train", "test")

# ---------------------------------------------------------------------- in the worker process


def initialise() -> None:
    """Make this process a worker of one thread."""
    follow_parent()
    use_one_thread()
    keep_freed_memory()


def use_one_thread() -> None:
    """Compute in one thread: one process a core, of one thread each, is what runs fastest."""
    torch.set_num_threads(1)
    threadpool_limits(1)


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's ``mallopt``."""


def keep_freed_memory() -> None:
    """Let glibc's malloc keep what is freed: every step of a training frees large tensors and takes such again."""
    with suppress(OSError, AttributeError):  # another C library
        libc = ctypes.CDLL(None)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(M_MMAP_THRESHOLD, 2**30) or libc.mallopt(M_MMAP_THRESHOLD, 2**25)  # the most that older ones take


def return_freed_memory() -> None:
    """Give back to the system what malloc has kept."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def follow_parent() -> None:
    """Do not outlive the parent process."""
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
    images, labels = (np.load(_array(arrays, dataset, part, kind), mmap_mode="c") for kind in ("images", "labels"))
    return Part(torch.from_numpy(images), torch.from_numpy(labels))


def _array(folder: Path, dataset: str, part: str, kind: str) -> Path:
    return folder / f"{file_name(dataset)}-{part}-{kind}.npy"


# ---------------------------------------------------------------------- in the parent process


@contextmanager
def worker_pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Lend a pool of workers that are killed, not waited for, when something interrupts."""
    start_server()
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
def shared_arrays(datasets: Sequence[Dataset], folder: Path, parts: Sequence[PartName] = PARTS) -> Iterator[Path]:
    """Write parts of datasets into a folder of their own in `folder`, where all workers can map them, and lend it."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=f"{PARTIAL}{os.getpid()}-") as own:
        for dataset in datasets:
            dataset.prepare()
            write_arrays(dataset, Path(own), parts)
        return_freed_memory()
        yield Path(own)


def write_arrays(dataset: Dataset, folder: Path, parts: Sequence[PartName] = PARTS) -> None:
    """Write parts of a dataset into a folder for `shared_part`, unless they are there; raises OSError if it is full."""
    for part in parts:
        paths = {kind: _array(folder, dataset.name, part, kind) for kind in ("images", "labels")}
        if all(path.is_file() for path in paths.values()):
            continue
        loaded = dataset.load(part)
        for kind, path in paths.items():
            with replacing(path) as temporary:
                try:
                    np.save(temporary, getattr(loaded, kind).numpy())
                except OSError as error:
                    check_room(folder, error)
                    raise
