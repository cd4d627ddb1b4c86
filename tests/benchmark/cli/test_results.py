"""`bench leaderboard`, `show` and `diff`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from oodbench.benchmark.cli.terminal import make_table
from tests.benchmark.cli.command import bench, done, pasted


def test_show(finished: Path) -> None:
    text = done("show", "digits", "3", "--out", finished)
    (row,) = (line for line in text.splitlines() if line.startswith("│ vae@epochs=3 "))
    auroc, interval = (row.split("│")[index].strip() for index in (3, 7))
    low, high = map(float, interval.split("–"))
    assert low < float(auroc) < high
    assert re.search(rf"for example {finished}/runs/digits/[^/]+/class-3_seed-0\n", text)


def test_show_as_json(finished: Path) -> None:
    found = json.loads(done("show", "Digits", "3", "--out", finished, "--json"))
    assert {result["label"] for result in found} == {"gmm", "vae@epochs=3"}
    assert all(0 < result["auroc"] < 1 for result in found)


def test_the_command_that_show_names_runs_the_split(tmp_path: Path) -> None:
    error = bench("show", "digits", "3", "--out", tmp_path, "--protocol", "memae").stderr
    (command,) = re.findall(r"run `(.+)`", error)
    assert pasted(f"{command} --detector mean").exit_code == 0
    assert "mean" in done("show", "digits", "3", "--out", tmp_path, "--protocol", "memae")


def test_leaderboard_and_its_check(finished: Path) -> None:
    done("leaderboard", "--out", finished)
    done("leaderboard", "--check", "--out", finished)
    page = finished / "README.md"
    page.write_text(page.read_text().replace("0.", "1."))
    result = bench("leaderboard", "--check", "--out", finished)
    assert result.exit_code == 1
    assert "README.md does not match the results" in result.output
    done("leaderboard", "--out", finished)
    done("leaderboard", "--check", "--out", finished)


def test_leaderboard_as_json(finished: Path) -> None:
    (rows,) = json.loads(done("leaderboard", "--json", "--out", finished)).values()
    assert {row["detector"] for row in rows} == {"gmm", "vae@epochs=3"}
    assert {row["classes"] for row in rows} == {1}


def test_diff_as_json(finished: Path, tmp_path: Path) -> None:
    found = json.loads(done("diff", finished, "--out", finished, "--json"))
    assert found["cells"] == []
    assert "the same" in found["summary"]
    done("run", "--dataset", "digits", "--class", "3", "--detector", "mean", "--out", tmp_path)
    result = bench("diff", finished, "--out", tmp_path, "--json")
    assert result.exit_code == 1
    cells = json.loads(result.stdout)["cells"]
    assert {"only here", "missing here"} == {cell["verdict"] for cell in cells}


@pytest.mark.parametrize("width", [60, 80])
def test_on_a_narrow_terminal_names_stay_whole(width: int) -> None:
    name = "memvae@memory_size=200"
    table = make_table(["detector", "seed", "why it failed", *"abcde"])
    table.add_row(name, "0", "it was a long story " * 5, *["0.123"] * 5)
    console = Console(width=width, force_terminal=True, no_color=True, record=True)
    console.print(table)
    text = console.export_text()
    assert name in text
    assert "…" not in text
