"""What the README shows works as it is written."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from oodbench.benchmark.cli.app import app
from tests.conftest import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def block(language: str, has: str) -> str:
    (found,) = (text for text in blocks(language) if has in text)
    return found


def bench(line: str) -> str:
    result = CliRunner().invoke(app, shlex.split(line)[1:])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_detector_of_one_s_own(here: Path) -> None:
    """The two commands that `bench new` prints are run by the tests of the scaffold; here the README's example."""
    new, check, run = block("sh", "bench new").splitlines()
    assert "my_detector.py" in bench(new)
    Path("my_detector.py").write_text(block("python", "class Nearest"), encoding="utf-8")
    assert "nearest: 44 checks passed, 0 failed" in bench(check)
    bench(run.replace("my-detector", "nearest"))
    (line,) = (line for line in Path("my-results/README.md").read_text().splitlines() if line.startswith("|  1 |"))
    assert float(line.split("|")[3]) > 0.9
    Path("test_nearest.py").write_text(block("py", "test_nearest"), encoding="utf-8")
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_nearest.py"]
    tested = subprocess.run(tests, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": "."})
    assert "44 passed, 8 skipped" in tested.stdout, tested.stdout


def test_a_dataset_of_one_s_own(here: Path) -> None:
    Path("moons.py").write_text(block("python", "class Moons"), encoding="utf-8")
    check, run = block("sh", "moons.py").splitlines()
    assert "12 checks passed, 0 failed" in bench(check)
    bench(run)
    assert Path("moons-results/plots/moons-auroc.png").is_file()


def test_images_of_one_s_own(here: Path) -> None:
    exec(compile(block("py", "load_sample_images"), "README.md", "exec"), {})
    bench(block("sh", "folder:photos ").strip() + " --detector kde --detector mean")
    page = Path("photos-results/README.md").read_text(encoding="utf-8")
    assert float(re.findall(r"\| kde +\| +(0\.\d+)", page)[0]) > 0.85
    bench(block("sh", "bench score").strip())
    scores = pd.read_csv("scores.csv")
    normal = scores["image"].str.contains("normal")
    assert (scores.loc[normal, "verdict"] == "in").mean() > 0.9
    assert (scores.loc[~normal, "verdict"] == "out").mean() > (scores.loc[normal, "verdict"] == "out").mean()
    assert Path("ranked.png").is_file()


def test_pyod(here: Path) -> None:
    pytest.importorskip("pyod", reason="needs the extra oodbench[pyod]")
    bench(block("sh", "pyod:HBOS").strip() + " --out results")
    assert "pyod:HBOS@" in Path("results/README.md").read_text(encoding="utf-8")


def test_the_python_interface(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(block("py", "engine.run"), "README.md", "exec"), {})
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
