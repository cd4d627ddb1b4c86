"""Which detectors and datasets there are: built in, from installed packages, or in a local file."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import pkgutil
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from oodbench.benchmark.declared import BUILT_IN, plain_first_line
from oodbench.benchmark.errors import UsageError, unknown
from oodbench.datasets.base import Dataset
from oodbench.detectors.base import Detector

Base = TypeVar("Base", Detector, Dataset)

SECONDS_TO_IMPORT = float(os.environ.get("OODBENCH_IMPORT_SECONDS", "60"))
"""After which a plugin that is still being imported is given up."""


@dataclass(frozen=True)
class Plugin(Generic[Base]):
    """A class that was found, and where."""

    name: str
    cls: type[Base]
    source: str

    @property
    def summary(self) -> str:
        """The first line of the class's docstring."""
        return first_line(self.cls)


@dataclass(frozen=True)
class Family(Generic[Base]):
    """A function that was found, and where; it makes classes on demand, by what stands behind ``name:``."""

    name: str
    make: Callable[[str], type[Base]]
    source: str

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return first_line(self.make)


@dataclass(frozen=True)
class Broken:
    """A plugin that could not be loaded, and why."""

    source: str
    cause: str


def first_line(documented: object) -> str:
    """Give the first line of a docstring as plain text."""
    return plain_first_line(inspect.getdoc(documented))


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
    families : dict of str to Family
        By name.
    broken : list of Broken
        What could not be loaded; the others work all the same.

    Raises
    ------
    UsageError
        One of the files does not exist, or is no Python file.
    """

    def __init__(self, base: type[Base], files: Sequence[Path] = ()) -> None:
        self.base: type[Base] = base
        self.kind: str = base.__name__.lower()
        self.plugins: dict[str, Plugin[Base]] = {}
        self.families: dict[str, Family[Base]] = {}
        self.broken: list[Broken] = []
        self._made: dict[str, type[Base]] = {}
        package = f"oodbench.{self.kind}s"
        for module_name in _modules_of(package):
            self._add(BUILT_IN, partial(importlib.import_module, module_name), within=module_name)
        for entry in importlib.metadata.entry_points(group=package):
            source = f"package {entry.dist.name} {entry.dist.version}" if entry.dist else f"entry point {entry.name}"
            self._add(source, entry.load)
        for path in files:
            if path.suffix != ".py" or not path.is_file():
                raise UsageError(f"There is no Python file {path}: --plugin takes the path of a .py file.")
            self._add(source_of(path), partial(load_file, path))

    def __getitem__(self, name: str) -> type[Base]:
        """Look a class up, or have its family make it; raises UsageError with the nearest names if there is none."""
        if name in self.plugins:
            return self.plugins[name].cls
        family, colon, argument = name.partition(":")
        if not colon or family not in self.families:
            raise unknown(self.kind, name, [*self.plugins, *(f"{known}:…" for known in self.families)])
        if name not in self._made:
            made = self.families[family].make(argument)
            self._made[name] = self._made.setdefault(made.name, made)  # however it was spelt, one class
        return self._made[name]

    def _add(self, source: str, load: Callable[[], object], *, within: str = "") -> None:
        try:
            with _time_limit(SECONDS_TO_IMPORT):
                loaded = load()
        except (Exception, SystemExit) as error:  # a plugin may raise anything; it must not take the others down
            where = f"{source}, {within}" if within else source
            self.broken.append(Broken(where, f"{type(error).__name__}: {error}"))
            return
        for cls in self._classes_in(loaded):
            taken = self.plugins.get(cls.name)
            if taken is None:
                self.plugins[cls.name] = Plugin(cls.name, cls, source)
            elif taken.cls is not cls:
                cause = f"the name {cls.name!r} is already taken by a {self.kind} from {taken.source}"
                self.broken.append(Broken(source, cause))
        for make in _candidates(loaded):
            name = getattr(make, f"{self.kind}_family", "")  # the decorator puts it there
            if name and inspect.isfunction(make):
                self.families.setdefault(name, Family(name, make, source))

    def _classes_in(self, loaded: object) -> Iterator[type[Base]]:
        """Give the registered classes that a module defines, or the one class that an entry point names."""
        for candidate in _candidates(loaded):
            if not (inspect.isclass(candidate) and issubclass(candidate, self.base)):
                continue
            # the decorator puts the name there; a name that is inherited is the parent's
            named = bool(vars(candidate).get("name"))
            if named and (candidate is loaded or candidate.__module__ == getattr(loaded, "__name__", None)):
                yield candidate


@dataclass(frozen=True)
class Plugins:
    """The two registries, and the local files they were made with (from which a worker makes them again)."""

    detectors: Registry[Detector]
    datasets: Registry[Dataset]
    files: tuple[Path, ...] = ()

    @classmethod
    def load(cls, files: Iterable[Path] = ()) -> Plugins:
        """Find everything there is; raises UsageError for a file that does not exist."""
        paths = tuple(Path(path) for path in files)
        return cls(Registry(Detector, paths), Registry(Dataset, paths), paths)  # type: ignore[type-abstract]

    @property
    def broken(self) -> list[Broken]:
        """What could not be loaded, each once; also local files in which nothing is registered."""
        broken = list(dict.fromkeys([*self.detectors.broken, *self.datasets.broken]))
        registries: tuple[Registry[Any], ...] = (self.detectors, self.datasets)
        heard_of = {plugin.source for registry in registries for plugin in registry.plugins.values()}
        heard_of |= {family.source for registry in registries for family in registry.families.values()}
        heard_of |= {plugin.source for plugin in broken}
        empty = 'it holds no detector and no dataset: put @register("its-name") before the class'
        return broken + [Broken(source_of(path), empty) for path in self.files if source_of(path) not in heard_of]


def _candidates(loaded: object) -> list[object]:
    """Give what a module holds, or the one thing that an entry point names."""
    return list(vars(loaded).values()) if isinstance(loaded, ModuleType) else [loaded]


def source_of(path: Path) -> str:
    """Say of a plugin that it comes from a local file."""
    return f"file {path}"


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in a block that takes longer; only the main thread can be interrupted so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def expire(*_: object) -> None:
        raise TimeoutError(f"importing it took longer than {seconds:g} s (OODBENCH_IMPORT_SECONDS sets the limit)")

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


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
    """
    name = "oodbench_plugin_" + path.stem.replace("-", "_")
    loaded = sys.modules.get(name)
    if loaded is not None and loaded.__file__ == str(path.resolve()):
        return loaded
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
