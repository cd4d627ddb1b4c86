from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement

from oodbench.benchmark.files import (
    PARTIAL,
    file_name,
    new_folder,
    remove_leftovers,
    replacing,
    write_text,
)
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.trials import Trial
from tests.conftest import REPOSITORY

NAMES = st.text(min_size=0, max_size=200) | st.text("aAbB@=,.+-_:/\\ 1é", max_size=8)


@settings(max_examples=50, derandomize=True, deadline=None)
@given(names=st.sets(NAMES, max_size=30))
@example(names={"folder:scans (1)", "folder:scans 1", "folder:scans1", "folder-scans1", file_name("folder:scans 1")})
@example(names={"folder:a/b", "folder:a-b", "folder:a:b", "folder:a\\b", "folder:A-b", "folder:a-b "})
@example(names={"a@x=[1,2]", "a@x=1,2", 'a@x="1,2"', "é", "e\u0301", "\udc80", ".", "..", "", "a", "a.", "a\n"})
def test_no_two_names_share_a_file_on_any_file_system(names: set[str]) -> None:
    files = {file_name(name).casefold() for name in names}
    assert len(files) == len(names)
    for name in files:
        assert not re.search(r'[/\\:*?"<>|\s\x00-\x1f]', name)
        assert not name.startswith(".")
        assert not name.endswith(".")
        assert 0 < len(os.fsencode(name)) < 100


def test_names_that_need_no_change_stay() -> None:
    for name in ("mnist", "fashion-mnist", "memae@memory=false", "memae@epochs=3,learning_rate=1e-05"):
        assert file_name(name) == name
    assert file_name("folder:photos@24") == "folder-photos@24-99ddcd3c"
    for path in (REPOSITORY / "leaderboard").glob("**/results/*/*/class-0_seed-0.json"):
        found = json.loads(path.read_text(encoding="utf-8"))
        assert path.parent == path.parents[2] / file_name(found["dataset"]) / file_name(found["label"])


def test_the_longest_names_fit_into_a_path(tmp_path: Path) -> None:
    changes = tuple((f"hyperparameter_{number}", "x" * 20) for number in range(11))
    path = tmp_path / Trial(f"folder:{'nine/levels/down/' * 20}", "memvae", 0, 0, changes).path
    write_text(path, "")
    assert path.is_file()


WRITER = """
import sys
from pathlib import Path
from oodbench.benchmark.files import new_folder, partial

with new_folder(Path(sys.argv[1], "run")) as folder, partial(Path(sys.argv[1], "result.json")) as file:
    (folder / "a").touch()
    file.touch()
    print("writing", flush=True)
    sys.stdin.read()
"""


def contents(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_what_somebody_writes_is_kept_and_what_was_killed_is_cleared_away(tmp_path: Path) -> None:
    """Whatever its process number says, as in another container."""
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        before = contents(tmp_path)
        assert len([name for name in before if not name.endswith(".lock")]) == 3
        remove_leftovers(tmp_path)
        assert contents(tmp_path) == before
        writer.kill()
    remove_leftovers(tmp_path)
    assert contents(tmp_path) == []


def test_a_run_clears_nothing_that_this_process_is_writing(tmp_path: Path) -> None:
    store = Store.at(tmp_path)
    with new_folder(store.runs / "mnist" / "run") as folder, replacing(store.plots / "picture.png") as picture:
        (folder / "a").touch()
        picture.touch()
        store.prepare()
        assert store.read_all().problems == []
    assert {"a", "picture.png"} < set(contents(tmp_path))
    assert not list(tmp_path.rglob(f"{PARTIAL}*"))


def test_leftovers_without_a_lock_are_of_nobody(tmp_path: Path) -> None:
    (tmp_path / "a" / f"{PARTIAL}host-4711-run").mkdir(parents=True)
    (tmp_path / f"{PARTIAL}host-4711-class-0_seed-0.json").touch()
    (tmp_path / "mine.json").touch()
    remove_leftovers(tmp_path)
    assert contents(tmp_path) == ["a", "mine.json"]


def test_what_is_written_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files, then the names in their folder, then the name of the folder."""
    flushed: list[str] = []
    rename = Path.replace

    def fsync(file: int) -> None:
        flushed.append(str(Path(f"/proc/self/fd/{file}").readlink()))

    def replace(source: Path, target: Path) -> Path:
        flushed.append(f"named {target.name}")
        return rename(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    path = tmp_path / "new" / "file.json"
    write_text(path, "1")
    made, temporary, *after = flushed
    assert made == str(tmp_path)
    assert Path(temporary).name.startswith(PARTIAL)
    assert after == ["named file.json", str(path.parent)]
    flushed.clear()
    with new_folder(tmp_path / "run") as folder:
        (folder / "trace").mkdir()
        (folder / "trace" / "a.png").touch()
    assert set(flushed[:3]) == {str(folder), str(folder / "trace"), str(folder / "trace" / "a.png")}
    assert flushed[3:] == ["named run", str(tmp_path)]
    flushed.clear()
    with replacing(tmp_path / "gone-with-the-process.npy", durable=False) as array:
        array.touch()
    assert flushed == ["named gone-with-the-process.npy"]


def test_a_disk_that_fails_to_take_a_file_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path / "file", "old")
    monkeypatch.setattr(os, "fsync", lambda _: Path("/nowhere").stat())
    with pytest.raises(OSError, match="nowhere"):
        write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"
    assert contents(tmp_path) == ["file"]


def test_no_filelock_that_follows_symbolic_links_is_installed() -> None:
    """CVE-2025-68146 and CVE-2026-22701: locks followed a link that was put in their place, until 3.20.3."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (needed,) = (one for one in map(Requirement, project["dependencies"]) if one.name == "filelock")
    assert "3.20.2" not in needed.specifier
    assert version("filelock") in needed.specifier


def test_a_lock_follows_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    monkeypatch.setattr(secrets, "token_hex", lambda _: "guessed")
    (tmp_path / f"{PARTIAL}guessed.lock").symlink_to(precious)
    with pytest.raises(OSError, match="guessed"):
        write_text(tmp_path / "file.json", "")
    assert precious.read_text() == "mine"
