"""The house: which room may import which, how large a module may be, and what the harness may not know."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

LAYERS = (
    ("oodbench",),
    ("cli",),
    ("tuning", "inference", "checks"),
    ("running",),
    ("reporting",),
    ("results",),
    ("evaluation",),
    ("settings", "trials", "plugins", "files", "errors"),
    ("detectors", "datasets"),
)
"""Rooms and files of the landing; each imports only what stands in its own line or below."""
LONGEST = 400
"""Lines of a module of the harness."""


def layer(module: str) -> int:
    """Return the layer of a module such as ``oodbench.benchmark.cli.app``."""
    parts = [part for part in module.split(".") if part != "benchmark"]
    room = parts[1] if len(parts) > 1 and not parts[1].startswith("_") else "oodbench"
    return next(number for number, rooms in enumerate(LAYERS) if room in rooms)


def modules(root: Path) -> dict[str, Path]:
    """Return the modules of a checkout by name."""
    found = {}
    for path in [path for folder in ("benchmark", "detectors", "datasets") for path in (root / folder).rglob("*.py")]:
        parts = list(path.relative_to(root).with_suffix("").parts)
        if parts[:2] == ["benchmark", "oodbench"]:
            parts = parts[2:]
        name = ".".join(["oodbench", *[part for part in parts if part != "__init__"]])
        found[name] = path
    del found["oodbench.benchmark"]  # holds nothing
    return found


def imports(path: Path, known: dict[str, Path], *, of_types: bool) -> Iterator[str]:
    """Yield the modules of ours that a file imports, wherever in it, with or without those for type checkers."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in for_types and not of_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield from [inner] if inner in known else [node.module] if node.module in known else []


def violations(root: Path) -> list[str]:
    """Return the imports that run against the direction."""
    known = modules(root)
    return [
        f"{name} imports {imported}"
        for name, path in known.items()
        for imported in imports(path, known, of_types=True)
        if layer(imported) < layer(name)
        or {*name.split(".")[1:2], *imported.split(".")[1:2]} == {"detectors", "datasets"}
    ]


def test_each_room_imports_only_what_stands_to_its_right() -> None:
    assert violations(REPOSITORY) == []


@pytest.mark.parametrize(
    ("folder", "line"),
    [
        ("benchmark/results", "from oodbench.benchmark.cli.app import app"),
        ("benchmark/evaluation", "def late():\n    from oodbench.benchmark import running"),
        ("detectors", "import oodbench.datasets.base"),
    ],
)
def test_an_import_against_the_direction_is_found(tmp_path: Path, folder: str, line: str) -> None:
    for place in (
        "benchmark/results",
        "benchmark/evaluation",
        "benchmark/cli",
        "benchmark/running",
        "detectors",
        "datasets",
    ):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / place / "__init__.py").touch()
    for file in ("benchmark/__init__.py", "benchmark/cli/app.py", "datasets/base.py"):
        (tmp_path / file).touch()
    assert violations(tmp_path) == []
    (tmp_path / folder / "wrong.py").write_text(line)
    (found,) = violations(tmp_path)
    assert "wrong imports oodbench." in found


def test_no_circle_is_hidden_anywhere() -> None:
    known = modules(REPOSITORY)
    graph = {name: set(imports(path, known, of_types=False)) - {name} for name, path in known.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"these modules import each other: {' -> '.join(error.args[1])}")


def test_no_module_is_too_long() -> None:
    long = {
        str(path.relative_to(REPOSITORY)): lines
        for path in (REPOSITORY / "benchmark").rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST
    }
    assert long == {}


def test_the_harness_names_no_detector() -> None:
    """Diagnostics, ablations and defaults belong to the method's file."""
    names = {path.stem.replace("_", "-") for path in (REPOSITORY / "detectors").glob("[!_]*.py")}
    names -= {"base", "mean", "memae"}  # a mean is in every table, and memae is a protocol too
    named = {
        f"{path.relative_to(REPOSITORY)}: {node.value}"
        for path in (REPOSITORY / "benchmark").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in names
    }
    assert named == set()
