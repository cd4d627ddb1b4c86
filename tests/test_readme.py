"""What the README shows works as it is written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oodbench.benchmark.cli import app
from tests.conftest import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_example_of_a_detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = blocks("python")
    (command,) = (block for block in blocks("sh") if "--plugin my_detector.py" in block)
    monkeypatch.chdir(tmp_path)
    Path("my_detector.py").write_text(example, encoding="utf-8")
    result = CliRunner().invoke(app, shlex.split(command)[1:])
    assert result.exit_code == 0, result.output
    (line,) = (line for line in Path("quickstart/README.md").read_text().splitlines() if line.startswith("|  1 |"))
    assert float(line.split("|")[3]) > 0.9


def test_the_python_interface(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = blocks("py")
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    assert "('memae', 0.9" in capsys.readouterr().out
    assert Path("from-python/README.md").is_file()


def test_every_command_has_the_options_that_are_shown() -> None:
    shown = [line for block in blocks("sh") for line in block.splitlines()] + re.findall(r"`(bench [^`]+)`", README)
    for line in shown:
        if not line.startswith("bench ") or "<" in line:
            continue
        verb, *rest = line.replace("…", "").split()[1:]
        help_text = CliRunner().invoke(app, [verb, "--help"], env={"COLUMNS": "200"}).stdout
        for option in (word for word in rest if word.startswith("-")):
            assert re.search(rf"(^|[\s,]){option}\b", help_text), f"{line}: {option}"


def test_the_headline_is_the_leaderboard_s() -> None:
    page = (REPOSITORY / "leaderboard" / "README.md").read_text(encoding="utf-8")
    table = re.search(r"(^\|.*\n)+", page, flags=re.MULTILINE)
    assert table is not None
    assert table.group() in README
