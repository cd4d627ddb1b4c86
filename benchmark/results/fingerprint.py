"""A short hash of what a detector computes, by which one sees that a stored result is of earlier code.

It covers the definitions that the class reaches: its bases and their methods, and the functions, classes and constants
that they name, as long as they are the detector's own code: in `oodbench.detectors`, or in the class's file, in its
package, or in helper modules beside it. Statements of those modules that do more than define count too.

Comments, docstrings, annotations and layout do not count, nor does where a definition stands: code may move to another
module, and modules may be renamed. A change elsewhere in the same files changes nothing either.

What cannot be seen: names that are looked up while the code runs (`getattr`, `importlib.import_module`), other packages
(a result records the versions that matter most), and data files. The defaults in a file beside a detector count as
hyperparameters, which are compared by themselves.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import json
import linecache
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property, lru_cache, partial
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

import oodbench.detectors
from oodbench.benchmark.files import digest
from oodbench.benchmark.results.syntax import NOT_COMPUTED, bound_names, has_effect, normal_form

DETECTORS: Final = Path(str(oodbench.detectors.__file__)).resolve().parent
INTERFACE: Final = DETECTORS / "base.py"
"""Has no part in what a method computes."""
PLACES: Final = ("oodbench", "detectors", "base")
"""Modules from which the interface's names can be imported."""
SITE: Final = ("site-packages", "dist-packages")
"""Folders in which modules that have nothing to do with one another lie side by side."""
GENERATED: Final = "<string>"
"""The file's name of methods that are generated, as by `dataclass`."""
STANDARD_LIBRARY: Final = Path(os.__file__).resolve().parent
OF_THE_PLACE: Final = ("__file__", "__path__", "__cached__", "__package__")
"""Names whose values say where a module lies, and not what it computes."""
PLAIN: Final = (bool, int, float, complex, str, bytes, type(None))


def fingerprint(detector: type) -> str:
    """Return a hash of what a detector computes.

    Parameters
    ----------
    detector : type
        The class; one from a notebook's cell or from ``python -c`` will do. Where its source cannot be had, its
        bytecode counts, which differs between versions of Python.

    Returns
    -------
    str
        12 hexadecimal digits.
    """
    found = _Walk(detector).found
    wrapped = getattr(detector, "wrapped", None)
    if wrapped is not None:  # it may come from another package, or from a local file
        found |= _Walk(wrapped).found
    return digest(*sorted(found))


class _Source:
    """The source of a module, or of a notebook's cell.

    Attributes
    ----------
    definitions : dict
        From a global name to the statements that bind it.
    imports : dict
        From a name to what is imported under it: the level of a relative import, and the dotted name.
    """

    def __init__(self, code: str | bytes, path: Path | None, namespace: Mapping[str, Any] | None = None) -> None:
        self.path = path
        if namespace is not None:
            self.namespace = namespace
        self.statements = ast.parse(code).body
        self.definitions: dict[str, list[ast.stmt]] = {}
        self.imports: dict[str, list[tuple[int, list[str]]]] = {}
        for statement in self.statements:
            for name in bound_names(statement):
                self.definitions.setdefault(name, []).append(statement)
            for node in ast.walk(statement):
                if isinstance(node, ast.Import):
                    for alias in node.names:
                        full = alias.name.split(".")
                        self._add(alias.asname or full[0], 0, full if alias.asname else full[:1])
                elif isinstance(node, ast.ImportFrom):
                    module = node.module.split(".") if node.module else []
                    for alias in node.names:
                        self._add(alias.asname or alias.name, node.level, [*module, alias.name])

    def _add(self, name: str, level: int, full: list[str]) -> None:
        self.imports.setdefault(name, []).append((level, full))

    @cached_property
    def namespace(self) -> Mapping[str, Any]:
        """The module's global names with their values; empty if it is not imported."""
        assert self.path is not None
        for module in list(sys.modules.values()):
            namespace: dict[str, Any] = getattr(module, "__dict__", {})
            file = namespace.get("__file__")
            if isinstance(file, str) and file.endswith(self.path.name) and Path(file).resolve() == self.path:
                return namespace
        return {}


@lru_cache(maxsize=256)
def _parsed(path: Path, changed: int) -> _Source:
    """Parse a file, once for each time that it was changed."""
    del changed
    return _Source(path.read_bytes(), path)


class _Walk:
    """Collects what a class reaches.

    Attributes
    ----------
    found : set of str
        Definitions, in a form that does not depend on where they stand.
    """

    def __init__(self, detector: type) -> None:
        self.found: set[str] = set()
        self._seen: set[object] = set()
        self._pending: list[tuple[_Source, ast.stmt]] = []
        self._cells: dict[str, _Source | None] = {}
        self._file = next(iter(_files(detector)), None)
        self._folder = self._file.parent if self._file else Path.cwd()
        self._package: Path | None = None  # the outermost, if the class's module is in one
        while (folder := (self._package or self._file or Path()).parent / "__init__.py").is_file():
            self._package = folder.parent
        for cls in detector.__mro__:
            self._reach(cls)
        while self._pending:
            source, statement = self._pending.pop()
            self.found.add(normal_form(statement, partial(self._canonical, source)))

    def _is_own(self, file: Path) -> bool:
        if file.is_relative_to(DETECTORS):
            return file != INTERFACE
        root = self._package or self._folder
        if root.name in SITE or not file.is_relative_to(root) or file.is_relative_to(STANDARD_LIBRARY):
            return file == self._file
        return not set(file.relative_to(root).parts) & set(SITE)

    # ------------------------------------------------------------------ what the source tells

    def _visit(self, source: _Source, name: str) -> None:
        """Take up what binds a global name in a module, and the module's statements that have an effect."""
        # those of a script or a notebook use the class, and print
        is_script = source.namespace.get("__name__") == "__main__"
        effects = [] if is_script else [statement for statement in source.statements if has_effect(statement)]
        for statement in (*source.definitions[name], *effects):
            if statement not in self._seen:
                self._seen.add(statement)
                self._pending.append((source, statement))

    def _canonical(self, source: _Source, names: list[str], tried: frozenset[object] = frozenset()) -> list[str]:
        """Return what a global name in a module stands for, with the attributes asked of it; take up own code."""
        name, *attributes = names
        if (source, name) in tried:
            return names
        tried |= {(source, name)}
        imported = [
            self._imported(source, level, [*full, *attributes], tried) for level, full in source.imports.get(name, ())
        ]
        meanings = {tuple(meaning) for meaning in imported if meaning is not None}
        if name in source.definitions:
            self._visit(source, name)
            return names
        if meanings:
            return [*min(meanings)] if len(meanings) == 1 else ["|".join(sorted(map(".".join, meanings)))]
        if hasattr(builtins, name) or name not in source.namespace or name in OF_THE_PLACE:
            return names
        return self._value(names, source.namespace[name])

    def _imported(self, source: _Source, level: int, full: list[str], tried: frozenset[object]) -> list[str] | None:
        """Return what a dotted name in an import stands for; None if the own module it leads into lacks it."""
        for folder, parts in self._starts(source, level, full):
            file, rest = _module_file(folder, parts)
            if file is None or not self._is_own(file):
                continue
            module = _parsed(file, file.stat().st_mtime_ns)
            if not rest:  # the module itself, whose name does not matter
                return ["module"]
            known = rest[0] in module.definitions or rest[0] in module.imports
            return self._canonical(module, rest, tried) if known else None
        return _outside(full)

    def _starts(self, source: _Source, level: int, full: list[str]) -> Iterator[tuple[Path, list[str]]]:
        """Return folders, and the dotted names that may lead from there into an own module."""
        if level and source.path is not None:
            package = source.path.parents[level - 1]
            yield package.parent, [package.name, *full]
        elif full[:2] == ["oodbench", "detectors"]:
            yield DETECTORS.parent, [DETECTORS.name, *full[2:]]
        elif full[0] != "oodbench":
            if self._package is not None and full[0] == self._package.name:
                yield self._package.parent, full
            yield self._folder, full

    # ------------------------------------------------------------------ what only values tell

    def _reach(self, value: type | FunctionType) -> bool:
        """Take up a class or function if it is own code; return whether it is."""
        functions, files = _functions(value), _files(value)
        if not all(map(self._is_own, files)) or not (functions or files or value.__module__ == "__main__"):
            return False
        if value in self._seen:
            return True
        self._seen.add(value)
        name = value.__qualname__.partition(".")[0]
        if files:
            sources = [_parsed(file, file.stat().st_mtime_ns) for file in files]
        else:
            sources = [cell for cell in map(self._cell, functions) if cell is not None]
        source = next((source for source in sources if name in source.definitions), None)
        if source is not None:
            self._visit(source, name)
        else:
            self._take_values(value)
        for function in functions:
            for variable, held in _closure(function):
                self._take(variable, held)
        return True

    def _cell(self, function: FunctionType) -> _Source | None:
        """Return the source of the notebook's cell that a function was defined in, if it is kept."""
        name = function.__code__.co_filename
        if name not in self._cells:
            self._cells[name] = None
            with suppress(SyntaxError):
                code = "".join(linecache.getlines(name))
                self._cells[name] = _Source(code, None, function.__globals__) if code else None
        return self._cells[name]

    def _value(self, names: list[str], value: Any) -> list[str]:
        """Take up the value of a name; return what the name stands for, with the attributes asked of it."""
        if isinstance(value, ModuleType):
            return self._imported(_NOWHERE, 0, [*value.__name__.split("."), *names[1:]], frozenset()) or names
        if isinstance(value, type | FunctionType):
            if self._reach(value):
                return names
            return _outside([*(value.__module__ or "").split("."), value.__qualname__, *names[1:]])
        self.found.add(json.dumps(["Value", names[0], _plain(value)]))
        return names

    def _take_values(self, value: type | FunctionType) -> None:
        """Take up a class or function without source: its code, its constants, and the globals that it names."""
        held = vars(value) if isinstance(value, type) else {value.__name__: value}
        for name, attribute in held.items():
            functions = _unwrapped(attribute)
            for function in functions:
                codes = list(_codes(function.__code__))
                text = [[code.co_code.hex(), code.co_names, _constants(code)] for code in codes]
                defaults = _plain([function.__defaults__, function.__kwdefaults__])
                self.found.add(json.dumps(["Code", name, text, defaults]))
                for used in {used for code in codes for used in code.co_names} & set(function.__globals__):
                    self._take(used, function.__globals__[used])
            if not functions and not name.startswith("_") and name not in ("name", *NOT_COMPUTED):
                self._take(name, attribute)

    def _take(self, name: str, value: Any) -> None:
        self.found.add(json.dumps(["Holds", name, self._value([name], value)]))


_NOWHERE = _Source("", None, {})


def _module_file(folder: Path, parts: list[str]) -> tuple[Path | None, list[str]]:
    """Return the file of the innermost module that a dotted name leads to from a folder, and the rest of the name."""
    found, rest = None, parts
    for index, part in enumerate(parts, 1):
        for file in (folder / f"{part}.py", folder / part / "__init__.py"):
            if file.is_file():
                found, rest = file, parts[index:]
        folder = folder / part
        if not folder.is_dir():
            break
    return found, rest


def _outside(full: list[str]) -> list[str]:
    """Return a dotted name outside the detector's own code; ours mean the same from wherever they are imported."""
    return ["oodbench", *(part for part in full if part not in PLACES)] if full[0] == "oodbench" else full


def _files(value: type | FunctionType) -> list[Path]:
    """Return the files in which the code of a class or function stands; none for code of a notebook."""
    names = {function.__code__.co_filename for function in _functions(value)} - {GENERATED}
    if not names:  # a class without methods of its own
        names = {getattr(sys.modules.get(value.__module__ or ""), "__file__", None) or GENERATED}
    return sorted(Path(name).resolve() for name in names if Path(name).is_file())


def _functions(value: type | FunctionType) -> list[FunctionType]:
    """Return the functions that were written in the body of a class; or a function by itself."""
    held = vars(value).values() if isinstance(value, type) else [value]
    return [function for one in held for function in _unwrapped(one) if function.__module__ == value.__module__]


def _unwrapped(attribute: object) -> list[FunctionType]:
    """Return the functions behind a method, a property, or what a decorator made of one."""
    if isinstance(attribute, property):
        inner: list[object] = [attribute.fget, attribute.fset, attribute.fdel]
    else:
        inner = [getattr(attribute, "func", attribute)] if isinstance(attribute, cached_property) else [attribute]
    inner = [one.__func__ if isinstance(one, classmethod | staticmethod) else one for one in inner]
    functions = [inspect.unwrap(one) for one in inner if callable(one)]
    return [function for function in functions if isinstance(function, FunctionType)]


def _closure(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Return the variables of enclosing functions that a function uses, as far as they are set."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # not set yet
            if name != "__class__":
                yield name, cell.cell_contents


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _constants(code: CodeType) -> list[Any]:
    """Return the constants of a function's code, without its docstring, which comes first."""
    flag = getattr(inspect, "CO_HAS_DOCSTRING", None)  # before Python 3.14, None came first where there was none
    documented = isinstance(next(iter(code.co_consts), None), str) and (flag is None or code.co_flags & flag)
    constants = (None, *code.co_consts[1:]) if documented else code.co_consts
    return [_plain(constant) for constant in constants if not isinstance(constant, CodeType)]


def _plain(value: object) -> Any:
    """Return a value in a form that JSON keeps; of what is no number, text or container, the type alone."""
    if isinstance(value, dict):
        return [[_plain(key), _plain(one)] for key, one in value.items()]
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, set | frozenset):
        return sorted(map(ascii, value))
    return ascii(value) if isinstance(value, PLAIN) else f"{type(value).__module__}.{type(value).__qualname__}"
