"""What the pages show works as it is written."""

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

PAGES = {
    folder: (REPOSITORY / folder / "README.md").read_text(encoding="utf-8")
    for folder in (".", "benchmark", "detectors", "datasets")
}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGES[page], flags=re.DOTALL)


def block(page: str, language: str, has: str) -> str:
    (found,) = (text for text in blocks(page, language) if has in text)
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
    Path("nearest.py").write_text(block(".", "python", "class Nearest"), encoding="utf-8")
    check, run = block(".", "sh", "nearest.py").splitlines()
    assert " 0 failed" in bench(check)
    bench(run)
    (line,) = (line for line in Path("my-results/README.md").read_text().splitlines() if line.startswith("|  1 |"))
    assert float(line.split("|")[3]) > 0.9


@pytest.mark.parametrize("name", ["TinyAutoencoder", "LOF"])
def test_detectors_in_torch_and_from_scikit_learn(here: Path, name: str) -> None:
    Path("mine.py").write_text(block("detectors", "python", f"class {name}"), encoding="utf-8")
    shown = bench("bench check mine.py")
    assert " 0 failed" in shown
    assert ("fits_1_image: a single image has no neighbors" in shown) == (name == "LOF")


@pytest.mark.slow
def test_the_checks_as_tests_of_a_package(here: Path) -> None:
    bench("bench new my-detector")
    Path("test_my_detector.py").write_text(block("detectors", "py", "parametrize_with_checks"), encoding="utf-8")
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_detector.py"]
    path = os.pathsep.join(filter(None, [".", os.environ.get("PYTHONPATH", "")]))
    tested = subprocess.run(tests, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path})
    assert re.search(r"\d\d passed", tested.stdout), tested.stdout
    assert "failed" not in tested.stdout


def test_a_dataset_of_one_s_own(here: Path) -> None:
    Path("moons.py").write_text(block("datasets", "python", "class Moons"), encoding="utf-8")
    check, run = block("datasets", "sh", "moons.py").splitlines()
    assert " 0 failed" in bench(check)
    bench(run)
    assert Path("moons-results/plots/moons-auroc.png").is_file()


def test_images_of_one_s_own(here: Path) -> None:
    exec(compile(block("datasets", "py", "load_sample_images"), "README.md", "exec"), {})
    bench(block("datasets", "sh", "folder:photos ").strip() + " --detector knn --detector mean")
    page = Path("photos-results/README.md").read_text(encoding="utf-8")
    assert float(re.findall(r"\| knn +\| +(0\.\d+)", page)[0]) > 0.7
    bench(block("datasets", "sh", "bench score").strip())
    scores = pd.read_csv("scores.csv")
    normal = scores["image"].str.contains("normal")
    assert (scores.loc[normal, "verdict"] == "in").mean() > 0.9
    assert (scores.loc[~normal, "verdict"] == "out").mean() > (scores.loc[normal, "verdict"] == "out").mean()
    assert Path("ranked.png").is_file()


def test_pyod(here: Path) -> None:
    pytest.importorskip("pyod", reason="needs the extra oodbench[pyod]")
    bench(block("detectors", "sh", "pyod:HBOS").strip() + " --out results")
    assert "pyod:HBOS@" in Path("results/README.md").read_text(encoding="utf-8")


def test_the_python_interface(here: Path) -> None:
    """In a process of its own, as a script without a guard."""
    Path("script.py").write_text(block(".", "py", "import oodbench as ob"), encoding="utf-8")
    shown = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, check=True).stdout
    assert re.match(r"0\.9\d+ \(540,\) \(\d+, 1, 8, 8\)", shown)
    assert "memae" in shown.splitlines()[-1] + shown.splitlines()[-2]
    assert Path("from-python/README.md").is_file()


@pytest.mark.parametrize("page", PAGES)
def test_every_command_has_the_options_that_are_shown(page: str) -> None:
    text = PAGES[page]
    shown = [line for part in blocks(page, "sh") for line in part.splitlines()] + re.findall(r"`(bench [^`]+)`", text)
    for line in shown:
        if not line.startswith("bench ") or "<" in line:
            continue
        verb, *rest = line.replace("…", "").split()[1:]
        help_text = CliRunner().invoke(app, [verb, "--help"], env={"COLUMNS": "200"}).stdout
        for option in (word for word in rest if word.startswith("-")):
            assert re.search(rf"(^|[\s,]){option}\b", help_text), f"{line}: {option}"


@pytest.mark.parametrize("page", [*PAGES, "leaderboard"])
def test_links_lead_somewhere(page: str) -> None:
    text = PAGES.get(page) or (REPOSITORY / page / "README.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (REPOSITORY / page / link).exists(), link


def test_the_readme_is_short() -> None:
    before, _, rest = PAGES["."].partition("<!-- headline -->")
    assert len((before + rest.partition("<!-- /headline -->")[2]).splitlines()) < 125
