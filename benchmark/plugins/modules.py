"""Local Python files as modules.

Each folder becomes a package of its own, so that files of the same name in two folders keep apart. A file may import
those beside it as a script would (``import helper``) or as a package would (``from . import helper``).
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from oodbench.benchmark.files import digest

PREFIX = "oodbench_plugin_"
"""Begins the names of the folders' packages."""


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
    path = path.resolve()
    package = _package_of(path.parent)
    name = f"{package}.{path.stem.replace('.', '_')}"
    if name in sys.modules:
        return sys.modules[name]
    importlib.invalidate_caches()
    spec = importlib.util.spec_from_file_location(name, path, loader=_Loader(name, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and the files beside it look it up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _package_of(folder: Path) -> str:
    """Return the name of a folder's package, made if it is not there yet."""
    name = PREFIX + digest(str(folder))
    if name not in sys.modules:
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
    return name


class _Finder:
    """Finds the modules of the folders' packages, to be loaded by `_Loader`."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return where a module is; see `importlib.abc.MetaPathFinder`."""
        spec = PathFinder.find_spec(name, path, target) if name.startswith(PREFIX) else None
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    """Loads a module whose ``import`` statements look beside it first, as those of a script do."""

    def exec_module(self, module: ModuleType) -> None:
        """Run a module's code; see `importlib.abc.Loader`."""
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": _import_for(module.__name__)}
        super().exec_module(module)


def _import_for(module: str) -> Callable[..., Any]:
    """Return the function that stands behind a module's ``import`` statements."""
    package = module.partition(".")[0]
    folder = Path(sys.modules[package].__path__[0])

    def is_beside(top: str) -> bool:
        ours = (folder / f"{top}.py").is_file() or (folder / top / "__init__.py").is_file()
        return ours and top not in sys.stdlib_module_names and f"{package}.{top}" != module

    def import_(
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        if level == 0 and is_beside(name.partition(".")[0]):
            return builtins.__import__(name, {"__package__": package}, None, fromlist or (), 1)
        return builtins.__import__(name, globals, locals, fromlist or (), level)

    return import_
