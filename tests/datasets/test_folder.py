"""Folders of real JPEGs, made from CIFAR-10 or from the digits, with everything that people's folders have in them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from oodbench.benchmark.checks import check_dataset
from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.running.engine import run
from oodbench.benchmark.trials import class_labels, plan, with_size
from oodbench.datasets import DatasetError
from oodbench.datasets.folder import FolderDataset, folder, read_image
from tests.datasets.components.test_images import HARMFUL, png


def picture(seed: int, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> Image.Image:
    generator = np.random.default_rng(seed)
    small = Image.fromarray(generator.integers(0, 255, (5, 5, 3), dtype=np.uint8))
    return small.resize(size, Image.Resampling.BICUBIC).convert(mode)


def fill(path: Path, count: int, *, mode: str = "RGB", start: int = 0, ending: str = "jpg") -> None:
    path.mkdir(parents=True, exist_ok=True)
    for number in range(start, start + count):
        picture(number, (20 + number % 17, 40 - number % 13), mode).save(path / f"{number}.{ending}")


def made(path: Path, end: str = "") -> FolderDataset:
    return folder(f"{path}{end}")(path)  # type: ignore[return-value]


def test_a_folder_a_class(tmp_path: Path) -> None:
    fill(tmp_path / "cats", 20)
    fill(tmp_path / "dogs", 10, start=50)
    dataset = made(tmp_path)
    assert dataset.class_names == ("cats", "dogs")
    assert dataset.shape == (3, 32, 32)
    assert dataset.name == f"folder:{tmp_path}"
    train, test = dataset.load("train"), dataset.load("test")
    assert train.labels.bincount().tolist() == [14, 7]
    assert test.labels.bincount().tolist() == [6, 3]
    assert train.images.shape == (21, 3, 32, 32)
    assert train.images.dtype == torch.uint8
    check_dataset(dataset)


def test_normal_and_ood(tmp_path: Path) -> None:
    fill(tmp_path / "normal", 20)
    fill(tmp_path / "ood", 10, start=50)
    dataset = made(tmp_path)
    assert dataset.normal_classes() == [0]
    assert dataset.load("train").labels.bincount().tolist() == [14]
    assert dataset.load("test").labels.bincount().tolist() == [6, 10]
    assert class_labels(type(dataset), []) == [0]
    with pytest.raises(UsageError, match=r"Class 'ood' of folder:.* is never trained on: choose among normal"):
        class_labels(type(dataset), ["ood"])
    check_dataset(dataset)


def test_train_and_test(tmp_path: Path) -> None:
    """As in MVTec AD: defects stand in the test part only."""
    fill(tmp_path / "train" / "good", 12)
    fill(tmp_path / "test" / "good", 5, start=20)
    fill(tmp_path / "test" / "scratch" / "deep", 4, start=40)
    dataset = made(tmp_path)
    assert dataset.class_names == ("good", "scratch")
    assert dataset.normal_classes() == [0]
    assert dataset.load("train").labels.tolist() == [0] * 12
    assert dataset.load("test").labels.bincount().tolist() == [5, 4]


def test_size_and_grey(tmp_path: Path) -> None:
    fill(tmp_path / "a", 5, mode="L", ending="png")
    fill(tmp_path / "b", 5, mode="1", ending="png")
    dataset = made(tmp_path, "@24")
    assert dataset.shape == (1, 24, 24)
    assert dataset.name == f"folder:{tmp_path}@24"
    assert dataset.load("test").images.shape[1:] == (1, 24, 24)
    picture(0).save(tmp_path / "b" / "colour.jpg")
    assert made(tmp_path).shape == (3, 32, 32)
    assert with_size("folder:x", 24) == "folder:x@24"
    with pytest.raises(UsageError, match="--image-size is for datasets folder:PATH; mnist has a size of its own"):
        with_size("mnist", 24)


def test_what_cannot_be_read_is_counted_and_named(tmp_path: Path) -> None:
    fill(tmp_path / "a", 12)
    fill(tmp_path / "b", 12)
    (tmp_path / "a" / "broken.jpg").write_bytes(b"no picture")
    whole = (tmp_path / "b" / "3.jpg").read_bytes()
    (tmp_path / "b" / "cut off.jpg").write_bytes(whole[: len(whole) // 3])
    (tmp_path / "b" / "notes.txt").write_text("no image, and not meant to be one")
    (tmp_path / "b" / ".hidden.jpg").write_bytes(b"thumbnail")
    dataset = made(tmp_path)
    assert len(dataset.load("train").images) + len(dataset.load("test").images) == 24
    found, *left_out, unreadable = dataset.warnings()
    assert found == (
        f"{dataset.name}: 26 images of 2 classes: a (9 to train, 4 to test), b (9 to train, 4 to test); "
        "each is the normal one in turn."
    )
    assert sorted(sentence.partition(": ")[2] for sentence in left_out) == [
        "1 left out, hidden or of the system: b/.hidden.jpg.",
        "1 left out, without the ending of an image: b/notes.txt.",
    ]
    assert unreadable.endswith("2 of 26 files cannot be read as images and are left out: a/broken.jpg, b/cut off.jpg.")


def test_modes(tmp_path: Path) -> None:
    """Everything that Pillow opens comes out as bytes, brightness kept; what is transparent is shown on white."""
    half = np.full((9, 9), 0.5)
    images = {
        "grey.png": Image.fromarray((half * 255).astype(np.uint8)),
        "16 bits.png": Image.fromarray((half * 65535).astype(np.uint16)),
        "palette.png": Image.fromarray((half * 255).astype(np.uint8)).convert("P"),
        "cmyk.jpg": Image.new("RGB", (9, 9), (127, 127, 127)).convert("CMYK"),
        "transparent.png": Image.new("RGBA", (9, 9), (0, 0, 0, 128)),
        "la.png": Image.new("LA", (9, 9), (0, 128)),
    }
    for name, image in images.items():
        image.save(tmp_path / name)
        for channels in (1, 3):
            pixels = read_image(tmp_path / name, (channels, 6, 6))
            assert pixels.shape == (channels, 6, 6)
            assert pixels.dtype == np.uint8
            assert np.abs(pixels.astype(int) - 127).max() <= 2, name


def test_cropped_to_the_middle_and_upright(tmp_path: Path) -> None:
    pixels = np.zeros((10, 30, 3), dtype=np.uint8)
    pixels[:, 10:20] = 255
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    assert read_image(tmp_path / "wide.png", (1, 10, 10)).min() == 255
    turned = Image.fromarray(np.vstack([np.full((5, 10), 255), np.zeros((5, 10))]).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 3  # taken upside down
    turned.save(tmp_path / "turned.jpg", exif=exif)
    upright = read_image(tmp_path / "turned.jpg", (1, 10, 10))[0]
    assert upright[0].mean() < 20 < 230 < upright[-1].mean()


def test_numbered_classes_are_sorted_by_number_and_found_by_name(tmp_path: Path) -> None:
    for name in ("10", "9", "1"):
        fill(tmp_path / name, 4)
    cls = folder(str(tmp_path))
    assert cls.class_names == ("1", "9", "10")
    assert class_labels(cls, ["9", "1"]) == [1, 0]


def test_the_version_follows_the_files(tmp_path: Path) -> None:
    fill(tmp_path / "a", 6)
    fill(tmp_path / "b", 6)
    before = made(tmp_path).version
    assert made(tmp_path).version == before
    fill(tmp_path / "b", 1, start=99)
    assert made(tmp_path).version != before


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("nowhere", "There is no folder .*nowhere: name one after folder:"),
        ("empty", "empty holds no folders with images: it should hold a folder of images for each class"),
        ("one", "one holds only: it should hold"),
        ("one@2", "Images of 2×2 pixels cannot be benchmarked: choose a size from 4 to 1024"),
    ],
)
def test_what_is_no_dataset_is_refused(tmp_path: Path, argument: str, message: str) -> None:
    (tmp_path / "empty" / "notes").mkdir(parents=True)
    fill(tmp_path / "one" / "only", 4)
    with pytest.raises(DatasetError, match=message):
        folder(f"{tmp_path}/{argument}")


def test_a_class_of_broken_files_only_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "a", 6)
    for number in range(6):
        (tmp_path / "b").mkdir(exist_ok=True)
        (tmp_path / "b" / f"{number}.jpg").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"No image of b in .* can be read"):
        made(tmp_path).load("train")


def save(path: Path, values: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def grey(seed: int) -> NDArray[Any]:
    return np.asarray(picture(seed, (12, 12), "L"))


@pytest.mark.parametrize("factor", [1, 16, 257])
def test_a_dataset_is_the_same_in_8_bits_and_in_16(tmp_path: Path, factor: int) -> None:
    for number in range(8):
        for name in ("a", "b"):
            save(tmp_path / "8" / name / f"{number}.tif", grey(number + 50 * (name == "b")))
            deep = grey(number + 50 * (name == "b")).astype(np.uint16) * factor
            save(tmp_path / "16" / name / f"{number}.tif", deep)
    shallow, deep_one = made(tmp_path / "8"), made(tmp_path / "16")
    images, deep_images = (dataset.load("train").images.int() for dataset in (shallow, deep_one))
    assert (images - deep_images).abs().max() <= 3  # one grey value, grown by sharp interpolation
    assert shallow.card() == {}
    high = {1: 255.0, 16: 4095.0, 257: 65535.0}[factor]
    assert deep_one.card() == {"scale": {"integer": [0.0, high]}}
    assert json.loads(json.dumps(deep_one.card())) == deep_one.card()
    assert (
        f"{deep_one.name}: 16 of 16 files have more than 8 bits (integer); in all of them 0 becomes black and {high:g} "
        "white." in deep_one.warnings()
    )


def test_dim_colours_of_16_bits_are_refused(tmp_path: Path) -> None:
    for number in range(4):
        for name in ("a", "b"):
            (tmp_path / name).mkdir(exist_ok=True)
            png(tmp_path / name / f"{number}.png", np.repeat(grey(number)[..., None], 3, axis=2), 2)
    with pytest.raises(
        DatasetError, match=r"a/\d\.png has colours of 16 bits, and none of 8 .* convert them to 8 bits"
    ):
        folder(str(tmp_path))
    png(tmp_path / "b" / "bright.png", np.full((12, 12, 3), 60_000), 2)
    assert made(tmp_path).card() == {"scale": {"colour": [0.0, 65535.0]}}


def test_a_run_says_what_it_found(tmp_path: Path) -> None:
    fill(tmp_path / "Train" / "good", 6, ending="png")
    fill(tmp_path / "Train" / "new", 1, start=70, ending="png")
    fill(tmp_path / "Test" / "good", 4, start=4, ending="png")  # two of them are training images
    fill(tmp_path / "Test" / "defect", 3, start=20, ending="png")
    fill(tmp_path / "Test" / "dent", 2, start=30, ending="png")
    frames = [picture(seed, (12, 12)) for seed in (90, 91)]
    frames[0].save(tmp_path / "Test" / "dent" / "film.gif", save_all=True, append_images=frames[1:])
    dataset = made(tmp_path)
    dataset.load("train"), dataset.load("test")
    found, several, both = (sentence.removeprefix(f"{dataset.name}: ") for sentence in dataset.warnings())
    assert found == (
        "17 images of 4 classes: defect (0 to train, 3 to test), dent (0 to train, 3 to test), good (6 to train, 4 to "
        "test), new (1 to train, 0 to test); never normal, only OOD: defect (by its name), dent (no training images), "
        "new (no test images)."
    )
    assert several == "only the first frame or page is read of Test/dent/film.gif."
    assert both == "2 of 10 test images are training images too: Test/good/4.png, Test/good/5.png."
    assert dataset.normal_classes() == [2]


def test_names_of_anomalies_are_never_trained_on(tmp_path: Path) -> None:
    for name in ("mask", "NG", "ok"):
        fill(tmp_path / name, 4)
    dataset = made(tmp_path)
    assert [dataset.class_names[label] for label in dataset.normal_classes()] == ["ok"]
    assert set(dataset.load("train").labels.tolist()) == {dataset.class_names.index("ok")}
    (tmp_path / "ok").rename(tmp_path / "bad")
    with pytest.raises(DatasetError, match=r"holds NG \(by its name\), bad \(by its name\), mask \(by its name\): it"):
        folder(str(tmp_path))


def test_the_version_is_of_the_content(tmp_path: Path) -> None:
    """Not of where it lies, nor of times; names count, since the parts are drawn from them."""
    here, there = tmp_path / "here", tmp_path / "there"
    fill(here / "a", 6, ending="bmp")
    fill(here / "b", 6, ending="bmp")
    shutil.copytree(here, there, copy_function=shutil.copyfile)
    assert made(there).version == made(here).version
    content = bytearray((there / "a" / "0.bmp").read_bytes())
    content[-1] ^= 1
    (there / "a" / "0.bmp").write_bytes(content)
    changed = made(there).version
    assert changed != made(here).version
    (here / "a" / "0.bmp").rename(here / "a" / "zero.bmp")
    (there / "b").rename(there / "c")
    assert len({made(here).version, made(there).version, changed}) == 3


def test_a_class_is_of_the_files_that_it_was_made_for(tmp_path: Path) -> None:
    fill(tmp_path / "cat", 6)
    fill(tmp_path / "dog", 6)
    dataset = made(tmp_path)
    dataset.load("train")
    fill(tmp_path / "ant", 6)
    with pytest.raises(DatasetError, match=r"The images in .* have changed since they were looked at: run it again"):
        dataset.load("test")
    shutil.rmtree(tmp_path / "dog")
    shutil.rmtree(tmp_path / "cat")
    with pytest.raises(DatasetError, match="have changed"):
        dataset.load("test")


def test_a_folder_that_changed_is_looked_at_again_in_one_process(tmp_path: Path) -> None:
    """A class that comes first by alphabet takes no other's place, not even where all is run by force."""
    images = tmp_path / "images"
    fill(images / "cat", 8)
    fill(images / "dog", 8, start=40)
    plugins, store, name = Plugins.load(), Store.at(tmp_path / "out"), f"folder:{images}"
    plan(plugins, detectors=["mean"], datasets=[name])
    before = plugins.datasets[name]
    fill(images / "ant", 8, start=80)
    trials = plan(plugins, detectors=["mean"], datasets=[name])
    after = plugins.datasets[name]
    assert (before.class_names, after.class_names) == (("cat", "dog"), ("ant", "cat", "dog"))
    assert before.version != after.version
    run(trials, plugins, store, data=tmp_path, jobs=1, force=True)
    found = {result.normal_class: (result.class_name, result.data_version) for result in store.read_all()}
    assert found == {0: ("ant", after.version), 1: ("cat", after.version), 2: ("dog", after.version)}


def test_names_that_are_no_utf_8(tmp_path: Path) -> None:
    """Those of classes and files become readable; that of the folder, which a worker must find again, is refused."""
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    fill(odd, 6)
    fill(tmp_path / "tea", 6)
    (odd / os.fsdecode(b"\xff.jpg")).write_bytes(b"no picture")
    dataset = made(tmp_path)
    assert dataset.class_names == (r"caf\xe9", "tea")
    dataset.load("train"), dataset.load("test")
    sentences = "\n".join(dataset.warnings())
    assert r"1 of 13 files cannot be read as images and are left out: caf\xe9/\xff.jpg." in sentences
    sentences.encode()
    with pytest.raises(DatasetError, match=r"The name of the folder .*caf\\xe9 is no UTF-8: rename it"):
        folder(str(odd))
    with pytest.raises(DatasetError, match=r"There is no folder .*\\xe9"):
        folder(f"{odd}/none")


def test_names_may_hold_anything(tmp_path: Path) -> None:
    names = ("a\nb", "$x$ | <img onerror=1>", "[bold]", ":cat:", "猫", "\x1b[31m", "=1+1", " ")
    for name in names:
        fill(tmp_path / "new\nline@" / name, 3)
    dataset = made(tmp_path / "new\nline@", "@16")
    assert set(dataset.class_names) == set(names)
    assert dataset.shape == (3, 16, 16)
    assert len(dataset.load("train").images) == 16


def test_files_that_do_harm_are_counted_and_named(tmp_path: Path) -> None:
    fill(tmp_path / "a", 8)
    fill(tmp_path / "b", 8, start=50)
    harmful = {name: content for name, content in HARMFUL.items() if name != "cut.avif"}  # not every Pillow knows AVIF
    for name, content in harmful.items():
        (tmp_path / "a" / name).write_bytes(content)
    dataset = made(tmp_path)
    assert len(dataset.load("train").images) + len(dataset.load("test").images) == 16
    *_, ending, unreadable = dataset.warnings()
    assert ending == f"{dataset.name}: 1 left out, without the ending of an image: a/script.eps."
    count, total = len(harmful) - 1, len(harmful) - 1 + 16
    assert unreadable.endswith(
        f"{count} of {total} files cannot be read as images and are left out: a/bad.dds, a/bad.ppm, a/bad.sgi, "
        f"a/bad.tif, a/bomb.png and {count - 5} more."
    )


def test_planned_by_path(tmp_path: Path, plugins: Plugins) -> None:
    fill(tmp_path / "a b" / "normal", 6)
    fill(tmp_path / "a b" / "ood", 6)
    (trial,) = plan(plugins, detectors=["mean"], datasets=[f"folder:{tmp_path}/a b/"])
    assert trial.dataset == f"folder:{tmp_path}/a b"
    assert "/" not in trial.path.parts[0]
    assert f"--dataset 'folder:{tmp_path}/a b' --class normal" in trial.command("normal")
