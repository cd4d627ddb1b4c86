"""Files that somebody or something has changed: results, run folders, pictures and stored models."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from oodbench.benchmark import inference
from oodbench.benchmark.cli.tables import split_table
from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.evaluation.evaluate import evaluate
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.reporting import leaderboard, plots
from oodbench.benchmark.reporting.run_folder import fill
from oodbench.benchmark.results.run_files import read_samples, read_scores
from oodbench.benchmark.results.store import LARGEST_IMAGE, Store, read_card, write_card
from oodbench.benchmark.trials import Trial
from oodbench.datasets.components.split import Split, one_vs_rest
from oodbench.datasets.digits import Digits
from oodbench.detectors import PCA, VAE
from oodbench.detectors.base import Detector, DetectorError
from tests.benchmark.made_up import result
from tests.conftest import REPOSITORY

few = settings(
    max_examples=50, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ODD: st.SearchStrategy[object] = st.sampled_from(
    [
        *(None, True, -1, 0, 3, 10**30, 2**63, 1e308, -1e308, float("nan"), float("inf")),
        *("", "\0", "\ud800", "a" * 5000, [], {}, [[]], {"a": {}}, [None], ["x"], {"value": "x"}),
    ]
)


@pytest.fixture(scope="module")
def digits() -> Split:
    dataset = Digits(Path())
    return one_vs_rest(dataset.load("train"), dataset.load("test"), 3)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where in a JSON value others stand."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield from places(item, (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return a JSON value with another in some place; one that is Ellipsis is left out."""
    if not path:
        return new
    copy = value.copy()
    if len(path) == 1 and new is ...:
        del copy[path[0]]
    else:
        copy[path[0]] = changed(value[path[0]], path[1:], new)
    return copy


@st.composite
def spoilt(draw: st.DrawFn, text: bytes) -> bytes:
    """Draw what may become of a file: bytes are lost or changed, or if it is JSON, one of its values is another."""
    kind = draw(st.sampled_from(["cut", "byte", "value", "value", "value"]))
    if kind == "value" and text.startswith(b"{"):
        value = json.loads(text)
        path = draw(st.sampled_from([path for path in places(value) if path]))
        return json.dumps(changed(value, path, draw(ODD | st.just(...)))).encode()
    place = draw(st.integers(0, len(text) - 1))
    if kind == "cut":
        return text[:place]
    return text[:place] + bytes([draw(st.integers(0, 255))]) + text[place + 1 :]


# ---------------------------------------------------------------------- results

RESULTS = [
    next((REPOSITORY / "leaderboard" / "results" / "mnist" / "mean").glob("*.json")).read_bytes(),
    result(status="failed", error="It failed.").model_dump_json().encode(),
    result(changes={"epochs": 3, "channels": [8, 16]}).model_dump_json().encode(),
]


@few
@given(text=st.sampled_from(RESULTS).flatmap(spoilt))
def test_a_spoilt_result_is_read_or_named(tmp_path: Path, text: bytes) -> None:
    shutil.rmtree(tmp_path, ignore_errors=True)
    store = Store.at(tmp_path)
    store.write(result(normal_class=1, classes=2))
    path = store.results / "mnist" / "memvae" / "class-0_seed-0.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(text)
    try:
        results = store.read_all()
    except UsageError as error:
        assert "update oodbench" in str(error)  # noqa: PT017 - what matters is that there is no other
        return
    assert len(results) + len(results.problems) == 2
    assert all(str(path) in problem for problem in results.problems)


@few
@given(text=st.sampled_from(RESULTS).flatmap(spoilt))
def test_a_spoilt_result_that_can_be_read_ends_no_table(tmp_path: Path, text: bytes) -> None:
    """It is put where it belongs, as whoever spoils it on purpose would."""
    shutil.rmtree(tmp_path, ignore_errors=True)
    try:
        value = json.loads(text)
        trial = Trial(*(value[key] for key in ("dataset", "detector", "normal_class", "seed")))
        store = Store.at(tmp_path, value.get("protocol", "deep-svdd"))
        changes = tuple(sorted(value.get("changes", {}).items()))
        path = store.result_path(Trial(trial.dataset, trial.detector, trial.normal_class, trial.seed, changes))
        path.parent.mkdir(parents=True)
        path.write_bytes(text)
    except (ValueError, TypeError, AttributeError, KeyError, OSError):
        return  # there is no such place
    try:
        results = store.read_all()
        results.leaderboard()
        results.to_frame().to_csv()
        for one in results:
            split_table(store, results.select(dataset=one.dataset, normal_class=one.normal_class))
        summary = leaderboard._summary(store)
        leaderboard._texts(summary, store, plots.plots_of(summary, store))
    except UsageError as error:
        assert "\n" not in str(error)  # noqa: PT017 - what matters is that there is no other


@pytest.mark.parametrize("copied", ["results/mnist/vae/class-0_seed-0.sync-conflict-1.json", "results/mnist (1)"])
def test_copies_of_results_are_left_out_and_named(tmp_path: Path, copied: str) -> None:
    store = Store.at(tmp_path)
    for label, auroc in enumerate((0.9, 0.5)):
        store.write(result(normal_class=label, classes=3, auroc=auroc))
    original = store.results / "mnist" if copied.endswith(")") else store.result_path(result(normal_class=0).trial)
    (shutil.copytree if original.is_dir() else shutil.copy)(original, tmp_path / copied)
    page = leaderboard.update(store).read_text(encoding="utf-8")
    assert "(2 of 3)" in page
    assert copied in page.partition("## Results left out")[2]


def test_copies_beside_studies_and_plots_change_nothing(tmp_path: Path) -> None:
    store = Store.at(tmp_path)
    store.write(result(normal_class=0, classes=1))
    page = leaderboard.update(store).read_text(encoding="utf-8")
    study = tmp_path / "studies" / "mnist" / "vae.sync-conflict-1.jsonl"
    study.parent.mkdir(parents=True)
    study.write_text("{}")
    picture = store.plots / "mnist-auroc.sync-conflict-1.png"
    shutil.copy(store.plots / "mnist-auroc.png", picture)
    assert leaderboard.update(store).read_text(encoding="utf-8") == page
    assert study.exists()
    assert not picture.exists()  # it is one of ours, of which no page speaks
    assert leaderboard.check(store) == []


# ---------------------------------------------------------------------- run folders


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, digits: Split) -> Callable[[Path], Store]:
    """Return a function that makes a store of one trial with its run folder."""
    evaluation = evaluate(VAE(epochs=1, min_steps=1, seed=0), digits, gallery=True)
    made = Store.at(tmp_path_factory.mktemp("ran"))
    one = result("digits", "vae", 3, classes=1, changes=None, **_without(evaluation.measures().model_dump()))
    made.write(one)
    folder = made.run_folder(one.trial)
    folder.mkdir(parents=True)
    fill(folder, evaluation, "a title")

    def copy(to: Path) -> Store:
        shutil.copytree(made.leaderboard, to, dirs_exist_ok=True)
        return Store.at(to)

    return copy


def _without(measures: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in measures.items() if value is not None}


@pytest.mark.parametrize("name", ["scores.npz", "samples.npy"])
@pytest.mark.parametrize("size", [0, 60, -20])
def test_a_cut_off_file_in_a_run_folder_ends_no_page_and_no_table(
    ran: Callable[[Path], Store], tmp_path: Path, name: str, size: int
) -> None:
    store = ran(tmp_path)
    path = store.run_folder(store.read_all()[0].trial) / name
    path.write_bytes(path.read_bytes()[:size])
    leaderboard.update(store)
    table = split_table(store, store.read_all())
    assert table.row_count == 1
    damaged = f"{path} is damaged: run its trial again with --force"
    assert leaderboard.check(store) == ([damaged] if name == "scores.npz" else [])


ARRAYS = [
    {},
    {"score": np.zeros(3, np.float32)},
    {"score": np.zeros(3, np.float32), "is_ood": np.zeros(2, bool)},
    {"score": np.zeros(3, np.float32), "is_ood": np.zeros(3, bool)},
    {"score": np.full(3, np.nan), "is_ood": np.array([True, False, False])},
    {"score": np.zeros((3, 1)), "is_ood": np.array([[True], [False], [False]])},
    {"score": np.array(["a", "b"]), "is_ood": np.array([True, False])},
    {"score": np.array([{}, {}]), "is_ood": np.array([True, False])},
]


@pytest.mark.parametrize("arrays", ARRAYS)
def test_what_are_no_scores_is_not_read(tmp_path: Path, arrays: dict[str, Any]) -> None:
    np.savez(tmp_path / "scores.npz", **arrays)
    assert read_scores(tmp_path) is None


@pytest.mark.parametrize("array", [np.zeros(3, np.uint8), np.zeros((2, 1, 8, 8)), np.zeros((0, 1, 8, 8), np.uint8)])
def test_what_are_no_samples_is_not_read(tmp_path: Path, array: Any) -> None:
    np.save(tmp_path / "samples.npy", array)
    assert read_samples(tmp_path) is None


@few
@given(data=st.data())
def test_spoilt_bytes_of_arrays_are_no_arrays_or_others(
    ran: Callable[[Path], Store], tmp_path: Path, data: st.DataObject
) -> None:
    shutil.rmtree(tmp_path, ignore_errors=True)
    store = ran(tmp_path)
    folder = store.run_folder(store.read_all()[0].trial)
    path = folder / data.draw(st.sampled_from(["scores.npz", "samples.npy"]))
    path.write_bytes(data.draw(spoilt(path.read_bytes())))
    read_scores(folder)
    read_samples(folder)


@pytest.mark.parametrize("name", ["auroc", "aupr_out", "fpr95", "normal_kept"])
def test_a_measure_that_was_edited_is_told_from_the_measured_one(
    ran: Callable[[Path], Store], tmp_path: Path, name: str
) -> None:
    store = ran(tmp_path)
    (one,) = store.read_all()
    leaderboard.update(store)
    assert leaderboard.check(store) == []
    measured = getattr(one, name)
    store.write(one.model_copy(update={name: measured - 0.01}))
    leaderboard.update(store)
    path, scores = store.result_path(one.trial), store.run_folder(one.trial) / "scores.npz"
    assert leaderboard.check(store) == [
        f"{path} has {name} {measured - 0.01:.6g}, but the scores in {scores} give {measured:.6g}: "
        "run its trial again with --force"
    ]


@pytest.mark.parametrize("curves", ["{", "[1]", "[" * 100_000, '{"vae": 1}'])
def test_a_picture_that_says_nonsense_is_drawn_anew(tmp_path: Path, curves: str) -> None:
    store = Store.at(tmp_path)
    store.write(result(normal_class=0, classes=1))
    leaderboard.update(store)
    path = store.plots / "mnist-auroc.png"
    before = path.read_bytes()
    text = PngInfo()
    for key, value in ((plots.DIGEST, "x"), (plots.RUNS, curves), (plots.CURVES, curves)):
        text.add_text(key, value)
    Image.new("L", (4, 4)).save(path, pnginfo=text)
    leaderboard.update(store)
    assert path.read_bytes() == before


# ---------------------------------------------------------------------- stored models


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, digits: Split) -> dict[str, Path]:
    """Run folders with models of two kinds: one of plain values, one of modules."""
    folders = {}
    for detector in (PCA(), VAE(epochs=1, min_steps=1)):
        folder = tmp_path_factory.mktemp(detector.name)
        detector.fit(digits.train[:40].float() / 255).save(folder)
        card = {"dataset": "digits", "class_name": "3", "shape": [1, 8, 8], "detector": detector.name}
        write_card(folder, {**card, "threshold": {"value": 0.5, "keeps": 0.9, "images": 20}})
        folders[detector.name] = folder
    return folders


@few
@given(data=st.data())
def test_a_spoilt_model_is_loaded_or_refused(
    models: dict[str, Path], plugins: Plugins, tmp_path: Path, data: st.DataObject
) -> None:
    shutil.rmtree(tmp_path, ignore_errors=True)
    shutil.copytree(models[data.draw(st.sampled_from(sorted(models)))], tmp_path)
    path = tmp_path / data.draw(st.sampled_from(["model_card.json", "model.json", "model.safetensors"]))
    path.write_bytes(data.draw(spoilt(path.read_bytes())))
    try:
        card = read_card(tmp_path)
        inference.load_model(tmp_path, plugins).score(torch.zeros(1, *card["shape"]))
    except (UsageError, DetectorError) as error:
        assert "\n" not in str(error)  # noqa: PT017 - what matters is that there is no other


@pytest.mark.parametrize("shape", [[3, 20000, 20000], [1, 0, 8], [1, 8], [1, 8.5, 8], ["1", "8", "8"], 8, None])
def test_a_card_that_claims_an_impossible_shape_is_refused(models: dict[str, Path], tmp_path: Path, shape: Any) -> None:
    card = json.loads((models["pca"] / "model_card.json").read_text())
    write_card(tmp_path, {**card, "shape": shape})
    with pytest.raises(UsageError, match=r"model_card.json is damaged \(shape.*: run its trial again with --force"):
        read_card(tmp_path)


def test_a_model_that_claims_too_large_images_takes_no_memory(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(models["vae"], tmp_path, dirs_exist_ok=True)
    about = json.loads((tmp_path / "model.json").read_text())
    about["fitted"]["shape_"] = [3, 20000, 20000]
    (tmp_path / "model.json").write_text(json.dumps(about))
    monkeypatch.setattr(Detector, "restore", lambda *_: pytest.fail("it was built"))
    with pytest.raises(DetectorError, match=r"holds a damaged model .*images of 3×20000×20000 values are too large"):
        VAE.load(tmp_path)
    assert 3 * 1024 * 1024 < LARGEST_IMAGE < 20000**2


def test_a_model_that_would_replace_a_method_is_refused(models: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(models["pca"], tmp_path, dirs_exist_ok=True)
    about = json.loads((tmp_path / "model.json").read_text())
    about["fitted"]["score"] = 1
    (tmp_path / "model.json").write_text(json.dumps(about))
    with pytest.raises(DetectorError, match="'score' is no fitted attribute"):
        PCA.load(tmp_path)
