"""What there is of detectors and datasets, kept in the user's cache until a module changes."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from oodbench.benchmark.files import cache_folder, digest, write_text
from oodbench.benchmark.plugins.sources import Kind, entry_points

ARGUMENTS = {"detector": "NAME", "dataset": "PATH"}
"""What users write behind the colon of a family."""


@dataclass(frozen=True)
class Entry:
    """What is shown of a detector, of a dataset or of a family of them.

    Attributes
    ----------
    name : str
        What users type; of a family, for example ``pyod:NAME``.
    summary : str
        First line of its docstring.
    source : str
        Where it comes from: "built in", "package NAME VERSION", "file PATH" or "this session".
    samples, reconstructs : bool or None
        Whether a detector draws new images and reconstructs images; None for anything else.
    shape : tuple of int or None
        (C, H, W) of a dataset's images; None for anything else.
    classes : int or None
        How many classes a dataset has; None for anything else.
    """

    name: str
    summary: str
    source: str
    samples: bool | None = None
    reconstructs: bool | None = None
    shape: tuple[int, int, int] | None = None
    classes: int | None = None


def entry(kind: Kind, name: str, cls: type[Any], source: str) -> Entry:
    """Return the entry of a class."""
    if kind == "dataset":
        return Entry(name, first_line(cls), source, shape=cls.shape, classes=len(cls.class_names))
    from oodbench.detectors.base import can_reconstruct, can_sample  # needs torch

    return Entry(name, first_line(cls), source, samples=can_sample(cls), reconstructs=can_reconstruct(cls))


def family_entry(kind: Kind, name: str, make: object, source: str) -> Entry:
    """Return the entry of a family."""
    return Entry(f"{name}:{ARGUMENTS[kind]}", first_line(make), source)


def first_line(documented: object) -> str:
    """Return the first line of a docstring as plain text."""
    return (inspect.getdoc(documented) or "").partition("\n")[0].replace("``", "")


def read(kind: Kind, files: Sequence[Path]) -> list[Entry] | None:
    """Return the entries that were kept, or None if there are none or a module has changed since."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        rows = json.loads(_path(kind, files).read_text(encoding="utf-8"))
        return [Entry(**{**row, "shape": row["shape"] and tuple(row["shape"])}) for row in rows]
    return None


def write(kind: Kind, files: Sequence[Path], entries: Iterable[Entry]) -> None:
    """Keep entries in place of those that were kept; where the cache folder cannot be written, do nothing."""
    path = _path(kind, files)
    with suppress(OSError):
        for outdated in path.parent.glob(f"{kind}s-*.json"):
            outdated.unlink()
        write_text(path, json.dumps([asdict(entry) for entry in entries]))


def _path(kind: Kind, files: Sequence[Path]) -> Path:
    """Return where entries are kept: under the state of all modules that they are made of."""
    declared = [f"{point.name} {point.value}" for point in entry_points(kind)]
    return cache_folder() / f"{kind}s-{digest(sys.version, *declared, *map(_state, _modules(kind, files)))}.json"


def _modules(kind: Kind, files: Sequence[Path]) -> Iterator[Path]:
    """Yield our own modules, those of packages that have entry points, local files and what lies beside them."""
    folders = [Path(__file__).parent, *map(Path, importlib.import_module(f"oodbench.{kind}s").__path__)]
    for package in sorted({point.value.partition(":")[0].partition(".")[0] for point in entry_points(kind)}):
        spec = importlib.util.find_spec(package)  # imports nothing, since the package is not within another
        folders += map(Path, spec.submodule_search_locations or [] if spec else [])
        if spec and spec.origin:
            yield Path(spec.origin)
    for folder in folders:
        yield from sorted(folder.rglob("*.py"))
    for file in files:
        yield from [file, *sorted(file.parent.glob("*.py"))]


def _state(path: Path) -> str:
    try:
        about = path.stat()
    except OSError:
        return f"{path} missing"
    return f"{path.resolve()} {about.st_mtime_ns} {about.st_size}"
