"""Journals of studies that a full disk or a power cut has torn, and others that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from oodbench.benchmark.cli.app import app
from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.tuning.journal import open_journal, repair
from oodbench.benchmark.tuning.study import stored_candidates, tune
from tests.conftest import REPOSITORY

PLUGIN = Path(__file__).parents[1] / "plugin_to_tune.py"
STORED = REPOSITORY / "leaderboard" / "studies" / "digits" / "ae.jsonl"
OWN = Path("studies", "test-no-test-part", "test-choice.jsonl")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("journals")


@given(st.data())
@settings(max_examples=40, derandomize=True, deadline=None)
def test_wherever_a_journal_is_torn_its_whole_lines_stay(folder: Path, data: st.DataObject) -> None:
    lines = STORED.read_bytes().splitlines(keepends=True)[:12]
    end = data.draw(st.integers(0, len(b"".join(lines))))
    tail = data.draw(st.sampled_from([b"", b"\0" * 100, b"\xff", b"[1]\n", b"\n", b"{}"]))
    torn = b"".join(lines)[:end] + tail
    path = folder / "ae.jsonl"
    path.write_bytes(torn)
    said = repair(path)
    mended = path.read_bytes()
    whole = mended.count(b"\n")
    assert mended == b"".join(lines[:whole])
    assert torn.startswith(mended)
    assert not torn.startswith(b"".join(lines[: whole + 1])) or whole == len(lines)
    assert repair(path) is None
    if mended == torn:
        assert said is None
    else:
        assert f"{path} was torn in line {whole + 1}: the study goes on" in (said or "")
        assert path.with_name("ae.jsonl.torn").read_bytes() == torn
    open_journal(path)


def tuned(folder: Path, trials: int) -> tuple[int, str, str]:
    where = ["--dataset", "test-no-test-part", "--plugin", str(PLUGIN), "--out", str(folder)]
    done = CliRunner().invoke(app, ["tune", "test-choice", *where, "--trials", str(trials)])
    return done.exit_code, done.stdout, done.stderr


def test_a_study_with_a_torn_journal_goes_on_and_says_so(tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    for folder in (whole, torn):
        assert tuned(folder, 1)[0] == 0
    journal = torn / OWN
    content = journal.read_bytes()
    journal.write_bytes(content[:-20])
    journal.with_name(f"{journal.name}.lock").symlink_to("nowhere")  # what a killed process leaves
    tuned(whole, 3)
    code, said, _ = tuned(torn, 3)
    assert code == 0
    assert f"{journal} was torn in line {len(content.splitlines())}: the study goes on" in said
    found = [[candidate.settings for candidate in stored_candidates(folder / OWN)] for folder in (whole, torn)]
    assert found[0] == found[1]


@pytest.mark.parametrize("damage", [b"{\n", b"\0\n", b'{"op_code": 77}\n', b"{}\n"])
def test_a_journal_that_is_damaged_elsewhere_is_refused_in_one_sentence(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / OWN
    path.parent.mkdir(parents=True)
    first, second, *_ = STORED.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + damage + second)
    code, _, said = tuned(tmp_path, 1)
    assert code == 2, said
    assert said.startswith(f"Error: {path} is ")
    assert "move it away, which begins the study anew, or take it from a backup." in said
    assert len(said.splitlines()) == 1
    assert path.read_bytes() == first + damage + second
    with pytest.raises(UsageError, match="move it away"):
        stored_candidates(path)


def test_a_study_in_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plugins = Plugins.load([PLUGIN])
    found = tune("test-misbehaves", "test-no-test-part", plugins, Store.at(Path("out")), trials=1, data=Path("data"))
    assert [candidate.settings for candidate in found] == [{"how": ""}]  # which changes the working directory
    assert (tmp_path / "out" / OWN.with_name("test-misbehaves.jsonl")).is_file()
