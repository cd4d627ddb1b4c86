"""What files hold is read once, and again when they change, however little of it shows."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oodbench.datasets.components import contents as module
from oodbench.datasets.components.contents import contents


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are opened; files count as old, and the cache is the test's own."""
    names: list[str] = []
    digest = module._digest

    def count(path: Path) -> str:
        names.append(path.name)
        return digest(path)

    monkeypatch.setattr(module, "_digest", count)
    monkeypatch.setattr(module, "SETTLED", -1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return names


def picture(path: Path, grey: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8), grey, dtype=np.uint8)).save(path)
    return path


def test_what_has_not_changed_is_not_opened(tmp_path: Path, opened: list[str]) -> None:
    files = [picture(tmp_path / "images" / f"{number}.png", number) for number in range(3)]
    first = contents(tmp_path / "images", files)
    assert contents(tmp_path / "images", files) == first
    assert opened == ["0.png", "1.png", "2.png"]
    picture(files[1], 9)
    assert contents(tmp_path / "images", files)[files[1]] != first[files[1]]
    assert opened[3:] == ["1.png"]


def test_the_same_name_size_and_time_with_other_content(tmp_path: Path, opened: list[str]) -> None:
    """As after `cp -p` or `rsync --times`, and after a file that was written to and set back to its time."""
    path, other = picture(tmp_path / "images" / "0.png", 1), picture(tmp_path / "other.png", 2)
    assert path.stat().st_size == other.stat().st_size
    before, when = contents(path.parent, [path])[path].digest, path.stat()
    time.sleep(0.02)
    path.write_bytes(other.read_bytes())
    os.utime(path, ns=(when.st_atime_ns, when.st_mtime_ns))
    rewritten = contents(path.parent, [path])[path].digest
    assert rewritten != before
    picture(other, 3)
    os.utime(other, ns=(when.st_atime_ns, when.st_mtime_ns))
    other.replace(path)
    assert contents(path.parent, [path])[path].digest not in (before, rewritten)


def test_a_file_that_has_just_been_written_is_read_again(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of a file system may be too coarse to tell two changes apart."""
    monkeypatch.setattr(module, "SETTLED", 2 * 10**9)
    path = picture(tmp_path / "images" / "0.png", 1)
    contents(path.parent, [path])
    contents(path.parent, [path])
    assert opened == ["0.png", "0.png"]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"format": "0", "files": {}}', b"\xff\xfe"])
def test_a_damaged_cache_is_made_again(tmp_path: Path, opened: list[str], damage: bytes) -> None:
    path = picture(tmp_path / "images" / "0.png", 1)
    first = contents(path.parent, [path])
    (cache,) = (tmp_path / "cache").rglob("*.json")
    whole = cache.read_bytes()
    cache.write_bytes(damage)
    assert contents(path.parent, [path]) == first
    assert cache.read_bytes() == whole


def test_a_cache_that_cannot_be_written_costs_time_only(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    path = picture(tmp_path / "images" / "0.png", 1)
    assert contents(path.parent, [path]) == contents(path.parent, [path])
    assert len(opened) == 2


def test_what_cannot_be_opened_is_tried_again(tmp_path: Path, opened: list[str]) -> None:
    path = tmp_path / "images" / "gone.png"
    assert contents(path.parent, [path])[path].digest == ""
    picture(path, 1)
    assert contents(path.parent, [path])[path].look.mode == "L"
