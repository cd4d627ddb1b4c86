"""What the built-in plugins declare, read from their source: to import them would be to import torch."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

BUILT_IN = "built in"
"""Where the plugins of our own folders come from."""
Definition = ast.ClassDef | ast.FunctionDef


class UnreadableError(ValueError):
    """Something is declared in a way that only an import can tell."""


class Declarations:
    """The classes and functions at the top level of a folder's modules.

    Parameters
    ----------
    folder : Path
        Holds the modules.
    root : str
        Name of the class in there from which all plugins derive; what it has itself does not count.
    """

    def __init__(self, folder: Path, root: str) -> None:
        self.folder = folder
        self.root = root

    @cached_property
    def definitions(self) -> dict[str, Definition]:
        """All classes and decorated functions by name."""
        modules = [ast.parse(path.read_text(encoding="utf-8")) for path in sorted(self.folder.glob("*.py"))]
        nodes = [node for module in modules for node in module.body if isinstance(node, Definition)]
        return _unique((node.name, node) for node in nodes if isinstance(node, ast.ClassDef) or node.decorator_list)

    def registered(self, decorator: str) -> dict[str, Definition]:
        """Give what is marked with ``@decorator("name")``, by name, sorted.

        Raises
        ------
        UnreadableError
            A name, or a class's, occurs twice.
        """
        marked = [
            (_value(call.args[0]), node)
            for node in self.definitions.values()
            for call in node.decorator_list
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == decorator
        ]
        return dict(sorted(_unique(marked).items()))

    def has_method(self, node: Definition, name: str) -> bool:
        """Say whether a class, or one that it derives from, has a method."""
        bodies = [statement for cls in self._lineage(node) for statement in cls.body]
        return any(isinstance(statement, ast.FunctionDef) and statement.name == name for statement in bodies)

    def attribute(self, node: Definition, name: str) -> Any:
        """Give the value of an attribute of a class, or of one that it derives from.

        Raises
        ------
        UnreadableError
            It is not written as a literal.
        """
        for statement in (statement for cls in self._lineage(node) for statement in cls.body):
            targets = statement.targets if isinstance(statement, ast.Assign) else []
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                assert isinstance(statement, ast.Assign)
                return _value(statement.value)
        raise UnreadableError(name)

    def _lineage(self, node: Definition) -> Iterator[ast.ClassDef]:
        """Give a class and those of the folder that it derives from, up to the root."""
        if isinstance(node, ast.ClassDef) and node.name != self.root:
            yield node
            for base in node.bases:
                if isinstance(base, ast.Name) and base.id in self.definitions:
                    yield from self._lineage(self.definitions[base.id])


def _unique(named: Iterable[tuple[str, Definition]]) -> dict[str, Definition]:
    found: dict[str, Definition] = {}
    for name, node in named:
        if name in found:
            raise UnreadableError(f"{name} occurs twice")
        found[name] = node
    return found


def summary(node: Definition) -> str:
    """Give the first line of what documents a class or function."""
    return plain_first_line(ast.get_docstring(node))


def plain_first_line(docstring: str | None) -> str:
    """Give the first line of a docstring as plain text."""
    return (docstring or "").partition("\n")[0].replace("``", "")


def _value(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise UnreadableError(ast.unparse(node)) from error
