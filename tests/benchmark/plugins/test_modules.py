from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from oodbench.benchmark.plugins import load_file


def folder(path: Path, **files: str) -> Path:
    """Write Python files into a new folder."""
    path.mkdir()
    for name, text in files.items():
        (path / f"{name}.py").write_text(text, encoding="utf-8")
    return path


def test_files_and_helpers_of_one_name_in_two_folders_keep_apart(tmp_path: Path) -> None:
    loaded = [
        load_file(
            folder(tmp_path / name, plugin=f"import helper\nname = {name!r}", helper=f"name = {name!r}") / "plugin.py"
        )
        for name in ("a", "b")
    ]
    assert [module.name for module in loaded] == [module.helper.name for module in loaded] == ["a", "b"]
    assert load_file(tmp_path / "a" / "plugin.py") is loaded[0]


@pytest.mark.parametrize(
    "statement",
    [
        "import helper",
        "from . import helper",
        "from helper import value, helper",
        "from .helper import value, helper",
        "import helper.deep as helper",
        "from helper import deep as helper",
    ],
)
def test_helpers_are_imported_as_in_a_script_or_a_package(tmp_path: Path, statement: str) -> None:
    here = folder(tmp_path / "here", plugin=statement, other="value = 3")
    text = "import sys\nfrom other import value\nhelper = sys.modules[__name__]\n"
    if "deep" in statement:
        folder(here / "helper", __init__="", deep=text)
    else:
        (here / "helper.py").write_text(text, encoding="utf-8")
    helper = load_file(here / "plugin.py").helper
    assert helper.value == 3
    assert inspect.getsource(helper) == text
    assert inspect.getmodule(helper) is helper


def test_helpers_are_found_when_a_function_imports_them(tmp_path: Path) -> None:
    here = folder(
        tmp_path / "here", plugin="def value():\n    import helper\n    return helper.value", helper="value = 3"
    )
    assert load_file(here / "plugin.py").value() == 3


def test_the_standard_library_and_a_plugin_of_an_installed_packages_name(tmp_path: Path) -> None:
    here = folder(tmp_path / "here", numpy="import numpy, random\nzeros, draw = numpy.zeros, random.random", random="")
    module = load_file(here / "numpy.py")
    assert module.zeros(2).tolist() == [0, 0]
    assert 0 <= module.draw() < 1


def test_a_file_with_any_name(tmp_path: Path) -> None:
    here = folder(tmp_path / "my folder", **{"my-detector.v2": "class Mine: ..."})
    module = load_file(here / "my-detector.v2.py")
    assert inspect.getsource(module.Mine) == "class Mine: ...\n"


def test_what_cannot_be_imported_is_imported_anew(tmp_path: Path) -> None:
    here = folder(tmp_path / "here", plugin="import helper\nraise KeyError", helper="")
    with pytest.raises(KeyError):
        load_file(here / "plugin.py")
    (here / "plugin.py").write_text("import helper\nvalue = 3", encoding="utf-8")
    assert load_file(here / "plugin.py").value == 3
