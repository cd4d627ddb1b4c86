from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from oodbench.benchmark.cli.listing import as_json, tables
from oodbench.benchmark.plugins import Plugins


def shown(plugins: Plugins) -> str:
    console = Console(file=io.StringIO(), width=1000)
    for table in tables(plugins):
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_what_there_is_and_what_it_can_do(plugins: Plugins) -> None:
    rows = {row[1].strip(): [cell.strip() for cell in row[2:6]] for row in cells(shown(plugins))}
    assert rows["vae"][1:] == ["yes", "yes", "built in"]
    assert rows["knn"][1:] == ["—", "—", "built in"]
    assert rows["cifar10"][1:] == ["32×32×3", "10", "built in"]
    assert rows["pyod:NAME"][1:] == ["", "", "built in"]
    assert rows["folder:PATH"][1:] == ["", "", "built in"]


def cells(text: str) -> list[list[str]]:
    return [line.split("│") for line in text.splitlines() if line.startswith("│")]


def test_as_json_says_the_same(plugins: Plugins) -> None:
    found = as_json(plugins)
    names = {entry["name"] for kind in ("detectors", "datasets") for entry in found[kind]}
    assert names == {row[1].strip() for row in cells(shown(plugins))}
    assert found["broken"] == []


def test_what_cannot_be_loaded_is_shown_with_its_cause(tmp_path: Path) -> None:
    path = tmp_path / "cannot.py"
    path.write_text("import no_such_module_anywhere\n", encoding="utf-8")
    plugins = Plugins.load([path])
    assert [table.title for table in tables(plugins)] == ["Detectors", "Datasets", "Could not be loaded"]
    (broken,) = as_json(plugins)["broken"]
    assert broken["source"] == f"file {path}"
    assert "no_such_module_anywhere" in broken["cause"]
