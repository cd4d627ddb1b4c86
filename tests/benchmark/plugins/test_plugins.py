from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import oodbench.datasets
import oodbench.detectors
from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.plugins import Broken, Plugins, Registry
from oodbench.datasets import MNIST, Dataset
from oodbench.detectors import register
from oodbench.detectors.base import can_reconstruct, can_sample
from oodbench.detectors.knn import KNN

PLUGIN = '''
"""A detector for the tests."""
import torch
from oodbench.detectors import Detector, register

@register("NAME")
class Mine(Detector):
    """Distance to the mean image."""

    def fit(self, images, *, monitor=None):
        self.mean_ = images.mean(0)
        return self

    def score(self, images):
        return (images - self.mean_).square().flatten(1).sum(1)
'''


FAMILY = (
    PLUGIN
    + '''
from oodbench.detectors import register_family

@register_family("test-scaled", members=("2", "3", "none"))
def scaled(argument):
    """The same, times a number."""
    return type("Scaled", (Mine,), {"name": f"test-scaled:{int(argument)}"})

@register_family("test-absent", members=("x", "y"), missing=lambda: "The weights of test-absent are not here.")
def absent(argument):
    """Needs weights."""
    raise RuntimeError("not here")

@register_family("test-on", members=("NAME",), wraps=True)
def on(base):
    """On top of another."""
    return type("On", (base,), {"name": f"test-on:{base.name}"})
'''
)


def write(path: Path, name: str) -> Path:
    path.write_text(PLUGIN.replace("NAME", name))
    return path


def apart(program: str, *arguments: object) -> str:
    """Run a program in a process of its own and return what it prints."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("package", [oodbench.detectors, oodbench.datasets], ids=["detectors", "datasets"])
def test_every_file_is_of_its_name_or_a_family(package: ModuleType) -> None:
    plugins = Plugins.load()
    registry: Registry[Any] = plugins.detectors if package is oodbench.detectors else plugins.datasets
    stems = {path.stem.replace("_", "-") for path in Path(package.__path__[0]).glob("[!_]*.py")} - {"base"}
    names, families = registry.names(), registry.families()
    assert {*names, *families} == stems
    assert names == list(registry.plugins)
    assert (registry.names(), registry.families()) == (names, families)  # as before they were imported
    assert registry.broken == []


def test_built_in() -> None:
    found = Plugins.load().detectors
    assert {"ae", "vae", "memae", "memvae"} <= set(found.plugins)
    assert found.plugins["memae"].source == "built in"
    assert found.plugins["memae"].summary.startswith("Autoencoder that decodes")


def test_only_the_module_that_is_asked_for_is_imported() -> None:
    program = (
        "import sys\n"
        "from oodbench.benchmark.plugins import Plugins\n"
        "print(Plugins.load().detectors[sys.argv[1]].__name__)\n"
        "print({'oodbench.detectors.geotrans', 'torchvision'} & set(sys.modules))\n"
    )
    assert apart(program, "KNN") == "KNN\nset()\n"


def test_unknown_names_are_answered_without_torch() -> None:
    program = (
        "import sys\n"
        "from oodbench.benchmark.plugins import Plugins\n"
        "from oodbench.benchmark.trials import plan\n"
        "for given in ({'detectors': ['memvea']}, {'datasets': ['mnsit']}, {'classes': ['x']}, {'protocol': 'x'}):\n"
        "    try:\n"
        "        plan(Plugins.load(), **given)\n"
        "    except ValueError as error:\n"
        "        print(error)\n"
        "print('torch' in sys.modules)\n"
    )
    *errors, torch = apart(program).splitlines()
    assert [error.split(":")[0] for error in errors] == [
        "Unknown detector 'memvea'",
        "Unknown dataset 'mnsit'",
        "Unknown class of mnist 'x'",
        "Unknown protocol 'x'",
    ]
    assert torch == "False"


def test_members_of_families_stand_among_the_others_where_they_can_run(tmp_path: Path) -> None:
    path = tmp_path / "families.py"
    path.write_text(FAMILY.replace("NAME", "test-mine"))
    found = Plugins.load([path]).detectors
    ours = {"test-mine", "test-scaled:2", "test-scaled:3", "test-on:test-mine"}
    assert {name for name in found.available() if name.startswith("test-")} == ours
    assert found.missing() == ["The weights of test-absent are not here."]
    assert {broken.source: broken.cause.partition(":")[0] for broken in found.broken if str(path) in broken.source} == {
        f"file {path}, test-scaled:none": "invalid literal for int() with base 10"
    }
    listed = {entry.name: entry.samples for entry in found.entries() if entry.name.startswith("test-")}
    families = dict.fromkeys(("test-scaled:NAME", "test-absent:NAME", "test-on:NAME"))
    assert listed == {**dict.fromkeys(ours, False), "test-absent:x": None, "test-absent:y": None, **families}
    with pytest.raises(UsageError, match="Unknown detector 'test-mien': did you mean test-mine"):
        found["test-on:test-mien"]


def test_members_of_built_in_families_are_known_without_torch() -> None:
    program = (
        "import sys\n"
        "from oodbench.benchmark.plugins import Plugins\n"
        "print(*Plugins.load().detectors.members())\n"
        "print('torch' in sys.modules)\n"
    )
    members, torch = apart(program).splitlines()
    assert {"typical:ae", "typical:pca"} <= set(members.split())
    assert torch == "False"


def test_names_match_without_regard_to_case(plugins: Plugins) -> None:
    assert plugins.detectors["KNN"] is plugins.detectors["knn"] is KNN
    assert plugins.datasets["Mnist"] is MNIST
    plugins.check_names(detectors=["KNN", "PyOD:hbos"], datasets=["DIGITS", "FOLDER:x"])
    with pytest.raises(UsageError, match="Unknown detector 'pyod': did you mean pyod:…"):
        plugins.check_names(detectors=["pyod"])
    with pytest.raises(UsageError, match="Unknown dataset 'mnist:3': did you mean mnist"):
        plugins.check_names(datasets=["mnist:3"])


def test_a_built_in_module_that_cannot_be_imported_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half_done.py").write_text("import no_such_module")
    monkeypatch.setattr(oodbench.detectors, "__path__", [*oodbench.detectors.__path__, str(tmp_path)])
    plugins = Plugins.load()
    cause = "ModuleNotFoundError: No module named 'no_such_module'"
    where = "built in, oodbench.detectors.half_done"
    with pytest.raises(UsageError, match=f"The detector 'half-done' cannot be loaded .{where}.: {cause}"):
        plugins.detectors["half-done"]
    assert "ae" in plugins.detectors.plugins
    assert plugins.broken == [Broken(where, cause)]


def test_local_file(tmp_path: Path) -> None:
    path = write(tmp_path / "my-detector.py", "mine")
    plugins = Plugins.load([path])
    assert plugins.detectors["mine"].__name__ == "Mine"
    assert plugins.detectors.plugins["mine"].source == f"file {path}"
    assert "mine" not in Plugins.load().detectors.plugins
    assert Plugins.load([path]).detectors["mine"] is plugins.detectors["mine"]


def test_local_file_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no Python file .*nothing.py"):
        Plugins.load([tmp_path / "nothing.py"])


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("this is no Python", "SyntaxError"),
        (PLUGIN.replace("NAME", "VAE"), "the name 'VAE' is already taken by a detector from built in"),
        ("from oodbench.detectors import Detector", "it holds no detector and no dataset"),
    ],
    ids=["missing import", "exit", "syntax", "taken name", "nothing in it"],
)
def test_a_local_file_that_cannot_be_used_is_named_with_the_cause(tmp_path: Path, content: str, cause: str) -> None:
    (tmp_path / "broken.py").write_text(content)
    plugins = Plugins.load([tmp_path / "broken.py", write(tmp_path / "whole.py", "whole")])
    assert {"vae", "whole"} <= set(plugins.detectors.plugins)
    (broken,) = plugins.broken
    assert broken.source == f"file {tmp_path / 'broken.py'}"
    assert broken.cause.startswith(cause)
    with pytest.raises(UsageError, match=r"file .*broken.py cannot be used: "):
        plugins.resolve([tmp_path / "broken.py"])
    with pytest.raises(UsageError, match=r"There is no detector 'mine', and file .*broken.py cannot be used: "):
        plugins.check_names(detectors=["mine"])


def test_a_file_stands_for_its_detectors(tmp_path: Path) -> None:
    path = write(tmp_path / "two.py", "first")
    path.write_text(path.read_text() + PLUGIN.replace("NAME", "second").replace("Mine", "Other"))
    plugins = Plugins.load()
    assert plugins.resolve(["KNN", str(path)]) == ["KNN", "first", "second"]
    assert plugins.files == (path,)
    assert plugins.detectors["second"].__name__ == "Other"
    with pytest.raises(UsageError, match=r"file .*two.py holds no dataset: put @register"):
        plugins.resolve([str(path)], "dataset")
    with pytest.raises(UsageError, match=r"There is no Python file nowhere.py"):
        plugins.resolve(["nowhere.py"])


def test_classes_of_this_session() -> None:
    class MyKNN(KNN):
        """Nearest neighbours of my own."""

    @register("named")
    class Other(KNN):
        pass

    class MyDigits(Dataset):
        pass

    plugins = Plugins.load(classes=[MyKNN])
    assert plugins.resolve([Other, "ae", KNN]) == ["named", "ae", "knn"]
    assert plugins.resolve([MyDigits], "dataset") == ["my-digits"]
    assert plugins.classes == (MyKNN, Other, MyDigits)  # KNN can be imported
    assert plugins.detectors["my-knn"] is MyKNN
    assert plugins.detectors.plugins["my-knn"].source == "this session"
    assert {"my-knn", "named", "knn"} <= set(plugins.detectors.names())
    assert "my-knn" not in Plugins.load().detectors.names()


def test_classes_that_cannot_be_used() -> None:
    class AE(KNN):
        pass

    with pytest.raises(UsageError, match=r"AE: the name 'ae' is already taken by a detector from built in; put @reg"):
        Plugins.load(classes=[AE])
    with pytest.raises(UsageError, match=r"KNN\(\) is no subclass of Detector or Dataset"):
        Plugins.load(classes=[KNN()])
    with pytest.raises(UsageError, match=r"'int'. is no subclass of Detector or Dataset"):
        Plugins.load(classes=[int])


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Install a package with two detectors of which one is declared, and one that cannot be imported."""
    path = write(tmp_path / "oodbench_test_plugin.py", "from-package")
    path.write_text(path.read_text() + PLUGIN.replace("NAME", "undeclared").replace("Mine", "Other"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "oodbench_test_plugin", raising=False)
    group = "oodbench.detectors"
    points = [
        EntryPoint("from-package", "oodbench_test_plugin", group),
        EntryPoint("broken", "no_such_package:Detector", group),
        EntryPoint("mean", "oodbench_test_plugin:Mine", group),
    ]
    monkeypatch.setattr(
        "importlib.metadata.entry_points", lambda group: points if group == "oodbench.detectors" else []
    )


@pytest.mark.usefixtures("packages")
def test_entry_points() -> None:
    """One that works is found, one that raises is reported, and the rest goes on."""
    found = Plugins.load().detectors
    assert {"ae", "from-package", "broken"} <= set(found.names())
    assert "oodbench_test_plugin" not in sys.modules
    assert found["From-Package"].__name__ == "Mine"
    assert {"ae", "from-package", "undeclared"} <= set(found.plugins)
    assert [broken.source for broken in found.broken] == ["entry point broken"]
    assert "no_such_package" in found.broken[0].cause
    assert found.plugins["mean"].source == "built in"
    with pytest.raises(
        UsageError, match=r"The detector 'broken' cannot be loaded .entry point broken.: ModuleNotFound"
    ):
        found["broken"]


@pytest.mark.usefixtures("packages")
def test_what_a_package_does_not_declare_is_found_too(tmp_path: Path) -> None:
    plugins = Plugins.load()
    plugins.check_names(detectors=["undeclared"])
    assert plugins.detectors["undeclared"].__name__ == "Other"
    with pytest.raises(UsageError, match="Unknown detector 'undeclard': did you mean undeclared"):
        plugins.check_names(detectors=["undeclard"])
    files = Plugins.load([write(tmp_path / "late.py", "from-package")])  # the package comes before the file
    assert files.detectors["from-package"].__module__ == "oodbench_test_plugin"
    assert "already taken by a detector from entry point from-package" in files.broken[0].cause


def test_a_capability_is_a_method_that_is_there(plugins: Plugins, tmp_path: Path) -> None:
    mine = Plugins.load([write(tmp_path / "capable.py", "mine")]).detectors["mine"]
    assert (can_sample(mine), can_reconstruct(mine)) == (False, False)
    assert all(can_sample(plugins.detectors[name]) for name in ("ae", "vae", "memae", "memvae"))
    assert all(can_reconstruct(plugins.detectors[name]) for name in ("ae", "vae", "memae", "memvae"))
