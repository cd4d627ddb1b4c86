from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from oodbench.benchmark.plugins import Entry, Plugins
from oodbench.benchmark.plugins.modules import load_file
from oodbench.detectors.knn import KNN

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
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "oodbench"


def detectors(*files: Path) -> dict[str, Entry]:
    return {entry.name: entry for entry in Plugins.load(files).detectors.entries()}


def test_what_there_is_and_what_it_can_do() -> None:
    for _ in range(2):  # made, then read
        found = detectors()
        assert (found["vae"].samples, found["vae"].reconstructs) == (True, True)
        assert (found["knn"].samples, found["knn"].reconstructs) == (False, False)
        assert found["knn"].source == "built in"
        assert found["pyod:NAME"].samples is None
        datasets = {entry.name: entry for entry in Plugins.load().datasets.entries()}
        assert (datasets["cifar10"].shape, datasets["cifar10"].classes) == ((3, 32, 32), 10)
        assert datasets["folder:PATH"].summary.startswith("Your own images")


def test_the_second_time_torch_is_not_imported(tmp_path: Path) -> None:
    path = tmp_path / "listed.py"
    path.write_text(PLUGIN, encoding="utf-8")
    program = (
        "import sys\n"
        "from oodbench.benchmark.plugins import Plugins\n"
        "plugins = Plugins.load(sys.argv[1:])\n"
        "print(len(plugins.detectors.entries()), plugins.datasets.entries() != [], plugins.broken)\n"
        "print('torch' in sys.modules)\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    first, second = (
        subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ).stdout for _ in range(2)
    )
    assert first == f"{len(detectors()) + 1} True []\nTrue\n"
    assert second == first.replace("\nTrue", "\nFalse")


def test_a_change_of_a_module_or_of_a_helper_is_seen(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "listed.py"
    path.write_text(PLUGIN.replace("SUMMARY", "One thing."), encoding="utf-8")
    assert detectors(path)["test-listed"].summary == "One thing."
    assert len(list(cache.glob("detectors-*"))) == 1
    del sys.modules[load_file(path).__name__]
    path.write_text(PLUGIN.replace("SUMMARY", "Another."), encoding="utf-8")
    assert detectors(path)["test-listed"].summary == "Another."
    before = list(cache.glob("detectors-*"))
    assert len(before) == 1  # the outdated one is gone
    (tmp_path / "helper.py").touch()
    assert "test-listed" in detectors(path)
    assert list(cache.glob("detectors-*")) != before
    assert "test-listed" not in detectors()


@pytest.mark.parametrize("content", ["import no_such_module_anywhere", "empty = True"])
def test_what_cannot_be_used_is_looked_at_every_time(tmp_path: Path, cache: Path, content: str) -> None:
    path = tmp_path / "cannot.py"
    path.write_text(content, encoding="utf-8")
    for _ in range(2):
        plugins = Plugins.load([path])
        assert plugins.detectors.entries() != []
        assert [broken.source for broken in plugins.broken] == [f"file {path}"]
    assert not list(cache.glob("*"))


def test_classes_of_this_session_are_listed_but_not_kept(cache: Path) -> None:
    class Mine(KNN):
        """My own."""

    (entry,) = [found for found in Plugins.load(classes=[Mine]).detectors.entries() if found.name == "mine"]
    assert (entry.summary, entry.source) == ("My own.", "this session")
    assert not list(cache.glob("*"))


def test_a_cache_that_cannot_be_read_or_written_is_done_without(cache: Path) -> None:
    detectors()
    (kept,) = cache.glob("*")
    kept.write_text("[{}]", encoding="utf-8")
    assert "knn" in detectors()
    kept.unlink()
    cache.rmdir()
    cache.touch()
    assert "knn" in detectors()
