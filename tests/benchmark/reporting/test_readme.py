"""The table in the README beside the leaderboard's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from oodbench.benchmark.reporting import leaderboard
from oodbench.benchmark.reporting.tables import readme_table
from oodbench.benchmark.results.store import Store
from tests.benchmark.made_up import row
from tests.benchmark.reporting.test_page import summary
from tests.conftest import REPOSITORY

ROWS = row("vae", [0.9, 0.8]) + row("ae", [0.7, 0.9], changes={"epochs": 3}) + row("knn", [0.7, 0.9])[:1]
MARKED = "# Mine\r\n<!-- headline -->\n<!-- /headline -->\nrest"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    store = Store.at(None)
    for one in ROWS:
        store.write(one)
    return store


def write(text: str, path: str = "README.md") -> None:
    Path(path).write_text(text, encoding="utf-8", newline="")


def read(path: str = "README.md") -> str:
    return Path(path).read_bytes().decode()


def test_it_has_the_ranked_detectors_alone() -> None:
    caption, _, header, _, *rows = readme_table(summary(ROWS)).splitlines()
    assert caption == "**mnist**"
    assert [cell.strip() for cell in header.split("|")[2:-2]] == ["detector", "AUROC", "rank", "fit"]
    assert [[cell.strip() for cell in line.split("|")[1:-2]] for line in rows] == [
        ["1", "vae", "0.850", "1.00", "10 s"]
    ]


def test_it_has_the_benchmark_s_datasets_alone() -> None:
    own = [row(name, [0.9], data) for name in ("a", "b") for data in ("mnist", "cifar10")]
    assert readme_table(summary(*own)) == readme_table(summary(*own, row("a", [0.8], "digits")))


def test_it_is_written_between_the_markers_and_checked(store: Store) -> None:
    write(MARKED)
    leaderboard.update(store)
    table = readme_table(summary(ROWS))
    assert read() == f"# Mine\r\n<!-- headline -->\n{table}\n<!-- /headline -->\nrest"
    assert leaderboard.check(store) == []
    write(read().replace("0.850", "0.999"))
    assert leaderboard.check(store) == ["README.md does not show the leaderboard's table between its headline markers"]


@pytest.mark.parametrize(
    "text", ["# Mine", "<!-- headline -->", "<!-- /headline --><!-- headline -->", MARKED + MARKED], ids=len
)
def test_a_readme_without_a_pair_of_markers_is_left_alone(store: Store, text: str) -> None:
    write(text)
    leaderboard.update(store)
    assert read() == text
    assert leaderboard.check(store) == []


def test_only_the_default_leaderboard_has_a_readme_beside_it(store: Store) -> None:
    write(MARKED)
    Path("elsewhere").mkdir()
    write(MARKED, "elsewhere/README.md")
    for other in (Store.at(Path("elsewhere/run")), Store.at(Path("run")), Store.at(None, "memae")):
        for one in row("vae", [0.9], protocol=other.protocol):
            other.write(one)
        leaderboard.update(other)
    assert read() == read("elsewhere/README.md") == MARKED


def test_a_link_is_not_followed(store: Store, tmp_path: Path) -> None:
    Path("other").mkdir()
    write(MARKED, "other/README.md")
    Path("README.md").symlink_to(tmp_path / "other" / "README.md")
    leaderboard.update(store)
    assert read("other/README.md") == MARKED
    assert Path("README.md").is_symlink()


@pytest.mark.parametrize("protocol", ["deep-svdd", "memae"])
def test_the_committed_leaderboard_and_readme_are_those_of_the_committed_results(
    protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    assert leaderboard.check(Store.at(None, protocol)) == []
