"""Which detectors and datasets there are: built in, from installed packages, or in a local file."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Generic, TypeVar

from oodbench.benchmark.errors import UsageError, unknown
from oodbench.datasets.base import Dataset
from oodbench.detectors.base import Detector

Base = TypeVar("Base", Detector, Dataset)


@dataclass(frozen=True)
class Plugin(Generic[Base]):
    """A class that was found, and where."""

    name: str
    cls: type[Base]
    source: str

    @property
    def summary(self) -> str:
        """The first line of the class's docstring."""
        return (inspect.getdoc(self.cls) or "").partition("\n")[0]


@dataclass(frozen=True)
class Broken:
    """A plugin that could not be loaded, and why."""

    source: str
    cause: str


class Registry(Generic[Base]):
    """Named classes of one kind, from three kinds of places.

    Parameters
    ----------
    base : type
        What the classes derive from, `Detector` or `Dataset`.
    files : sequence of Path
        Local Python files to look into besides the built-in modules and the installed packages' entry points.

    Attributes
    ----------
    plugins : dict of str to Plugin
        By name.
    broken : list of Broken
        What could not be loaded; the others work all the same.

    Raises
    ------
    UsageError
        One of the files cannot be loaded.
    """

    def __init__(self, base: type[Base], files: Sequence[Path] = ()) -> None:
        self.base: type[Base] = base
        self.kind: str = base.__name__.lower()
        self.plugins: dict[str, Plugin[Base]] = {}
        self.broken: list[Broken] = []
        package = f"oodbench.{self.kind}s"
        for module_name in _modules_of(package):
            self._add("built in", partial(importlib.import_module, module_name))
        for entry in importlib.metadata.entry_points(group=package):
            source = f"package {entry.dist.name} {entry.dist.version}" if entry.dist else f"entry point {entry.name}"
            self._add(source, entry.load)
        for path in files:
            before = len(self.broken)
            self._add(f"file {path}", partial(load_file, path))
            if len(self.broken) > before:
                raise UsageError(f"{path} cannot be used: {self.broken[-1].cause}")

    def __getitem__(self, name: str) -> type[Base]:
        """Look a class up; raises UsageError with the nearest names if there is none."""
        if name not in self.plugins:
            raise unknown(self.kind, name, self.plugins)
        return self.plugins[name].cls

    def _add(self, source: str, load: Callable[[], object]) -> None:
        try:
            found = list(self._classes_in(load()))
        except Exception as error:  # a plugin may raise anything; it must not take the others down
            self.broken.append(Broken(source, f"{type(error).__name__}: {error}"))
            return
        for cls in found:
            taken = self.plugins.get(cls.name)
            if taken is None:
                self.plugins[cls.name] = Plugin(cls.name, cls, source)
            elif taken.cls is not cls:
                cause = f"the name {cls.name!r} is already taken by a {self.kind} from {taken.source}"
                self.broken.append(Broken(source, cause))

    def _classes_in(self, loaded: object) -> Iterator[type[Base]]:
        """Give the registered classes that a module defines, or the one class that an entry point names."""
        candidates = list(vars(loaded).values()) if isinstance(loaded, ModuleType) else [loaded]
        for candidate in candidates:
            if not (inspect.isclass(candidate) and issubclass(candidate, self.base)):
                continue
            # the decorator puts the name there; a name that is inherited is the parent's
            named = bool(vars(candidate).get("name"))
            if named and (candidate is loaded or candidate.__module__ == getattr(loaded, "__name__", None)):
                yield candidate


def _modules_of(package: str) -> list[str]:
    paths = importlib.import_module(package).__path__
    return [f"{package}.{module.name}" for module in pkgutil.iter_modules(paths)]


def load_file(path: Path) -> ModuleType:
    """Import a Python file that is not part of a package.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    ModuleType
        The same module every time.

    Raises
    ------
    UsageError
        There is no such Python file.
    """
    name = "oodbench_plugin_" + path.stem.replace("-", "_")
    loaded = sys.modules.get(name)
    if loaded is not None and loaded.__file__ == str(path.resolve()):
        return loaded
    if path.suffix != ".py" or not path.is_file():
        raise UsageError("there is no such Python file; --plugin takes the path of a .py file.")
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and safe re-imports look it up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
