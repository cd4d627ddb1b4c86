"""A short hash of a detector's code, by which one sees that a stored result is of earlier code."""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
from types import ModuleType

from oodbench.detectors.base import Detector


def fingerprint(detector: type[Detector]) -> str:
    """Hash the module of a detector, and what it imports from its own package or from `oodbench.detectors`.

    Comments, docstrings and blank lines do not count, and neither does the interface in `oodbench.detectors.base`,
    which has no part in what a method computes.

    Parameters
    ----------
    detector : type
        The class.

    Returns
    -------
    str
        12 hexadecimal digits.
    """
    modules: dict[str, ModuleType] = {}
    _collect(detector.__module__, detector.__module__.partition(".")[0], modules)
    digest = hashlib.sha256()
    for name in sorted(modules):
        digest.update(_code_of(modules[name]).encode())
    return digest.hexdigest()[:12]


def _collect(name: str, package: str, modules: dict[str, ModuleType]) -> None:
    """Add a module, and those that it imports, to `modules`."""
    module = sys.modules.get(name)
    if (
        module is None
        or name in modules
        or name == Detector.__module__
        or not name.startswith((f"{package}.", "oodbench.detectors.", "oodbench_plugin_"))
    ):
        return
    modules[name] = module
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.ImportFrom):
            origin = _imported_from(node, module)
            for candidate in (origin, *(f"{origin}.{alias.name}" for alias in node.names)):
                _collect(candidate, package, modules)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                _collect(alias.name, package, modules)


def _imported_from(node: ast.ImportFrom, module: ModuleType) -> str:
    """Give the absolute name of what a ``from … import`` imports from."""
    if not node.level:
        return node.module or ""
    parents = (module.__package__ or "").split(".")
    base = parents[: len(parents) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def _code_of(module: ModuleType) -> str:
    """Source without docstrings, whole-line comments and blank lines; the same on every Python version."""
    source = inspect.getsource(module)
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            assert node.end_lineno is not None
            lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    return "\n".join(line.rstrip() for line in lines if line.strip() and not line.lstrip().startswith("#"))
