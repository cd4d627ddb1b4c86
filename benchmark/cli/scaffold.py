"""Writes the beginning of a new detector: one file, or a package that can be installed."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from oodbench.benchmark.errors import UsageError

TEMPLATES = files("oodbench.benchmark.cli") / "templates"
PACKAGE = {
    "pyproject.toml": "pyproject.toml.in",
    "src/{module}/__init__.py": "detector.py",
    "tests/test_{module}.py": "test_detector.py.in",
}
"""Where in a package what template goes."""


def new_file(name: str, folder: Path) -> Path:
    """Write a working detector into one file.

    Parameters
    ----------
    name : str
        Its name, of lower-case letters, digits and hyphens.
    folder : Path
        Where to.

    Returns
    -------
    Path
        The file, ``my_detector.py`` for ``my-detector``.

    Raises
    ------
    UsageError
        It is no name, or the file exists.
    """
    path = folder / f"{_module(name)}.py"
    _write({path: _fill("detector.py", name)})
    return path


def new_package(name: str, folder: Path) -> Path:
    """Write a working detector as a package with an entry point and a test.

    Parameters
    ----------
    name : str
        Its name, of lower-case letters, digits and hyphens.
    folder : Path
        Where to.

    Returns
    -------
    Path
        The package's folder.

    Raises
    ------
    UsageError
        It is no name, or the folder holds such files.
    """
    root = folder / name
    module = _module(name)
    _write({root / where.format(module=module): _fill(what, name) for where, what in PACKAGE.items()})
    return root


def _module(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise UsageError(
            f"{name!r} is no name for a detector: use lower-case letters, digits and hyphens (my-detector)."
        )
    return name.replace("-", "_")


def _fill(template: str, name: str) -> str:
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    class_name = "".join(part.capitalize() for part in name.split("-"))
    return text.replace("my-detector", name).replace("my_detector", _module(name)).replace("MyDetector", class_name)


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
