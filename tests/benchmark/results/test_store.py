from __future__ import annotations

import json
from pathlib import Path

import pytest

from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.files import new_folder, write_text
from oodbench.benchmark.results.store import Store, read_card, write_card
from oodbench.benchmark.trials import Trial
from tests.benchmark.made_up import result

TRIAL = Trial("mnist", "vae", 3, 0)


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_result_is_one_json_file(tmp_path: Path) -> None:
    store = Store.at(tmp_path)
    assert store.read(TRIAL) is None
    store.write(result())
    assert files_in(tmp_path) == ["results/mnist/vae/class-3_seed-0.json"]
    assert store.read(TRIAL) == result()
    assert store.read_all() == [result()]


def test_default_folders() -> None:
    assert Store.at(None) == Store(Path("leaderboard"), Path("runs"))
    assert Store.at(None, "deep-svdd") == Store.at(None)


def test_another_protocol_has_folders_of_its_own() -> None:
    apart = Store(Path("leaderboard/protocol-memae"), Path("runs/protocol-memae"), "memae")
    assert Store.at(None, "memae") == apart
    assert Store.at(Path("x"), "memae") == Store(Path("x/protocol-memae"), Path("x/protocol-memae/runs"), "memae")
    with pytest.raises(UsageError, match="Unknown protocol 'meame': did you mean memae"):
        Store.at(None, "meame")


def test_results_of_two_protocols_lie_apart(tmp_path: Path) -> None:
    default, memae = Store.at(tmp_path), Store.at(tmp_path, "memae")
    default.write(result())
    memae.write(result(protocol="memae"))
    assert default.read_all() == [result()]
    assert memae.read_all() == [result(protocol="memae")]


@pytest.mark.parametrize("text", ["", "{}", "[1]", "{half", '{"schema": 2, "auroc": "high"}'])
def test_a_damaged_file_counts_as_no_result(tmp_path: Path, text: str) -> None:
    store = Store.at(tmp_path)
    write_text(store.result_path(TRIAL), text)
    assert store.read(TRIAL) is None


def test_a_result_of_another_protocol_counts_as_no_result(tmp_path: Path) -> None:
    store = Store.at(tmp_path)
    store.write(result(protocol="memae"))
    assert store.read(TRIAL) is None


def test_a_result_of_a_newer_oodbench_is_not_run_again(tmp_path: Path) -> None:
    store = Store.at(tmp_path)
    write_text(store.result_path(TRIAL), json.dumps({"schema": 99}))
    for read in (store.read_all, lambda: store.read(TRIAL)):
        with pytest.raises(UsageError, match="has schema version 99, this oodbench reads up to 2: update oodbench"):
            read()


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "old")
    with pytest.raises(TypeError):
        write_text(path, None)  # type: ignore[arg-type]
    assert path.read_text() == "old"
    assert files_in(tmp_path) == ["file"]


def test_an_interrupted_folder_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with new_folder(folder) as new:
        (new / "a").write_text("1")
    with pytest.raises(FileNotFoundError), new_folder(folder) as new:
        (new / "a" / "b").write_text("2")
    assert (folder / "a").read_text() == "1"
    with new_folder(folder) as new:
        (new / "b").write_text("3")
    assert files_in(tmp_path) == ["run/b"]


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot be written to \(Not a directory\): choose another folder with --out"):
        Store.at(tmp_path / "file").prepare()


def test_a_model_card(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no stored model: name a run folder"):
        read_card(tmp_path)
    card = {"dataset": "mnist", "class_name": "3", "shape": (1, 28, 28), "detector": "vae", "more": 1}
    write_card(tmp_path, card)
    unknown = dict.fromkeys(("scale", "threshold", "normal_kept", "ood_caught"))
    assert read_card(tmp_path) == {**card, **unknown}
    write_card(tmp_path, {"detector": "vae"})
    with pytest.raises(
        UsageError, match=r"model_card.json is damaged \(dataset: Field required\): run its trial again"
    ):
        read_card(tmp_path)


def test_hyperparameters_may_be_infinite_and_texts_of_any_script(tmp_path: Path) -> None:
    store = Store.at(tmp_path)
    odd = result(hyperparameters={"limit": float("inf"), "steps": [1, 2]}, class_name="чашка")
    store.write(odd)
    assert store.read(TRIAL) == odd


def test_a_file_reads_well(tmp_path: Path) -> None:
    """First which trial it is, then what was measured, then what it was computed with."""
    store = Store.at(tmp_path)
    store.write(result())
    keys = list(json.loads(store.result_path(TRIAL).read_text()))
    assert keys[:3] == ["schema", "dataset", "detector"]
    assert keys.index("status") < keys.index("auroc") < keys.index("fit_seconds") < keys.index("command")
    assert keys[-1] == "finished"
    assert "frechet" not in keys  # was not measured
