from __future__ import annotations

from pathlib import Path

import pytest

from oodbench.benchmark.cli.listing import listing, tables


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def rows(title: str) -> dict[str, list[str]]:
    return {name: rest for name, *rest in listing()[title]}


def test_what_there_is_and_what_it_can_do() -> None:
    detectors, datasets = rows("Detectors"), rows("Datasets")
    assert detectors["vae"][1:] == ["yes", "yes", "built in"]
    assert detectors["knn"][1:] == ["—", "—", "built in"]
    assert detectors["pyod:NAME"][1:] == ["", "", "built in"]
    assert datasets["cifar10"][1:] == ["32×32×3", "10", "built in"]
    assert datasets["folder:PATH"][1:] == ["", "", "built in"]
    assert [table.title for table in tables(listing())] == ["Detectors", "Datasets"]


def test_what_cannot_be_loaded_is_named_with_the_cause(tmp_path: Path) -> None:
    path = tmp_path / "cannot.py"
    path.write_text("import no_such_module_anywhere\n", encoding="utf-8")
    found = listing([path])
    ((source, cause),) = found["Could not be loaded"]
    assert source == f"file {path}"
    assert "no_such_module_anywhere" in cause
    assert tables(found)[-1].title == "Could not be loaded"
