"""Somebody's own JPEGs, from a folder to verdicts."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from oodbench.benchmark import inference
from oodbench.benchmark.cli.app import app
from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.store import Store
from oodbench.datasets.cifar10 import CIFAR10
from oodbench.datasets.folder import read_image

PLANE, FROG = 0, 6


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> Path:
    """Planes and frogs of CIFAR-10 as JPEGs of mixed sizes, a grey one and a broken one among them."""
    folder = tmp_path_factory.mktemp("photos")
    part = CIFAR10(data_dir).load("test")
    for name, label in (("planes", PLANE), ("frogs", FROG)):
        (folder / name).mkdir()
        for number, pixels in enumerate(part.images[part.labels == label][:120].movedim(1, -1).numpy()):
            image = Image.fromarray(pixels).resize((40 + number % 30, 90 - number % 40), Image.Resampling.BICUBIC)
            image.convert("L" if number == 7 else "RGB").save(folder / name / f"{number:03d}.jpg", quality=90)
    (folder / "planes" / "broken.jpg").write_bytes(b"\xff\xd8 cut off")
    return folder


@pytest.fixture(scope="module")
def out(photos: Path) -> tuple[Path, str]:
    """A finished run on them, and what it printed."""
    folder = photos.parent / "out"
    select = ["--dataset", f"folder:{photos}", "--image-size", "24", "--detector", "gmm", "--detector", "memvae"]
    result = invoke("run", *select, "--set", "memvae.epochs=3", "--out", str(folder))
    assert result.exit_code == 0, result.output
    return folder, result.stdout


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_a_run_on_a_folder_has_everything(out: tuple[Path, str], photos: Path) -> None:
    folder, printed = out
    assert (
        f"folder:{photos}@24: 1 of 241 files cannot be read as images and are left out: planes/broken.jpg." in printed
    )
    store = Store.at(folder)
    results = store.read_all()
    assert len(results) == 4
    assert {result.class_name for result in results} == {"planes", "frogs"}
    assert {result.test_images for result in results} == {72}
    assert max(result.auroc for result in results) > 0.6
    assert all(result.threshold is not None and result.threshold.images == 8 for result in results)
    runs = sorted(path.parent for path in store.runs.rglob("model_card.json"))
    assert len(runs) == 4
    assert all((run / "samples.png").is_file() and (run / "roc.png").is_file() for run in runs)
    assert len(list((folder / "plots").glob("*.png"))) == 4
    assert "frogs" in (folder / "README.md").read_text()
    assert invoke("leaderboard", "--check", "--out", str(folder)).exit_code == 0
    again = invoke("run", "--dataset", f"folder:{photos}@24", "--detector", "gmm", "--out", str(folder))
    assert "2 trials: 2 done already, 0 to run" in again.stdout


def test_an_image_that_is_added_makes_the_results_stale(out: tuple[Path, str], photos: Path, tmp_path: Path) -> None:
    copy = tmp_path / "photos"
    for name in ("a", "b"):
        (copy / name).mkdir(parents=True)
        for number in range(12):
            Image.new("RGB", (9, 9), (number * 20, 0, 0)).save(copy / name / f"{number}.png")
    run = ["run", "--dataset", f"folder:{copy}", "--detector", "mean", "--out", str(tmp_path / "out")]
    assert "2 to run" in invoke(*run).stdout
    assert "0 to run" in invoke(*run).stdout
    Image.new("RGB", (9, 9), "green").save(copy / "a" / "more.png")
    assert "2 to run (2 of them stale" in invoke(*run).stdout


def test_scores_and_verdicts(out: tuple[Path, str], photos: Path, plugins: Plugins) -> None:
    (run,) = (path.parent for path in Store.at(out[0]).runs.rglob("gmm/class-0*/model_card.json"))
    table = inference.score_images(run, [photos], plugins)
    assert len(table) == 241
    assert table["score"].dropna().is_monotonic_decreasing
    assert table["verdict"].iloc[-1] == "unreadable"
    assert np.isnan(table["score"].iloc[-1])
    threshold = table.attrs["threshold"]["value"]
    readable = table[table["verdict"] != "unreadable"]
    assert ((readable["score"] > threshold) == (readable["verdict"] == "out")).all()
    (result,) = Store.at(out[0]).read_all().select(detector="gmm", normal_class=0)
    assert (table.attrs["normal_kept"], table.attrs["ood_caught"]) == (result.normal_kept, result.ood_caught)
    frogs = readable["image"].str.contains("frogs")
    assert (readable.loc[frogs, "verdict"] == "in").mean() > 0.8  # frogs are the normal class, 0 by alphabet


def test_the_command(out: tuple[Path, str], photos: Path, tmp_path: Path) -> None:
    (run,) = (path.parent for path in Store.at(out[0]).runs.rglob("gmm/class-0*/model_card.json"))
    some = [str(photos / "frogs" / f"{number:03d}.jpg") for number in range(3)] + [
        str(photos / "planes" / "broken.jpg")
    ]
    shown = invoke("score", str(run), *some, "--plot", str(tmp_path / "ranked.png"))
    assert shown.exit_code == 0, shown.output
    assert "unreadable" in shown.stdout
    assert "held-out ones" in " ".join(shown.stdout.split())
    with Image.open(tmp_path / "ranked.png") as picture:
        assert picture.width > picture.height
    invoke("score", str(run), str(photos), "--plot", str(tmp_path / "many.png"))
    with Image.open(tmp_path / "many.png") as picture:  # some of the 240, in eight rows of twelve
        assert picture.height < picture.width
    written = invoke("score", str(run), str(photos), "--output", str(tmp_path / "deep" / "scores.csv"))
    assert written.exit_code == 0, written.output
    assert list(pd.read_csv(tmp_path / "deep" / "scores.csv").columns) == ["image", "score", "verdict"]


def test_a_stored_model_is_loaded(out: tuple[Path, str], photos: Path, plugins: Plugins) -> None:
    (run,) = (path.parent for path in Store.at(out[0]).runs.rglob("gmm/class-0*/model_card.json"))
    model = inference.load_model(run)
    assert isinstance(model, plugins.detectors["gmm"])
    frog = photos / "frogs" / "000.jpg"
    pixels = torch.from_numpy(read_image(frog, (3, 24, 24))).unsqueeze(0).float() / 255
    assert model.score(pixels).item() == pytest.approx(inference.score_images(run, [frog], plugins)["score"][0])
    assert model.sample(2).shape == (2, 3, 24, 24)


def test_models_that_cannot_be_loaded(out: tuple[Path, str], tmp_path: Path) -> None:
    (stored,) = (path.parent for path in Store.at(out[0]).runs.rglob("gmm/class-0*/model_card.json"))
    run = tmp_path / "run"
    shutil.copytree(stored, run)
    (run / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(
        UsageError, match=r"run holds a model that cannot be read \(.*\): run its trial again with --for"
    ):
        inference.load_model(run)
    (run / "model.safetensors").unlink()
    with pytest.raises(UsageError, match="run holds a model that cannot be read"):
        inference.load_model(run)
    card = json.loads((run / "model_card.json").read_text())
    (run / "model_card.json").write_text(json.dumps({**card, "detector": "mine"}))
    with pytest.raises(UsageError, match="holds a model of 'mine', which is neither built in nor installed: name the"):
        inference.load_model(run)


def test_the_command_that_makes_a_missing_model_is_named(out: tuple[Path, str], photos: Path, tmp_path: Path) -> None:
    data = f"folder:{photos}@24"
    folder = tmp_path / "my results"
    missing = invoke("sample", "gmm", "--dataset", data, "--class", "frogs", "--out", str(folder))
    assert missing.exit_code == 2
    (command,) = re.findall("run `bench (.*)` to make it", missing.output)
    made = invoke(*shlex.split(command))
    assert made.exit_code == 0, made.output
    picture = tmp_path / "samples.png"
    again = invoke(
        "sample", "gmm", "--dataset", data, "--class", "frogs", "--out", str(folder), "--output", str(picture)
    )
    assert again.exit_code == 0, again.output
    assert picture.is_file()


def test_bad_input(out: tuple[Path, str], photos: Path, plugins: Plugins, tmp_path: Path) -> None:
    (run,) = (path.parent for path in Store.at(out[0]).runs.rglob("gmm/class-0*/model_card.json"))
    with pytest.raises(UsageError, match="holds no stored model: name a run folder, such as"):
        inference.score_images(tmp_path, [photos], plugins)
    with pytest.raises(UsageError, match=r"There is no file or folder .*nothing.jpg: name images, or folders"):
        inference.score_images(run, [tmp_path / "nothing.jpg"], plugins)
    with pytest.raises(UsageError, match="There are no images in"):
        inference.score_images(run, [tmp_path], plugins)
    with pytest.raises(UsageError, match="None of 1 files can be read as an image"):
        inference.score_images(run, [photos / "planes" / "broken.jpg"], plugins)
