"""folder: your own images, in folders; ``folder:PATH``, or ``folder:PATH@SIZE`` for images of another size than 32."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from oodbench.datasets.base import Dataset, DatasetError, Part, register_family

SIZE = 32
TEST_SHARE = 0.3
GREY_MODES = {"1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F"}
ABNORMAL_NAMES = {"ood", "abnormal", "anomaly"}
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
"""Raised by Pillow for files that are no images, or corrupt ones."""
NAMED = 5
"""Unreadable files that a warning names; it counts the others."""


@register_family("folder")
def folder(argument: str) -> type[Dataset]:
    """Your own images: a folder a class, or normal/ and ood/; with train/ and test/ or without.

    Parameters
    ----------
    argument : str
        ``PATH`` or ``PATH@SIZE``. PATH holds a folder for each class, or ``train`` and ``test`` with such folders in
        them. A class that is called "ood", "abnormal" or "anomaly", or has no training images, is never the normal one.
        Without ``train`` and ``test``, a fixed 30 % of each class are the test part, and all of what is never normal.

    Returns
    -------
    type
        Images of SIZE × SIZE pixels, grey if all files are.

    Raises
    ------
    DatasetError
        There are no images, or not in such folders.
    """
    match = re.fullmatch(r"(.+?)(?:@(\d+))?", argument)
    path, size = (Path(match[1]), int(match[2] or SIZE)) if match else (Path(argument), SIZE)
    if not path.is_dir():
        raise DatasetError(
            f"There is no folder {path}: name one after folder:, with a folder of images for each class."
        )
    if not 4 <= size <= 1024:
        raise DatasetError(f"Images of {size}×{size} pixels cannot be benchmarked: choose a size from 4 to 1024.")
    tree = Tree.at(path)
    name = f"folder:{path.as_posix()}" + (f"@{size}" if size != SIZE else "")
    attributes = {
        "name": name,
        "__module__": __name__,
        "__doc__": f"The images in {path}.",
        "tree": tree,
        "class_names": tree.class_names,
        "shape": (1 if tree.is_grey() else 3, size, size),
        "abnormal": tree.abnormal,
        "version": tree.version(),
    }
    return type("Folder", (FolderDataset,), attributes)


@dataclass(frozen=True)
class Tree:
    """The image files of a folder, by part and class.

    Attributes
    ----------
    root : Path
        The folder.
    class_names : tuple of str
        Sorted; numbers by their value.
    files : dict
        For (part, label) the files, sorted.
    abnormal : tuple of int
        Labels of classes that cannot be the normal one.
    """

    root: Path
    class_names: tuple[str, ...]
    files: dict[tuple[str, int], list[Path]]
    abnormal: tuple[int, ...] = field(default=())

    @classmethod
    def at(cls, root: Path) -> Tree:
        """Read a folder; raises DatasetError if it does not hold at least two classes, one of them normal."""
        in_parts = (root / "train").is_dir() and (root / "test").is_dir()
        tops = [root / "train", root / "test"] if in_parts else [root]
        found = {path.name for top in tops for path in top.iterdir() if path.is_dir() and images_in(path)}
        names = tuple(
            sorted(found, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))
        )
        files: dict[tuple[str, int], list[Path]] = {}
        for label, name in enumerate(names):
            if in_parts:
                parts = {part: images_in(root / part / name) for part in ("train", "test")}
            else:
                parts = _split(images_in(root / name), all_for_test=name.lower() in ABNORMAL_NAMES)
            files |= {(part, label): paths for part, paths in parts.items()}
        abnormal = tuple(
            label
            for label, name in enumerate(names)
            if name.lower() in ABNORMAL_NAMES or not files["train", label] or not files["test", label]
        )
        if len(names) < 2 or len(abnormal) == len(names):
            layout = "a folder of images for each class, at least two (as normal/ and ood/)"
            raise DatasetError(
                f"{root} holds {', '.join(names) or 'no folders with images'}: it should hold {layout}, or train/ and "
                f"test/ with such folders in them."
            )
        return cls(root, names, files, abnormal)

    def is_grey(self) -> bool:
        """Whether no file is in colour; unreadable ones do not count."""
        return all(mode in GREY_MODES for paths in self.files.values() for mode in _modes(paths))

    def version(self) -> str:
        """Return a hash of the names and sizes of all files."""
        lines = [
            f"{part} {self.class_names[label]} {path.name} {path.stat().st_size}"
            for (part, label), paths in sorted(self.files.items())
            for path in paths
        ]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


class FolderDataset(Dataset):
    """Images in folders; the base of what `folder` makes."""

    tree: ClassVar[Tree]

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.unreadable: list[Path] = []

    def load(self, part: Literal["train", "test"]) -> Part:
        """Read and resize one part's images, except those that cannot be read; see `Dataset.load`."""
        import torch

        images, labels = [], []
        for (of_part, label), paths in self.tree.files.items():
            for path in paths if of_part == part else ():
                try:
                    images.append(read_image(path, self.shape))
                except UNREADABLE:
                    self.unreadable.append(path)
                else:
                    labels.append(label)
        left = set(labels)
        lost = [self.class_names[label] for label in self.normal_classes() if label not in left]
        if lost:
            raise DatasetError(f"No image of {', '.join(lost)} in {self.tree.root} can be read: are they image files?")
        return Part(torch.from_numpy(np.stack(images)), torch.tensor(labels, dtype=torch.int64))

    def warnings(self) -> list[str]:
        """Return a sentence that counts and names the files that could not be read; see `Dataset.warnings`."""
        if not self.unreadable:
            return []
        total = sum(map(len, self.tree.files.values()))
        unreadable = sorted(set(self.unreadable))
        named = ", ".join(str(path.relative_to(self.tree.root)) for path in unreadable[:NAMED])
        more = f" and {len(unreadable) - NAMED} more" if len(unreadable) > NAMED else ""
        return [
            f"{self.name}: {len(unreadable)} of {total} files cannot be read as images and are left out: {named}{more}."
        ]


def images_in(path: Path) -> list[Path]:
    """Return the image files in a folder and the folders below it, told by their endings; hidden ones left out."""
    endings = Image.registered_extensions()
    return sorted(
        file
        for file in path.rglob("*")
        if file.suffix.lower() in endings and not file.name.startswith(".") and file.is_file()
    )


def read_image(path: Path, shape: tuple[int, int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Read one image file, cropped to the middle and resized.

    Parameters
    ----------
    path : Path
        In any format and mode that Pillow reads.
    shape : tuple of int
        (C, H, W); C is 1 (grey) or 3 (RGB).

    Returns
    -------
    array
        uint8 (C, H, W).

    Raises
    ------
    OSError, ValueError, SyntaxError
        Pillow cannot read it.
    """
    channels, height, width = shape
    with Image.open(path) as file:
        upright = ImageOps.exif_transpose(file)
        if upright.mode.startswith("I"):  # 16 bits; Pillow would cut them off at 255
            upright = Image.fromarray((np.asarray(upright, dtype=np.float64) / 257).clip(0, 255).astype(np.uint8))
        elif "A" in upright.mode or "transparency" in upright.info:  # what is transparent is shown on white
            upright = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
        converted = upright.convert("L" if channels == 1 else "RGB")
    pixels = np.asarray(ImageOps.fit(converted, (width, height), Image.Resampling.BICUBIC))
    return pixels.reshape(height, width, channels).transpose(2, 0, 1).copy()


def _split(paths: list[Path], *, all_for_test: bool) -> dict[str, list[Path]]:
    if all_for_test or len(paths) < 2:
        return {"train": [], "test": paths}
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(paths, test_size=TEST_SHARE, random_state=0)
    return {"train": sorted(train), "test": sorted(test)}


def _modes(paths: Iterable[Path]) -> Iterable[str]:
    for path in paths:
        try:
            with Image.open(path) as image:
                yield image.mode
        except (OSError, UnidentifiedImageError):
            continue
