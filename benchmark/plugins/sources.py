"""Where plugins come from: our own folders, installed packages, local files; and what their modules register."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from oodbench.benchmark.plugins.modules import load_file

Kind = Literal["detector", "dataset"]
KINDS: tuple[Kind, ...] = ("detector", "dataset")
BUILT_IN = "built in"
SESSION = "this session"


@dataclass(frozen=True)
class Broken:
    """A plugin that could not be loaded, and why."""

    source: str
    cause: str


@dataclass(frozen=True)
class Origin:
    """A module that has not been imported yet.

    Attributes
    ----------
    source : str
        Where it comes from, as users are told.
    load : callable
        Imports it; returns the module, or the one class that an entry point names.
    name : str
        The name that it is known to register; empty for local files.
    module : str
        The module's name, for built-ins.
    """

    source: str
    load: Callable[[], object]
    name: str = ""
    module: str = ""


def base_of(kind: Kind) -> type[Any]:
    """Return the class that all of a kind derive from."""
    base: type[Any] = getattr(importlib.import_module(f"oodbench.{kind}s.base"), kind.capitalize())
    return base


def built_in(kind: Kind) -> Iterator[Origin]:
    """Yield the files of our own folder; each registers the name of its file."""
    package = f"oodbench.{kind}s"
    for found in pkgutil.iter_modules(importlib.import_module(package).__path__):
        if not found.ispkg and found.name != "base":
            module = f"{package}.{found.name}"
            yield Origin(BUILT_IN, partial(importlib.import_module, module), found.name.replace("_", "-"), module)


def built_in_families(kind: Kind) -> tuple[str, ...]:
    """Return the names of built-ins that are families."""
    families: tuple[str, ...] = importlib.import_module(f"oodbench.{kind}s").FAMILIES
    return families


def declared_members(module: str) -> tuple[str, ...]:
    """Return the members that a built-in family names in its decorator, read from its source without importing it."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    for node in ast.walk(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "register_family":
            return next((ast.literal_eval(given.value) for given in node.keywords if given.arg == "members"), ())
    return ()


def entry_points(kind: Kind) -> list[importlib.metadata.EntryPoint]:
    """Return the entry points of installed packages."""
    return list(importlib.metadata.entry_points(group=f"oodbench.{kind}s"))


def installed(kind: Kind) -> Iterator[Origin]:
    """Yield the entry points of installed packages; each should have the name that it registers."""
    for entry in entry_points(kind):
        source = f"package {entry.dist.name} {entry.dist.version}" if entry.dist else f"entry point {entry.name}"
        yield Origin(source, entry.load, entry.name)


def local(path: Path) -> Origin:
    """Return a local file as an origin."""
    return Origin(source_of(path), partial(load_file, path))


def source_of(path: Path) -> str:
    """Return how users are told that a plugin comes from a local file."""
    return f"file {path}"


def classes_in(loaded: object, kind: Kind) -> Iterator[type[Any]]:
    """Yield the registered classes that a module defines, or the one class that an entry point names."""
    base, module = base_of(kind), getattr(loaded, "__name__", None)
    for item in _contents(loaded):
        if not (inspect.isclass(item) and issubclass(item, base)):
            continue
        # the decorator sets the name; one that is inherited is the parent's
        if vars(item).get("name") and (item is loaded or item.__module__ == module):
            yield item


def families_in(loaded: object, kind: Kind) -> Iterator[tuple[str, Callable[[Any], type[Any]]]]:
    """Yield the names and functions of the registered families that a module holds."""
    for item in _contents(loaded):
        name = getattr(item, f"{kind}_family", "")  # set by the decorator
        if name and inspect.isfunction(item):
            yield name, item


def registers_nothing(loaded: object) -> bool:
    """Return whether a module holds neither a detector nor a dataset."""
    return not any([*classes_in(loaded, kind), *families_in(loaded, kind)] for kind in KINDS)


def _contents(loaded: object) -> list[object]:
    """Return what a module holds, or the one thing that an entry point names."""
    return list(vars(loaded).values()) if isinstance(loaded, ModuleType) else [loaded]
