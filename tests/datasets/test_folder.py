"""Folders of real JPEGs, made from CIFAR-10 or from the digits, with everything that people's folders have in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from oodbench.benchmark.checks import check_dataset
from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.trials import class_labels, plan, with_size
from oodbench.datasets import DatasetError
from oodbench.datasets.folder import FolderDataset, folder, read_image


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


def test_planned_by_path(tmp_path: Path, plugins: Plugins) -> None:
    fill(tmp_path / "a b" / "normal", 6)
    fill(tmp_path / "a b" / "ood", 6)
    (trial,) = plan(plugins, detectors=["mean"], datasets=[f"folder:{tmp_path}/a b/"])
    assert trial.dataset == f"folder:{tmp_path}/a b"
    assert "/" not in trial.path.parts[0]
    assert f"--dataset 'folder:{tmp_path}/a b' --class normal" in trial.command("normal")
