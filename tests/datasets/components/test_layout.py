"""Folders as people and programs leave them: parts and classes, and what is no part of either."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from oodbench.datasets import DatasetError
from oodbench.datasets.components import layout
from oodbench.datasets.components.layout import find_images, is_abnormal, layout_of


def make(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def names_in(root: Path, left_out: dict[str, list[Path]]) -> dict[str, list[str]]:
    return {reason: sorted(str(path.relative_to(root)) for path in paths) for reason, paths in left_out.items()}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "test"),
        ("Train", "Test"),
        ("TRAIN", "TEST"),
        ("training", "testing"),
        ("trainset", "testset"),
        ("train", "val"),
        ("train", "valid"),
        ("Training", "Validation"),
    ],
)
def test_parts(tmp_path: Path, train: str, test: str) -> None:
    make(tmp_path, f"{train}/cat/1.png", f"{train}/dog/2.png", f"{test}/cat/3.png", f"{test}/dog/4.png")
    found = layout_of(tmp_path)
    assert found.names == ["cat", "dog"]
    assert found.parts["train"] == {"cat": [tmp_path / train / "cat/1.png"], "dog": [tmp_path / train / "dog/2.png"]}
    assert found.parts["test"] == {"cat": [tmp_path / test / "cat/3.png"], "dog": [tmp_path / test / "dog/4.png"]}
    assert found.left_out == {}


def test_what_stands_beside_the_parts_is_left_out(tmp_path: Path) -> None:
    make(tmp_path, "train/cat/1.png", "train/dog/1.png", "valid/cat/2.png", "test/cat/3.png", "test/dog/3.png")
    make(tmp_path, "ground_truth/cat/3_mask.png", "spare/5.png", "6.png", "train/7.png", "README.md")
    found = layout_of(tmp_path)
    assert found.names == ["cat", "dog"]
    assert names_in(tmp_path, found.left_out) == {
        layout.HELD_OUT: ["valid/cat/2.png"],
        layout.MASKS: ["ground_truth/cat/3_mask.png"],
        layout.OUTSIDE: ["6.png", "spare/5.png", "train/7.png"],
    }


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["train/a/1.png", "train/b/1.png"], r"holds train/ but no test/: add that, or name .*/train itself"),
        (["a/1.png", "b/1.png", "test/2.png"], "holds test/ but no train/"),
        (["a/1.png", "b/1.png", "val/a/2.png"], "holds val/ but no train/"),
        (["a/1.png", "train/b/1.png"], "holds train/ but no test/"),
        (["train/a/1.png", "Train/a/1.png", "test/a/1.png"], r"holds both (train/ and Train|Train/ and train)/"),
        (["train/a/1.png", "val/a/1.png", "valid/a/1.png"], "holds both val/ and valid/"),
        (
            ["bottle/train/a/1.png", "bottle/test/a/1.png", "cap/train/a/1.png"],
            "bottle holds a training and a test part",
        ),
        (
            ["set/Training/a/1.png", "set/validation/a/1.png", "__MACOSX/x/1.png"],
            "set holds a training and a test part",
        ),
    ],
)
def test_what_can_be_taken_in_two_ways_is_refused(tmp_path: Path, files: list[str], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        layout_of(make(tmp_path, *files))


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    assert layout_of(make(tmp_path, "bus/1.png", "car/1.png", "train/1.png")).names == ["bus", "car", "train"]


def test_hidden_and_system_folders_are_no_classes_and_leak_nothing(tmp_path: Path) -> None:
    hidden = [
        *("a/.ipynb_checkpoints/1-checkpoint.png", "a/@eaDir/1.png/thumb.png", "b/__MACOSX/._1.png", "b/._1.png"),
        *(".Trash-1000/files/1.png", "@eaDir/1.png", "#recycle/1.png", "$RECYCLE.BIN/1.png", ".git/1.png"),
        *("a/Thumbs.db", "b/.DS_Store"),
    ]
    found = layout_of(make(tmp_path, "a/1.png", "b/1.png", *hidden))
    assert found.parts == {"": {"a": [tmp_path / "a/1.png"], "b": [tmp_path / "b/1.png"]}}
    assert names_in(tmp_path, found.left_out) == {
        layout.HIDDEN: sorted(
            [
                *("#recycle", "$RECYCLE.BIN", ".Trash-1000", ".git", "@eaDir", "a/.ipynb_checkpoints", "a/@eaDir"),
                *("a/Thumbs.db", "b/.DS_Store", "b/._1.png", "b/__MACOSX"),
            ]
        )
    }


def test_a_folder_below_a_hidden_one_can_be_named(tmp_path: Path) -> None:
    assert layout_of(make(tmp_path / ".cache" / "images", "a/1.png", "b/1.png")).names == ["a", "b"]


def test_links_endings_and_pipes_are_counted(tmp_path: Path) -> None:
    make(
        tmp_path,
        "a/1.png",
        "a/deep/2.JPG",
        "a/notes.txt",
        "a/photo.heic",
        "a/scan",
        "a/figure.eps",
        "b/1.png",
        "c/x.csv",
    )
    make(tmp_path.parent / "elsewhere", "3.png")
    (tmp_path / "a/link.png").symlink_to(tmp_path / "a/1.png")
    (tmp_path / "a/broken.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "a/folder").symlink_to(tmp_path.parent / "elsewhere")
    (tmp_path / "a/loop").symlink_to(tmp_path / "a")
    (tmp_path / "lost").symlink_to(tmp_path / "gone")
    (tmp_path / "linked").symlink_to(tmp_path.parent / "elsewhere")
    os.mkfifo(tmp_path / "b/pipe.png")
    found = layout_of(tmp_path)
    assert {name: len(files) for name, files in found.parts[""].items()} == {"a": 3, "b": 1, "linked": 1}
    assert names_in(tmp_path, found.left_out) == {
        layout.BROKEN: ["a/broken.png", "lost"],
        layout.EMPTY: ["c"],
        layout.ENDING: ["a/figure.eps", "a/notes.txt", "a/photo.heic", "a/scan", "c/x.csv"],
        layout.LINKED: ["a/folder", "a/loop"],
        layout.SPECIAL: ["b/pipe.png"],
    }


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    make(tmp_path, "a/1.png", "a/closed/2.png")
    monkeypatch.setattr(os, "scandir", refuse)
    found = find_images(tmp_path)
    assert found.files == [tmp_path / "a/1.png"]
    assert found.left_out == {layout.CLOSED: [tmp_path / "a/closed"]}


@pytest.mark.parametrize(
    "name",
    [
        "ood",
        "OOD",
        "mask",
        "Defect",
        "defect_2",
        "bad",
        "ng",
        "NG",
        "anomalous",
        "Not OK",
        "out-of-distribution",
        "faulty",
    ],
)
def test_names_of_what_is_never_normal(name: str) -> None:
    assert is_abnormal(name)


@pytest.mark.parametrize("name", ["normal", "good", "ok", "badger", "king", "7", "ng-free", "without_mask"])
def test_names_of_what_may_be_normal(name: str) -> None:
    assert not is_abnormal(name)


def test_one_accent_in_two_spellings_is_one_class(tmp_path: Path) -> None:
    """As between a Mac's folder and another's; and bytes that are no UTF-8 become readable."""
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    make(tmp_path, f"train/{composed}/1.png", f"test/{decomposed}/1.png", "train/tea/1.png", "test/tea/1.png")
    make(tmp_path, os.fsdecode(b"test/caf\xe9/1.png"))
    found = layout_of(tmp_path)
    assert found.names == [r"caf\xe9", composed, "tea"]
    assert found.parts["test"].keys() == set(found.names)
