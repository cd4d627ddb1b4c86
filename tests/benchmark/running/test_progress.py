from __future__ import annotations

import multiprocessing
from pathlib import Path

from oodbench.benchmark.running.progress import ProgressTable, write_progress


def test_what_another_process_writes_is_read(tmp_path: Path) -> None:
    table = ProgressTable(tmp_path / "progress.npy", 3)
    assert list(table.changes()) == []
    for step in (1, 2):
        writer = multiprocessing.get_context("spawn").Process(target=write_progress, args=(table.path, 1, step, 5))
        writer.start()
        writer.join()
        assert list(table.changes()) == [(1, step, 5)]
    assert list(table.changes()) == []


def test_only_the_latest_step_is_read(tmp_path: Path) -> None:
    table = ProgressTable(tmp_path / "progress.npy", 2)
    for step in range(2000):
        write_progress(table.path, 0, step, 2000)
    write_progress(table.path, 1, 7, 8)
    assert list(table.changes()) == [(0, 1999, 2000), (1, 7, 8)]


def test_a_report_that_is_none_does_no_harm(tmp_path: Path) -> None:
    table = ProgressTable(tmp_path / "progress.npy", 1)
    write_progress(table.path, 0, "first", 3)  # type: ignore[arg-type]
    write_progress(table.path, 0, 10**30, 3)
    write_progress(tmp_path / "removed" / "progress.npy", 0, 1, 2)
    assert list(table.changes()) == []


def test_the_file_holds_its_zeros(tmp_path: Path) -> None:
    """A sparse file would let a worker die of a full disk."""
    table = ProgressTable(tmp_path / "progress.npy", 4096)
    assert table.path.stat().st_blocks * 512 >= 4096 * 2 * 8
