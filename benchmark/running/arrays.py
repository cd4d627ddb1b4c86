"""Datasets as arrays in files that all workers of a machine map into memory: one copy for all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from oodbench.benchmark.errors import check_room
from oodbench.benchmark.files import file_name, partial, replacing
from oodbench.benchmark.running.memory import return_freed_memory
from oodbench.datasets.base import Dataset, Part

PartName = Literal["train", "test"]
PARTS: tuple[PartName, ...] = ("train", "test")


@contextmanager
def shared_arrays(datasets: Sequence[Dataset], folder: Path, parts: Sequence[PartName] = PARTS) -> Iterator[Path]:
    """Write parts of datasets into a temporary folder, from which `shared_part` maps them.

    Parameters
    ----------
    datasets : sequence of Dataset
        What is written; missing files are downloaded first.
    folder : Path
        In which the temporary folder is made.
    parts : sequence of {"train", "test"}
        Which parts.

    Yields
    ------
    Path
        The temporary folder; it is removed when the block ends.

    Raises
    ------
    DatasetError
        A dataset cannot be read.
    OSError
        The disk is full.
    """
    with partial(folder / "arrays") as own:
        own.mkdir()
        for dataset in datasets:
            dataset.prepare()
            write_arrays(dataset, own, parts)
        return_freed_memory()
        yield own


def write_arrays(dataset: Dataset, folder: Path, parts: Sequence[PartName] = PARTS) -> None:
    """Write parts of a dataset into a folder for `shared_part`, unless they are there; raises OSError if it is full."""
    for part in parts:
        paths = {kind: _array(folder, dataset.name, part, kind) for kind in ("images", "labels")}
        if all(path.is_file() for path in paths.values()):
            continue
        loaded = dataset.load(part)
        for kind, path in paths.items():
            with replacing(path, durable=False) as temporary:
                try:
                    np.save(temporary, getattr(loaded, kind).numpy())
                except OSError as error:
                    check_room(folder, error)
                    raise


@lru_cache(maxsize=8)
def shared_part(arrays: Path, dataset: str, part: str) -> Part:
    """Map a part of a dataset into memory, of which `write_arrays` wrote the arrays into the folder `arrays`."""
    images, labels = (np.load(_array(arrays, dataset, part, kind), mmap_mode="c") for kind in ("images", "labels"))
    return Part(torch.from_numpy(images), torch.from_numpy(labels))


def _array(folder: Path, dataset: str, part: str, kind: str) -> Path:
    return folder / f"{file_name(dataset)}-{part}-{kind}.npy"
