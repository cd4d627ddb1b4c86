"""Python code in a form that only changes when its meaning may."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

Function = ast.FunctionDef | ast.AsyncFunctionDef
Scope = Function | ast.Lambda
Canonical = Callable[[list[str]], list[str]]
"""From a name in a module with the attributes asked of it, ``["np", "linalg", "norm"]``, to what they stand for."""

REGISTERED: Final = (["oodbench", "register"], ["oodbench", "register_family"])
"""Decorators that give a class its name, which has no part in what it computes."""
NOT_COMPUTED: Final = ("SEARCH", "ABLATIONS", "SCORE_ONLY")
"""Class attributes of `Detector` that tell others what to try; they have no part in a trial."""
IGNORED: Final = ("ctx", "kind", "type_comment", "type_params", "returns", "annotation", "decorator_list")


def normal_form(node: ast.stmt, canonical: Canonical) -> str:
    """Return a statement's syntax tree as JSON: the same on every Python version.

    Left out are positions, comments, docstrings, imports, annotations of functions and of their variables, and
    decorators that register. An imported name is written as what it stands for, however it was imported.

    Parameters
    ----------
    node : ast.stmt
        A statement of a module.
    canonical : callable
        Says what a global name stands for; it is called for each.

    Returns
    -------
    str
    """
    return json.dumps(_Normal(canonical).tree(node, frozenset(), in_class=False))


def has_effect(statement: ast.stmt) -> bool:
    """Return whether a module's statement does more than define, import, document or assign."""
    match statement:
        case ast.Assign(targets=targets):
            return not all(isinstance(part, ast.Name) for target in targets for part in _parts(target))
        case ast.AnnAssign(target=target) | ast.AugAssign(target=target):
            return not isinstance(target, ast.Name)
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return False
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):  # what a file does when it is run as a script
            return False
    return not (isinstance(statement, Function | ast.ClassDef) or _says_nothing(statement))


def bound_names(statement: ast.stmt) -> set[str]:
    """Return the names that a module's statement binds, other than by importing."""
    if isinstance(statement, Function | ast.ClassDef):
        return {statement.name}
    inside = list(ast.walk(statement))
    stored = {node.id for node in inside if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return stored | {node.name for node in inside if isinstance(node, Function | ast.ClassDef)}


def _parts(target: ast.expr) -> Iterator[ast.expr]:
    if isinstance(target, ast.Tuple | ast.List):
        for element in target.elts:
            yield from _parts(element)
    else:
        yield target


def _says_nothing(statement: ast.stmt) -> bool:
    is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return is_text or isinstance(statement, ast.Import | ast.ImportFrom | ast.Pass)


def _locals(scope: Scope) -> frozenset[str]:
    """Return names that are local to a function; where in doubt, a name counts as global."""
    names = {node.arg for node in ast.walk(scope.args) if isinstance(node, ast.arg)}
    shared: set[str] = set()
    pending: list[ast.AST] = list(scope.body) if isinstance(scope, Function) else []
    while pending:
        node = pending.pop()
        if isinstance(node, Function | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Global):
            shared |= set(node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif not isinstance(node, ast.Lambda | ast.comprehension):  # which have scopes of their own
            pending += ast.iter_child_nodes(node)
    return frozenset(names - shared)


class _Normal:
    """Makes trees of lists; what is None or empty is left out, since newer Pythons add such fields."""

    def __init__(self, canonical: Canonical) -> None:
        self.canonical = canonical

    def tree(self, node: ast.AST, local: frozenset[str], *, in_class: bool) -> list[Any]:
        """Return a node as a list: its kind, then pairs of field and value.

        Parameters
        ----------
        node : ast.AST
            Any node.
        local : frozenset of str
            Names that are not global here.
        in_class : bool
            Whether it stands in a class's body, where annotations make fields.
        """
        match node:
            case ast.Constant(value=value):
                return ["Constant", type(value).__name__, ascii(value)]
            case ast.JoinedStr(values=parts):  # Python 3.12 adds empty ones
                kept = [part for part in parts if not (isinstance(part, ast.Constant) and part.value == "")]
                return ["JoinedStr", *(self.tree(part, local, in_class=False) for part in kept)]
            case ast.Name() | ast.Attribute():
                return self._named(node, local)
            case ast.AnnAssign(target=target, annotation=annotation, value=value) if in_class:
                return ["Field", *self._fields({"target": target, "type": annotation, "value": value}, local)]
            case ast.AnnAssign(target=target, value=value):
                return ["Assign", *self._fields({"targets": [target], "value": value}, local)]
        fields = {name: value for name, value in ast.iter_fields(node) if name not in IGNORED}
        body = {"body": fields.pop("body")} if isinstance(node, Scope | ast.ClassDef) else {}
        if isinstance(node, Function | ast.ClassDef):
            fields["decorators"] = [one for one in node.decorator_list if not self._registers(one, local)]
        within = local | _locals(node) if isinstance(node, Scope) else local
        return [
            type(node).__name__,
            *self._fields(fields, local),
            *self._fields(body, within, in_class=isinstance(node, ast.ClassDef)),
        ]

    def _fields(
        self, fields: Mapping[str, Any], local: frozenset[str], *, in_class: bool = False
    ) -> Iterator[list[Any]]:
        for name, value in fields.items():
            if isinstance(value, list):
                kept = [self._value(one, local, in_class) for one in value if not self._left_out(one, in_class)]
                if kept:
                    yield [name, *kept]
            elif value is not None:
                yield [name, self._value(value, local, in_class)]

    def _value(self, value: Any, local: frozenset[str], in_class: bool) -> Any:
        return self.tree(value, local, in_class=in_class) if isinstance(value, ast.AST) else value

    def _left_out(self, node: Any, in_class: bool) -> bool:
        if isinstance(node, ast.AnnAssign | ast.Assign) and in_class:
            [target] = [node.target] if isinstance(node, ast.AnnAssign) else node.targets[:1]
            return isinstance(target, ast.Name) and target.id in NOT_COMPUTED
        if isinstance(node, ast.AnnAssign):
            return node.value is None
        return isinstance(node, ast.stmt) and _says_nothing(node)

    def _named(self, node: ast.Name | ast.Attribute, local: frozenset[str]) -> list[Any]:
        names = _chain(node)
        if names is None:
            assert isinstance(node, ast.Attribute)
            return ["Attribute", node.attr, self.tree(node.value, local, in_class=False)]
        if names[0] in local or not isinstance(node.ctx, ast.Load):
            return ["Name", *names]
        return ["Name", *self.canonical(names)]

    def _registers(self, decorator: ast.expr, local: frozenset[str]) -> bool:
        names = _chain(decorator.func) if isinstance(decorator, ast.Call) else None
        return names is not None and names[0] not in local and self.canonical(names) in REGISTERED


def _chain(node: ast.expr) -> list[str] | None:
    """Return ``["a", "b", "c"]`` for ``a.b.c``; None for an attribute of anything but a name."""
    attributes: list[str] = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    return [node.id, *reversed(attributes)] if isinstance(node, ast.Name) else None
