from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from oodbench.benchmark.cli import listing as module
from oodbench.benchmark.cli.listing import Listing, listing, tables
from oodbench.benchmark.declared import UnreadableError
from oodbench.benchmark.plugins import Plugins

PLUGIN = '''
from oodbench.detectors import Detector, register

@register("test-listed")
class Listed(Detector):
    """SUMMARY"""

    def fit(self, images, *, monitor=None):
        return self

    def score(self, images):
        return images.flatten(1).sum(1)
'''


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "user_cache_path", lambda _: tmp_path / "cache")
    return tmp_path / "cache"


def rows(files: list[Path], title: str = "Detectors") -> dict[str, list[str]]:
    return {name: rest for name, *rest in listing(files)[title]}


def test_what_there_is_and_what_it_can_do() -> None:
    detectors, datasets = rows([]), rows([], "Datasets")
    assert detectors["vae"][1:] == ["yes", "yes", "built in"]
    assert detectors["knn"][1:] == ["—", "—", "built in"]
    assert datasets["cifar10"][1:] == ["32×32×3", "10", "built in"]
    assert "pyod:NAME" in detectors
    assert "folder:PATH" in datasets
    assert [table.title for table in tables(listing())] == ["Detectors", "Datasets"]


def listed_apart(cache: Path, *files: Path) -> str:
    """List in a process of its own: how many detectors, and whether it imported torch."""
    program = (
        "import sys, pathlib\n"
        "from oodbench.benchmark import listing\n"
        "cache, *files = map(pathlib.Path, sys.argv[1:])\n"
        "listing.user_cache_path = lambda _: cache\n"
        "print(len(listing.listing(files)['Detectors']), 'torch' in sys.modules)\n"
    )
    command = [sys.executable, "-c", program, str(cache), *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ).stdout


def test_built_in_plugins_are_listed_without_torch(cache: Path, plugins: Plugins) -> None:
    number = len(plugins.detectors.plugins) + len(plugins.detectors.families)
    assert listed_apart(cache) == f"{number} False\n"
    assert not cache.exists()


def test_their_source_says_what_an_import_would(plugins: Plugins) -> None:
    assert module._read() == module._look(plugins)


def test_what_the_source_does_not_say_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    read = module._read()

    def unreadable() -> Listing:
        raise UnreadableError

    monkeypatch.setattr(module, "_read", unreadable)
    assert listing() == read


def test_the_second_time_torch_is_not_imported_for_others(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "listed.py"
    path.write_text(PLUGIN, encoding="utf-8")
    first, second = (listed_apart(cache, path) for _ in range(2))
    assert first.endswith("True\n")
    assert second == first.replace("True", "False")


def test_a_change_of_a_module_is_seen(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "listed.py"
    path.write_text(PLUGIN.replace("SUMMARY", "One thing."), encoding="utf-8")
    assert rows([path])["test-listed"][0] == "One thing."
    assert len(list(cache.glob("*"))) == 1
    del sys.modules["oodbench_plugin_listed"]
    path.write_text(PLUGIN.replace("SUMMARY", "Another."), encoding="utf-8")
    assert rows([path])["test-listed"][0] == "Another."
    assert len(list(cache.glob("*"))) == 1  # the outdated one is gone
    assert "test-listed" not in rows([])


def test_what_cannot_be_loaded_is_looked_at_every_time(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "cannot.py"
    path.write_text("import no_such_module_anywhere\n", encoding="utf-8")
    found = listing([path])
    ((source, cause),) = found["Could not be loaded"]
    assert source == f"file {path}"
    assert "no_such_module_anywhere" in cause
    assert tables(found)[-1].title == "Could not be loaded"
    assert not list(cache.glob("*"))
