from __future__ import annotations

from pathlib import Path

import pytest

from oodbench.benchmark.declared import Declarations, UnreadableError, summary

PARENTS = """
class Root:
    def sample(self): ...

class Parent(Root):
    shape = (1, 2, 3)

    def sample(self): ...
"""
CHILDREN = '''
@register("b")
@other(1)
class Second(Parent, Outside):
    """What ``it`` is.

    More.
    """

@register("a")
class First(Root):
    shape = (1,) + (2, 3)

@register_family("c")
def third(argument):
    """Any of them."""

class Unnamed(Root): ...
'''


@pytest.fixture
def declarations(tmp_path: Path) -> Declarations:
    (tmp_path / "parents.py").write_text(PARENTS, encoding="utf-8")
    (tmp_path / "children.py").write_text(CHILDREN, encoding="utf-8")
    return Declarations(tmp_path, "Root")


def test_what_is_registered(declarations: Declarations) -> None:
    found = declarations.registered("register")
    assert list(found) == ["a", "b"]
    assert [summary(node) for node in found.values()] == ["", "What it is."]
    assert {name: summary(node) for name, node in declarations.registered("register_family").items()} == {
        "c": "Any of them."
    }


def test_methods_and_attributes_are_inherited_but_for_the_roots(declarations: Declarations) -> None:
    first, second = declarations.registered("register").values()
    assert declarations.has_method(second, "sample")
    assert not declarations.has_method(first, "sample")
    assert declarations.attribute(second, "shape") == (1, 2, 3)


@pytest.mark.parametrize("text", ["class First: ...", '@register("a")\nclass Other(Root): ...'])
def test_what_occurs_twice_cannot_be_read(declarations: Declarations, text: str) -> None:
    (declarations.folder / "twice.py").write_text(text, encoding="utf-8")
    with pytest.raises(UnreadableError, match="occurs twice"):
        declarations.registered("register")


def test_what_is_not_written_out_cannot_be_read(declarations: Declarations) -> None:
    first, second = declarations.registered("register").values()
    with pytest.raises(UnreadableError, match=r"\(1,\) \+ \(2, 3\)"):
        declarations.attribute(first, "shape")
    with pytest.raises(UnreadableError, match="class_names"):
        declarations.attribute(second, "class_names")
