from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import oodbench.detectors
from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.plugins import Broken, Plugins
from oodbench.detectors.base import can_reconstruct, can_sample

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


def write(path: Path, name: str) -> Path:
    path.write_text(PLUGIN.replace("NAME", name))
    return path


def test_built_in() -> None:
    found = Plugins.load().detectors
    assert {"ae", "vae", "memae", "memvae"} <= set(found.plugins)
    assert found.broken == []
    assert found.plugins["memae"].source == "built in"
    assert found.plugins["memae"].summary.startswith("Autoencoder that decodes")


def test_a_built_in_module_that_cannot_be_imported_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half_done.py").write_text("import no_such_module")
    monkeypatch.setattr(oodbench.detectors, "__path__", [*oodbench.detectors.__path__, str(tmp_path)])
    plugins = Plugins.load()
    assert "ae" in plugins.detectors.plugins
    cause = "ModuleNotFoundError: No module named 'no_such_module'"
    assert plugins.broken == [Broken("built in, oodbench.detectors.half_done", cause)]


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
        ("import time\ntime.sleep(60)", "TimeoutError: importing it took longer than 0.2 s"),
        ("while True: pass", "TimeoutError: importing it took longer than 0.2 s"),
        (PLUGIN.replace("NAME", "vae"), "the name 'vae' is already taken by a detector from built in"),
        ("from oodbench.detectors import Detector", "it holds no detector and no dataset"),
    ],
    ids=["missing import", "exit", "syntax", "sleeps", "loops", "taken name", "nothing in it"],
)
def test_a_local_file_that_cannot_be_used_is_named_with_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, cause: str
) -> None:
    monkeypatch.setattr("oodbench.benchmark.plugins.SECONDS_TO_IMPORT", 0.2)
    (tmp_path / "broken.py").write_text(content)
    plugins = Plugins.load([tmp_path / "broken.py", write(tmp_path / "whole.py", "whole")])
    assert {"vae", "whole"} <= set(plugins.detectors.plugins)
    (broken,) = plugins.broken
    assert broken.source == f"file {tmp_path / 'broken.py'}"
    assert broken.cause.startswith(cause)


def test_entry_points(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One that works is found, one that raises is reported, and the rest goes on."""
    write(tmp_path / "oodbench_test_plugin.py", "from-package")
    monkeypatch.syspath_prepend(str(tmp_path))
    group = "oodbench.detectors"
    points = [EntryPoint("a", "oodbench_test_plugin", group), EntryPoint("b", "no_such_package:Detector", group)]
    monkeypatch.setattr(
        "importlib.metadata.entry_points", lambda group: points if group == "oodbench.detectors" else []
    )
    found = Plugins.load().detectors
    assert {"ae", "from-package"} <= set(found.plugins)
    assert [broken.source for broken in found.broken] == ["entry point b"]
    assert "no_such_package" in found.broken[0].cause


def test_a_capability_is_a_method_that_is_there(plugins: Plugins, tmp_path: Path) -> None:
    mine = Plugins.load([write(tmp_path / "capable.py", "mine")]).detectors["mine"]
    assert (can_sample(mine), can_reconstruct(mine)) == (False, False)
    assert all(can_sample(plugins.detectors[name]) for name in ("ae", "vae", "memae", "memvae"))
    assert all(can_reconstruct(plugins.detectors[name]) for name in ("ae", "vae", "memae", "memvae"))
