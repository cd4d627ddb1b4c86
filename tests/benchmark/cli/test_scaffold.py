"""From nothing to a row in the table, as somebody new would go."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oodbench.benchmark.cli.app import app
from oodbench.benchmark.cli.scaffold import new_file, new_package
from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.results.store import Store


def bench(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


def commands(output: str) -> list[list[str]]:
    return [shlex.split(line)[1:] for line in output.splitlines() if line.startswith("  bench ")]


def test_a_file_is_checked_and_run_by_the_two_commands_that_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check, run = commands(bench("new", "two-layers", "--folder", "my detectors"))
    assert Path("my detectors/two_layers.py").read_text().count("class TwoLayers(Detector)") == 1
    assert "two-layers: 58 checks passed, 0 failed." in bench(*check)
    bench(*run, "--class", "0", "--class", "1")
    line, *_ = (line for line in Path("my-results/README.md").read_text().splitlines() if "| two-layers | " in line)
    results = Store.at(Path("my-results")).read_all()
    assert len(results) == 2
    assert min(result.auroc for result in results) > 0.9
    assert "(2 of 10)" in line


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("My Detector", "is no name for a detector"),
        ("9lives", "is no name"),
        ("-a", "is no name"),
        ("memvae", "There is already a detector named 'memvae': choose another name"),
        ("digits", "There is already a dataset named 'digits'"),
        ("folder", "There is already a dataset named 'folder'"),
        ("class", "'class' is a reserved word: choose another name"),
        ("con", "'con' is a reserved word"),
        ("nul", "'nul' is a reserved word"),
        ("tensor", "'tensor' is a reserved word"),
        ("torch", "'torch' is the name of a Python module, which torch.py would hide: choose another name"),
        ("test", "'test' is the name of a Python module"),
        ("a" * 41, "has 41 characters: choose a name of at most 40"),
    ],
)
@pytest.mark.parametrize("write", [new_file, new_package])
def test_bad_names(tmp_path: Path, write: Callable[[str, Path], Path], name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        write(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    new_file("mine", tmp_path).write_text("precious")
    with pytest.raises(UsageError, match=r"mine.py exists already: choose another name, or move it away"):
        new_file("mine", tmp_path)
    assert (tmp_path / "mine.py").read_text() == "precious"


@pytest.mark.slow
def test_a_package_is_found_once_installed_and_passes_its_own_test(tmp_path: Path) -> None:
    """Really installed by pip, into a folder of its own; then listed, run and tested in processes that see it."""
    bench("new", "far-away", "--package", "--folder", str(tmp_path))
    site, package = tmp_path / "site", tmp_path / "far-away"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target"]
    subprocess.run([*install, site, package], check=True, capture_output=True)
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    here = {"PYTHONPATH": path, "PATH": "/usr/bin:/bin", "COLUMNS": "200", "HOME": str(tmp_path)}
    program = Path(sys.executable).with_name("bench")
    select = ["--detector", "far-away", "--dataset", "digits", "--class", "0", "--out", str(tmp_path / "out")]
    subprocess.run([program, "run", *select], check=True, capture_output=True, env=here)
    assert Store.at(tmp_path / "out").read_all()[0].detector == "far-away"
    listed = subprocess.run([program, "list"], check=True, capture_output=True, text=True, env=here).stdout
    assert "package far-away 0.1.0" in listed
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(package / "tests")]
    tested = subprocess.run(tests, check=False, capture_output=True, text=True, env=here, cwd=tmp_path)
    assert "56 passed" in tested.stdout, tested.stdout
