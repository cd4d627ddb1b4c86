from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from oodbench.benchmark.running import processes
from oodbench.benchmark.running.local import LocalBackend
from oodbench.benchmark.running.processes import allowed_cores


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(processes, "QUOTA", tmp_path / "cpu.max")


def test_the_cores_that_a_process_is_bound_to(monkeypatch: pytest.MonkeyPatch) -> None:
    assert allowed_cores() == 8
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    assert allowed_cores() == 1
    assert LocalBackend().slots(10) == 1
    assert LocalBackend(jobs=2).slots(10) == 2, "what is asked for is given"


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 8), ("200000 100000", 2), ("150000 100000", 2), ("5000 100000", 1), ("9900000 100000", 8), ("", 8)],
)
def test_the_quota_of_a_container(tmp_path: Path, quota: str, cores: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert allowed_cores() == cores


def test_where_cores_cannot_be_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert allowed_cores() == 64


def test_sockets_do_not_lie_in_a_folder_of_a_long_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for folder, used in ((tmp_path / ("x" * 120), "/tmp"), (Path("/short"), "/short")):
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        with processes._short_temporary_folder():
            assert tempfile.gettempdir() == used
        assert tempfile.gettempdir() == str(folder)
