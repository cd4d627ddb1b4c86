"""Writes the beginning of a new detector: one file, or a package that can be installed."""

from __future__ import annotations

import importlib.util
import keyword
import re
from importlib.resources import files
from pathlib import Path

from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.plugins import Plugins

TEMPLATES = files("oodbench.benchmark.cli") / "templates"
PACKAGE = {
    "pyproject.toml": "pyproject.toml.in",
    "src/{module}/__init__.py": "detector.py",
    "tests/test_{module}.py": "test_detector.py.in",
}
"""For each file of a package its template."""
LONGEST = 40
"""Characters of a name, which heads a column of tables."""
DEVICES = {"con", "nul", "aux", "prn", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
"""Names that no file can have on Windows."""
IMPORTED = {"detector", "monitor", "self", "tensor"}
"""Names whose classes would hide what the template imports."""


def new_file(name: str, folder: Path) -> Path:
    """Write a working detector into one file.

    Parameters
    ----------
    name : str
        The detector's name: lower-case letters, digits and hyphens, at most 40 characters.
    folder : Path
        The folder to write to; it is made if need be.

    Returns
    -------
    Path
        The file, ``my_detector.py`` for ``my-detector``.

    Raises
    ------
    UsageError
        The name is not well formed, taken or reserved, or the file exists.
    """
    path = folder / f"{_module(name)}.py"
    _write({path: _fill("detector.py", name)})
    return path


def new_package(name: str, folder: Path) -> Path:
    """Write a working detector as a package with an entry point and a test.

    Parameters
    ----------
    name : str
        The detector's name: lower-case letters, digits and hyphens, at most 40 characters.
    folder : Path
        The folder to write to; it is made if need be.

    Returns
    -------
    Path
        The package's folder.

    Raises
    ------
    UsageError
        The name is not well formed, taken or reserved, or the folder holds such files.
    """
    root = folder / name
    module = _module(name)
    _write({root / where.format(module=module): _fill(what, name) for where, what in PACKAGE.items()})
    return root


def _module(name: str) -> str:
    """Return the name of the detector's module; raises UsageError if the name will not do."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise UsageError(
            f"{name!r} is no name for a detector: use lower-case letters, digits and hyphens (my-detector)."
        )
    if len(name) > LONGEST:
        raise UsageError(f"{name!r} has {len(name)} characters: choose a name of at most {LONGEST}.")
    module = name.replace("-", "_")
    if keyword.iskeyword(module) or module in DEVICES | IMPORTED:
        raise UsageError(f"{name!r} is a reserved word: choose another name.")
    if importlib.util.find_spec(module) is not None:
        raise UsageError(f"{name!r} is the name of a Python module, which {module}.py would hide: choose another name.")
    plugins = Plugins.load()
    for registry in (plugins.detectors, plugins.datasets):
        if name in [*registry.names(), *registry.families()]:
            raise UsageError(f"There is already a {registry.kind} named {name!r}: choose another name.")
    return module


def _fill(template: str, name: str) -> str:
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    module = name.replace("-", "_")
    class_name = "".join(part.capitalize() for part in name.split("-"))
    return text.replace("my-detector", name).replace("my_detector", module).replace("MyDetector", class_name)


def _write(texts: dict[Path, str]) -> None:
    there = [path for path in texts if path.exists()]
    if there:
        raise UsageError(f"{there[0]} exists already: choose another name, or move it away.")
    for path, text in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{path} cannot be written ({error.strerror}).") from error
