"""Progress of jobs on this machine: a row a job in one memory-mapped file, written by workers, read by the engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oodbench.benchmark.errors import check_room


class ProgressTable:
    """The engine's view of the file.

    Parameters
    ----------
    path : Path
        The file, ``.npy``, int64 (count, 2): steps made, and how many there will be.
    count : int
        How many jobs there are.

    Raises
    ------
    OSError
        The disk is full.
    """

    def __init__(self, path: Path, count: int) -> None:
        self.path = path
        self._seen = np.zeros((count, 2), np.int64)
        try:  # zeros are written, not skipped: on a full disk a write into the map would kill its process
            np.save(path, self._seen)
        except OSError as error:
            check_room(path.parent, error)
            raise
        self._rows: NDArray[np.int64] = np.load(path, mmap_mode="r")

    def changes(self) -> Iterator[tuple[int, int, int]]:
        """Yield number, steps made and steps in all of every job that has got further since the last call."""
        rows = np.array(self._rows)
        for number in np.flatnonzero((rows != self._seen).any(axis=1)):
            step, steps = rows[number].tolist()
            yield int(number), step, steps
        self._seen = rows


def write_progress(path: Path, number: int, step: int, steps: int) -> None:
    """Write into the file at `path` that job `number` has made `step` of `steps` steps."""
    with suppress(OSError, TypeError, ValueError, OverflowError):  # a trial does not fail for what it reports
        _rows(path)[number] = step, steps


@lru_cache(maxsize=1)
def _rows(path: Path) -> NDArray[np.int64]:
    """Map the file once a process."""
    return np.load(path, mmap_mode="r+")  # type: ignore[no-any-return]
