from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.results.collection import COLUMNS, Results
from oodbench.benchmark.results.store import Store
from tests.benchmark.made_up import result, row

LEADERBOARD = Path(__file__).resolve().parents[3] / "leaderboard"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.at(tmp_path)
    store.write(result(seed=0))
    store.write(result(seed=1))
    return store


@pytest.mark.parametrize(
    "copy",
    [
        "mnist/vae/class-3_seed-0.sync-conflict-1.json",
        "mnist/vae/class-3_seed-0 (1).json",
        "mnist/vae/class-03_seed-0.json",
        "mnist/vae/class-3_seed-2.json",
        "mnist/ae/class-3_seed-0.json",
        "mnist (copy)/vae/class-3_seed-0.json",
        "class-3_seed-0.json",
    ],
)
def test_a_copy_is_named_and_left_out(store: Store, copy: str) -> None:
    (store.results / copy).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(store.results / "mnist/vae/class-3_seed-0.json", store.results / copy)
    results = store.read_all()
    assert results == [result(seed=0), result(seed=1)]
    own = "mnist/vae/class-3_seed-0.json"
    says = f"{store.results / copy} holds the result of another trial, whose file is {own}: delete or rename it."
    assert results.problems == [says]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", r"no result \(Expecting value"),
        ("{half", r"no result \(Expecting property name"),
        ("[1]", r"no result \(it is no JSON object\)"),
        ("{}", r"no result \(it names no schema\)"),
        ('{"schema": "1"}', r"no result \(it names no schema\)"),
        ("[" * 100_000, "no result"),
    ],
)
def test_what_is_no_result_is_named_and_left_out(store: Store, text: str, cause: str) -> None:
    path = store.results / "mnist/vae/class-4_seed-0.json"
    path.write_text(text)
    results = store.read_all()
    assert len(results) == 2
    [problem] = results.problems
    assert problem.startswith(f"{path} is no ")
    assert problem.endswith("): delete it, or run its trial again.")
    assert pd.Series([problem]).str.contains(cause).all()


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ('"auroc": 0.9', '"auroc": 1.5', "auroc: Input should be less than or equal to 1"),
        ('"auroc": 0.9', '"auroc": "0.9"', "auroc: Input should be a valid number"),
        ('"auroc": 0.9', '"auroc": NaN', "auroc: Input should be a finite number"),
        ('"auroc": 0.9,', "", "a trial that is done needs an auroc"),
        ('"status": "done"', '"status": "half"', "status: Input should be 'done' or 'failed'"),
        ('"status": "done"', '"status": "failed"', "a failed trial needs an error"),
        ('"seed": 0', '"seed": true', "seed: Input should be a valid integer"),
        ('"seed": 0,', "", "seed: Field required"),
        ('"auroc": 0.9', '"aurok": 0.9', "aurok: Extra inputs are not permitted"),
        ('"finished": "2026', '"finished": "226', "finished: Invalid isoformat string"),
        ('"label": "vae"', '"label": "vae2"', "the label vae2 does not fit the detector and its changes, vae"),
    ],
)
def test_values_are_validated(store: Store, old: str, new: str, cause: str) -> None:
    path = store.results / "mnist/vae/class-3_seed-0.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    results = store.read_all()
    assert results == [result(seed=1)]
    [problem] = results.problems
    assert f"is no valid result ({cause}" in problem


def test_one_of_another_protocol_is_left_out_but_a_folder_of_them_is_a_wrong_command(store: Store) -> None:
    store.write(result(seed=1, protocol="memae"))
    results = store.read_all()
    assert results == [result(seed=0)]
    path = store.results / "mnist/vae/class-3_seed-1.json"
    assert results.problems == [f"{path} is of the protocol memae, not of deep-svdd: delete it, or move it away."]
    store.write(result(seed=0, protocol="memae"))
    with pytest.raises(UsageError, match="of the protocol memae, not of deep-svdd: add --protocol memae"):
        store.read_all()


@pytest.mark.parametrize("folder", [LEADERBOARD, LEADERBOARD / "protocol-memae"], ids=lambda folder: folder.name)
def test_all_committed_results_are_readable_and_give_the_committed_table(folder: Path) -> None:
    results = Results.from_disk(folder / "results", "memae" if "memae" in folder.name else "deep-svdd")
    assert results.problems == []
    assert len(results) == sum(1 for _ in (folder / "results").rglob("*.json"))
    committed = pd.read_csv(folder / "results.csv", dtype={"extra_data": str}).fillna({"extra_data": ""})
    frame = results.to_frame()
    assert list(frame.columns) == list(committed.columns)
    pd.testing.assert_frame_equal(frame, committed, check_dtype=False, rtol=1e-5)


def test_results_are_a_sequence() -> None:
    results = Results([*row("ae", [0.8, 0.7]), *row("vae", [0.9, 0.9])], ["a problem"])
    assert len(results) == 4
    assert results[0] == result(detector="ae", normal_class=0, auroc=0.8, classes=2)
    assert results[-1] in results
    assert results[1:3] == [results[1], results[2]]
    assert results[1:3].problems == ["a problem"]
    assert repr(results) == "<4 results of 2 detectors, 1 problem>"
    assert repr(Results()) == "<0 results of 0 detectors>"


def test_select() -> None:
    changed = result("digits", "ae", 1, changes={"epochs": 3})
    results = Results([*row("ae", [0.8, 0.7]), *row("vae", [0.9, 0.9], seed=1), changed])
    assert results.select(dataset="digits") == [changed]
    assert results.select(detector="ae") == [*results[:2], changed]
    assert results.select(label="ae") == results[:2]
    assert results.select(label="ae@epochs=3") == [changed]
    assert results.select(normal_class=0, seed=1) == [results[2]]
    assert results.select(normal_class=[0, 1], dataset=["mnist"]) == results[:4]
    assert results.select(status="failed") == []


def test_a_failed_trial_is_a_row_without_numbers() -> None:
    frame = Results([*row("ae", [0.8]), *row("vae", [0.8], status="failed")]).to_frame()
    assert tuple(frame.columns) == COLUMNS
    assert frame["status"].tolist() == ["done", "failed"]
    assert frame.loc[1, ["auroc", "frechet", "parameters"]].isna().all()


def test_probes_are_columns_and_nan_where_there_are_none() -> None:
    frame = Results([*row("ae", [0.8], probes={"noise": 0.5, "digits": 1.0}), *row("vae", [0.8])]).to_frame()
    assert list(frame.loc[0, ["probe_noise", "probe_digits"]]) == [0.5, 1.0]
    assert frame.loc[1, ["probe_noise", "probe_digits"]].isna().all()
    assert frame.loc[0, ["probe_blurred", "probe_fashion-mnist"]].isna().all()


def test_an_empty_collection_has_tables_too() -> None:
    assert tuple(Results().to_frame().columns) == COLUMNS
    assert Results().leaderboard().empty


def test_leaderboard() -> None:
    results = Results(
        [
            *row("ae", [0.8, 0.6], seed=0),
            *row("ae", [0.9, 0.7], seed=1),
            *row("vae", [0.9, 0.5]),
            *row("vae", [0.5, 0.5, 0.5], "digits"),
            *row("ae", [0.6, 0.6, 0.5], "digits")[:1],
            *row("pca", [0.99, 0.99], changes={"n_components": 2}),
            *row("knn", [0.7, 0.7], status="failed"),
        ]
    )
    board = results.leaderboard()
    mnist, digits = board["mnist"], board["digits"]
    figures = ["auroc", "deviation", "rank", "classes"]
    assert mnist.loc["ae", figures].tolist() == pytest.approx([0.75, 0.1 / 2**0.5, 1.5, 2])
    assert mnist.loc["vae", ["auroc", "rank"]].tolist() == pytest.approx([0.7, 1.5])
    assert pd.isna(mnist.loc["vae", "deviation"])
    # shown, but not ranked: changed hyperparameters, a failure, missing classes
    assert mnist.loc["pca@n_components=2", "auroc"] == pytest.approx(0.99)
    assert mnist["rank"].isna()[["pca@n_components=2", "knn"]].all()
    assert digits.loc["ae", ["auroc", "classes"]].tolist() == pytest.approx([0.6, 1])
    assert digits["rank"].dropna().to_dict() == {"vae": 1}
    assert board.index.tolist() == ["vae", "ae", "knn", "pca@n_components=2"]


def test_what_is_run_on_one_dataset_changes_no_figure_of_another() -> None:
    mnist = [*row("ae", [0.8, 0.6]), *row("vae", [0.7, 0.7]), *row("knn", [0.9, 0.9])]
    alone = Results(mnist).leaderboard()
    with_more = Results([*mnist, *row("knn", [0.3], "digits"), *row("pca", [0.3], "digits")]).leaderboard()
    pd.testing.assert_frame_equal(with_more.loc[alone.index, ["mnist"]], alone, check_dtype=False)


def test_ranks_are_those_of_a_table_by_hand() -> None:
    """Class 0: ae 1, knn and vae share 2.5; class 1: vae 1, ae 2, knn 3."""
    results = Results([*row("ae", [0.9, 0.6]), *row("vae", [0.8, 0.7]), *row("knn", [0.8, 0.5])])
    assert results.leaderboard()["mnist"]["rank"].to_dict() == {"ae": 1.5, "vae": 1.75, "knn": 2.75}


def test_detectors_with_extra_data_are_ranked_among_themselves() -> None:
    extra = row("net", [0.99, 0.99], extra_data="ImageNet")
    board = Results(
        [*extra, *row("ae", [0.8, 0.7]), *row("vae", [0.9, 0.9]), *row("knn", [0.9, 0.9])[:1]]
    ).leaderboard()
    assert board["mnist"]["rank"].dropna().to_dict() == {"vae": 1, "ae": 2, "net": 1}
    assert board["mnist"]["extra_data"].to_dict() == {"vae": "", "ae": "", "knn": "", "net": "ImageNet"}
    assert board.index.tolist() == ["vae", "ae", "knn", "net"]


def test_reading_results_loads_nothing_heavy() -> None:
    code = (
        "import sys; from oodbench.benchmark.results.store import Store; Store.at(None).read_all(); "
        "import oodbench.benchmark.results.identity; print({'torch', 'sklearn', 'pandas'} & set(sys.modules))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=LEADERBOARD.parent, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "set()\n"
