"""Scoring of many images, odd files and damaged models: bounded, never blocked, and never a verdict from NaN."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from oodbench.benchmark import inference
from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.store import write_card
from oodbench.detectors.base import Detector, Monitor, register
from tests.benchmark.cli.command import bench


@register("brightness")
class Brightness(Detector):
    """Scores by brightness; what is black comes to 0 / 0."""

    batches: list[int] = []  # noqa: RUF012

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        self.mean_ = images.mean()
        return self

    def score(self, images: Tensor) -> Tensor:
        self.batches.append(len(images))
        means = images.mean((1, 2, 3))
        return means * means / means


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    Brightness().fit(torch.full((2, 1, 4, 4), 0.5)).save(folder)
    threshold = {"value": 0.5, "keeps": 0.9, "images": 9}
    card = {"dataset": "mine", "class_name": "grey", "shape": [1, 4, 4], "detector": "brightness"}
    write_card(folder, {**card, "threshold": threshold, "normal_kept": 0.875, "ood_caught": 0.25})
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for brightness in range(10, 250, 10):
        Image.new("L", (4, 4), brightness).save(folder / f"{brightness}.png")
    return folder


@pytest.fixture
def own_plugins() -> Plugins:
    return Plugins.load(classes=[Brightness])


def test_images_are_read_and_scored_some_at_a_time(
    run_folder: Path, photos: Path, own_plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = inference.score_images(run_folder, [photos], own_plugins)
    monkeypatch.setattr(inference, "AT_ONCE", 5 * 16)
    monkeypatch.setattr(Brightness, "batches", [])
    some = inference.score_images(run_folder, [photos], own_plugins)
    assert Brightness.batches == [5, 5, 5, 5, 4]
    assert some.equals(whole)
    assert some["image"].tolist() == [str(photos / f"{brightness}.png") for brightness in range(240, 0, -10)]
    monkeypatch.setattr(inference, "AT_ONCE", 1)  # less than one image has
    assert inference.score_images(run_folder, [photos], own_plugins).equals(whole)


def test_what_is_no_file_is_never_opened(run_folder: Path, photos: Path, own_plugins: Plugins) -> None:
    os.mkfifo(photos / "pipe.png")
    (photos / "linked.png").symlink_to(photos / "pipe.png")
    odd = [photos / "pipe.png", photos / "linked.png", Path("/dev/zero"), Path("/dev/null")]
    table = inference.score_images(run_folder, [*odd, photos / "10.png"], own_plugins)
    assert table["verdict"].tolist() == ["in", *["unreadable"] * 4]
    assert table["image"].tolist()[1:] == list(map(str, odd))
    table = inference.score_images(run_folder, [photos], own_plugins)
    assert (table["verdict"] != "unreadable").sum() == 24


def test_paths_that_cannot_be_looked_at(run_folder: Path, own_plugins: Plugins) -> None:
    with pytest.raises(UsageError, match=r"There is no file or folder x{300}: name images, or folders of images"):
        inference.score_images(run_folder, [Path("x" * 300)], own_plugins)


def test_one_score_that_is_not_a_number(run_folder: Path, photos: Path, own_plugins: Plugins) -> None:
    Image.new("L", (4, 4), 0).save(photos / "black.png")
    with pytest.raises(
        UsageError, match=r"run holds a model that scores .*photos/black.png as nan: run its trial again"
    ):
        inference.score_images(run_folder, [photos], own_plugins)


def test_weights_that_are_not_numbers(tmp_path: Path) -> None:
    """Of which a detector may make scores that are numbers: these do not touch the score."""
    Brightness().fit(torch.full((2, 1, 4, 4), torch.nan)).save(tmp_path)
    card = {"dataset": "mine", "class_name": "grey", "shape": [1, 4, 4], "detector": "brightness", "threshold": None}
    write_card(tmp_path, card)
    with pytest.raises(UsageError, match=r"holds a model with NaN among its mean_: run its trial again with --force\."):
        inference.load_model(tmp_path, Plugins.load(classes=[Brightness]))


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda card: card["threshold"].update(value=float("nan")), "threshold.value"),
        (lambda card: card["threshold"].update(value=float("-inf")), "threshold.value"),
        (lambda card: card["threshold"].pop("value"), "threshold.value"),
        (lambda card: card["threshold"].update(images=0), "threshold.images"),
        (lambda card: card.update(threshold="high"), "threshold"),
        (lambda card: card.update(ood_caught=float("nan")), "ood_caught"),
    ],
)
def test_a_threshold_that_is_not_a_number(
    run_folder: Path, photos: Path, own_plugins: Plugins, change: Callable[[dict[str, Any]], object], where: str
) -> None:
    path = run_folder / "model_card.json"
    card = json.loads(path.read_text())
    change(card)
    path.write_text(json.dumps(card))
    with pytest.raises(UsageError, match=rf"model_card.json is damaged \({where}: .*\): run its trial again"):
        inference.score_images(run_folder, [photos], own_plugins)


def test_without_a_threshold_there_is_no_verdict(run_folder: Path, photos: Path, own_plugins: Plugins) -> None:
    path = run_folder / "model_card.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "threshold": None}))
    (photos / "broken.png").write_bytes(b"no image")
    verdicts = inference.score_images(run_folder, [photos], own_plugins)["verdict"]
    assert verdicts.tolist() == [*[""] * 24, "unreadable"]


def test_the_command_says_what_the_threshold_achieves(photos: Path, tmp_path: Path) -> None:
    """As a table and with a file; the warning is on standard error, in one sentence."""
    folder = tmp_path / "gmm"
    folder.mkdir()
    Plugins.load().detectors["gmm"]().fit(torch.rand(20, 1, 4, 4)).save(folder)
    card = {"dataset": "mine", "class_name": "grey", "shape": [1, 4, 4], "detector": "gmm"}
    threshold = {"value": 0.5, "keeps": 30 / 31, "images": 30}
    write_card(folder, {**card, "threshold": threshold, "normal_kept": 0.875, "ood_caught": 0.25})
    for output in ([], ["--output", tmp_path / "scores.csv"]):
        shown = bench("score", folder, photos, *output)
        assert shown.exit_code == 0, shown.output
        words = " ".join(shown.stdout.split())
        assert "keeps 96.8% of normal images (set with 30 held-out ones)" in words
        assert "in the trial's test it kept 87.5% of normal images and caught 25.0% of the others" in words
        assert shown.stderr.startswith("The threshold was set with only 30 held-out images, whose largest score it is:")
    write_card(folder, {**card, "threshold": {**threshold, "keeps": 0.95, "images": 99}})  # as written earlier
    shown = bench("score", folder, photos)
    assert "(set with 99 held-out ones)" in " ".join(shown.stdout.split())
    assert "it kept" not in shown.stdout
    assert shown.stderr == ""
    write_card(folder, {**card, "threshold": {**threshold, "value": np.nan}})
    shown = bench("score", folder, photos)
    assert shown.exit_code == 2
    assert "model_card.json is damaged (threshold.value: Input should be a finite number)" in shown.stderr


def test_files_are_read_in_the_scale_of_the_dataset(run_folder: Path, own_plugins: Plugins, tmp_path: Path) -> None:
    path = run_folder / "model_card.json"
    card = json.loads(path.read_text())
    deep, shallow = tmp_path / "deep.png", tmp_path / "shallow.png"
    Image.fromarray(np.full((4, 4), 2457, dtype=np.uint16)).save(deep)  # 60 % of 12 bits
    Image.new("L", (4, 4), 153).save(shallow)
    path.write_text(json.dumps({**card, "scale": {"integer": [0, 4095]}}))
    table = inference.score_images(run_folder, [deep, shallow], own_plugins)
    assert table["score"].tolist() == pytest.approx([0.6, 0.6])
    inference.draw_ranking(table, tmp_path / "ranked.png")
    path.write_text(json.dumps({**card, "scale": {"integer": [0, float("nan")]}}))
    with pytest.raises(
        UsageError, match=r"model_card.json is damaged \(scale.integer.1: Input should be a finite number\)"
    ):
        inference.score_images(run_folder, [deep], own_plugins)


def test_a_run_s_model_scores_its_own_files_as_the_run_did(tmp_path: Path, plugins: Plugins) -> None:
    """Of 12 bits in 16: the scale comes from the dataset, through the model card."""
    generator = np.random.default_rng(0)
    for name, brightest in (("dark", 1500), ("light", 4000)):
        (tmp_path / "scans" / name).mkdir(parents=True)
        for number in range(20):
            pixels = generator.integers(0, brightest, (8, 8), dtype=np.uint16)
            Image.fromarray(pixels).save(tmp_path / "scans" / name / f"{number}.tif")
    select = ["--dataset", f"folder:{tmp_path / 'scans'}@8", "--class", "dark", "--detector", "mean"]
    ran = bench("run", *select, "--out", tmp_path / "out")
    assert ran.exit_code == 0, ran.output
    (folder,) = (path.parent for path in (tmp_path / "out" / "runs").rglob("model_card.json"))
    table = inference.score_images(folder, [tmp_path / "scans"], plugins)
    with np.load(folder / "scores.npz") as stored:
        distances = np.abs(table["score"].to_numpy()[:, None] - stored["score"])
    assert len(table) == 40
    assert distances.min(axis=0).max() < 1e-6
    assert 0 < table.attrs["normal_kept"] <= 1
