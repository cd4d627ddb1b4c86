"""folder: your own images, in folders; ``folder:PATH``, or ``folder:PATH@SIZE`` for images of another size than 32."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from oodbench.datasets.base import Dataset, DatasetError, Part, register_family
from oodbench.datasets.components.contents import Content, contents
from oodbench.datasets.components.images import (
    COLOUR,
    DEFAULTS,
    GREY_MODES,
    LEAST_SHARE,
    UNREADABLE,
    Range,
    read_image,
    scale_of,
)
from oodbench.datasets.components.layout import find_images, is_abnormal, layout_of, shown

__all__ = ["UNREADABLE", "FolderDataset", "Tree", "folder", "images_in", "read_image"]

SIZE = 32
TEST_SHARE = 0.3
NAMED = 5
"""Files or classes that a sentence names; it counts the others."""
VERSION = 2
"""Raised whenever the same files give other images, or other splits, than before."""


@register_family("folder")
def folder(argument: str) -> type[Dataset]:
    """Your own images: a folder a class, or normal/ and ood/; with train/ and test/ or without.

    Parameters
    ----------
    argument : str
        ``PATH`` or ``PATH@SIZE``. PATH holds a folder for each class, or ``train`` and ``test`` with such folders in
        them; see `oodbench.datasets.components.layout.layout_of`. A class that is called "ood", "defect", "bad" or the
        like, or has no training images, is never the normal one. Without ``train`` and ``test``, a fixed 30 % of each
        class are the test part, and all of what is never normal.

    Returns
    -------
    type
        Images of SIZE × SIZE pixels, grey if all files are. It stands for the files as they are now: `Dataset.load`
        refuses a folder that has changed since.

    Raises
    ------
    DatasetError
        There are no images, or not in such folders, or their colours cannot be read without loss.
    """
    match = re.fullmatch(r"(.+?)(?:@(\d+))?", argument, flags=re.DOTALL)
    path, size = (Path(match[1]), int(match[2] or SIZE)) if match else (Path(argument), SIZE)
    if not path.is_dir():
        raise DatasetError(
            f"There is no folder {shown(str(path))}: name one after folder:, with a folder of images for each class."
        )
    if shown(str(path)) != str(path):
        raise DatasetError(f"The name of the folder {shown(str(path))} is no UTF-8: rename it, or link to it.")
    if not 4 <= size <= 1024:
        raise DatasetError(f"Images of {size}×{size} pixels cannot be benchmarked: choose a size from 4 to 1024.")
    tree = Tree.at(path)
    tree.check_colours()
    name = f"folder:{path.as_posix()}" + (f"@{size}" if size != SIZE else "")
    attributes = {
        "name": name,
        "__module__": __name__,
        "__doc__": f"The images in {path}.",
        "tree": tree,
        "class_names": tree.class_names,
        "shape": (1 if tree.is_grey() else 3, size, size),
        "abnormal": tuple(tree.abnormal),
        "scale": tree.scale(),
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
    contents : dict
        What each file holds.
    abnormal : dict
        From the label of each class that cannot be the normal one to the reason.
    left_out : dict
        From reasons to the files and folders that are no part of the dataset.
    """

    root: Path
    class_names: tuple[str, ...]
    files: dict[tuple[str, int], list[Path]]
    contents: dict[Path, Content]
    abnormal: dict[int, str]
    left_out: dict[str, list[Path]]

    @classmethod
    def at(cls, root: Path) -> Tree:
        """Read a folder; raises DatasetError if it does not hold at least two classes, one of them normal."""
        layout = layout_of(root)
        names = tuple(layout.names)
        files: dict[tuple[str, int], list[Path]] = {}
        for label, name in enumerate(names):
            if "" in layout.parts:
                parts = _split(layout.parts[""][name], all_for_test=is_abnormal(name))
            else:
                parts = {part: sorted(classes.get(name, [])) for part, classes in layout.parts.items()}
            files |= {(part, label): paths for part, paths in parts.items()}
        abnormal = {
            label: reason
            for label, name in enumerate(names)
            if (reason := _why_abnormal(name, files["train", label], files["test", label]))
        }
        if len(names) < 2 or len(abnormal) == len(names):
            held = [f"{name} ({abnormal[label]})" if label in abnormal else name for label, name in enumerate(names)]
            layout_wanted = "a folder of images for each class, at least two (as normal/ and ood/)"
            raise DatasetError(
                f"{root} holds {', '.join(held) or 'no folders with images'}: it should hold {layout_wanted}, or "
                f"train/ and test/ with such folders in them."
            )
        every = [path for paths in files.values() for path in paths]
        return cls(root, names, files, contents(root, every), abnormal, layout.left_out)

    def is_grey(self) -> bool:
        """Return whether no file is in colour; unreadable ones do not count."""
        return all(content.look.mode in GREY_MODES for content in self.contents.values() if content.look.mode)

    def scale(self) -> dict[str, Range]:
        """Return how files with more than 8 bits become bytes; see `scale_of`."""
        return scale_of([content.look for content in self.contents.values()])

    def check_colours(self) -> None:
        """Raise DatasetError if there are colours of 16 bits that all lie in so low a range that 8 bits lose them."""
        deep = {path: content.look for path, content in self.contents.items() if content.look.kind == COLOUR}
        if deep and max(look.high for look in deep.values()) < LEAST_SHARE * DEFAULTS[COLOUR][1]:
            raise DatasetError(
                f"{shown(str(next(iter(deep))))} has colours of 16 bits, and none of {len(deep)} such files uses more "
                f"than a quarter of their range, so that most grey values would be lost: convert them to 8 bits."
            )

    def version(self) -> str:
        """Return a hash of the content of all files, with their names, classes and parts."""
        digest = hashlib.sha256(str(VERSION).encode())
        start = len(os.fsencode(self.root / "x")) - 1
        for (part, label), paths in sorted(self.files.items()):
            for path in paths:
                name = os.fsencode(path)[start:]  # `relative_to` would take half of the time
                line = (part.encode(), self.class_names[label].encode(), name, self.contents[path].digest.encode())
                digest.update(b"\0".join(line) + b"\0\0")
        return digest.hexdigest()[:12]


class FolderDataset(Dataset):
    """Images in folders; the base of what `folder` makes.

    Attributes
    ----------
    tree : Tree
        The files.
    scale : mapping
        How files with more than 8 bits become bytes; see `read_image`.
    """

    tree: ClassVar[Tree]
    scale: ClassVar[Mapping[str, Range]] = {}

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.unreadable: list[Path] = []
        self._digests: dict[str, list[tuple[bytes, Path]]] = {}

    @classmethod
    def card(cls) -> dict[str, Any]:
        """Return the scale, if files have more than 8 bits; see `Dataset.card`."""
        return {"scale": {kind: list(limits) for kind, limits in cls.scale.items()}} if cls.scale else {}

    def load(self, part: Literal["train", "test"]) -> Part:
        """Read and resize one part's images, except those that cannot be read; see `Dataset.load`."""
        import torch

        images, labels, digests = [], [], []
        for (of_part, label), paths in self.tree.files.items():
            for path in paths if of_part == part else ():
                try:
                    image = read_image(path, self.shape, self.scale)
                except UNREADABLE:
                    self.unreadable.append(path)
                else:
                    images.append(image)
                    labels.append(label)
                    digests.append((hashlib.blake2b(image.tobytes(), digest_size=16).digest(), path))
        if self._has_changed():
            raise DatasetError(f"The images in {self.tree.root} have changed since they were looked at: run it again.")
        left = set(labels)
        lost = [self.class_names[label] for label in self.normal_classes() if label not in left]
        if lost:
            raise DatasetError(f"No image of {', '.join(lost)} in {self.tree.root} can be read: are they image files?")
        self._digests[part] = digests
        return Part(torch.from_numpy(np.stack(images)), torch.tensor(labels, dtype=torch.int64))

    def warnings(self) -> list[str]:
        """Return what was found, what is left out and why, and what is odd, one sentence each."""
        sentences = [
            self._found(),
            *self._left_out(),
            *self._scaled(),
            *self._frames(),
            *self._on_both_sides(),
            *self._unread(),
        ]
        return [f"{self.name}: {sentence}." for sentence in sentences]

    def _has_changed(self) -> bool:
        try:
            return Tree.at(self.tree.root).version() != self.version
        except (DatasetError, OSError):
            return True

    def _found(self) -> str:
        tree = self.tree
        counts = [
            tuple(len(tree.files[part, label]) for part in ("train", "test")) for label in range(len(tree.class_names))
        ]
        classes = [
            f"{name} ({train} to train, {test} to test)"
            for name, (train, test) in zip(tree.class_names, counts, strict=True)
        ]
        never = [f"{tree.class_names[label]} ({reason})" for label, reason in tree.abnormal.items()]
        total = sum(map(sum, counts))
        normal = f"never normal, only OOD: {_listed(never)}" if never else "each is the normal one in turn"
        return f"{total} images of {len(classes)} classes: {_listed(classes)}; {normal}"

    def _left_out(self) -> list[str]:
        return [
            f"{len(paths)} left out, {reason}: {self._named(paths)}" for reason, paths in self.tree.left_out.items()
        ]

    def _scaled(self) -> list[str]:
        return [
            f"{self._count(kind)} of {len(self.tree.contents)} files have more than 8 bits ({kind}); in all of them "
            f"{low:g} becomes black and {high:g} white"
            for kind, (low, high) in self.scale.items()
        ]

    def _count(self, kind: str) -> int:
        return sum(content.look.kind == kind for content in self.tree.contents.values())

    def _frames(self) -> list[str]:
        several = [path for path, content in self.tree.contents.items() if content.look.frames]
        return [f"only the first frame or page is read of {self._named(several)}"] if several else []

    def _on_both_sides(self) -> list[str]:
        trained = {digest for digest, _ in self._digests.get("train", [])}
        tests = self._digests.get("test", [])
        both = [path for digest, path in tests if digest in trained]
        return [f"{len(both)} of {len(tests)} test images are training images too: {self._named(both)}"] if both else []

    def _unread(self) -> list[str]:
        unreadable = sorted(set(self.unreadable))
        total = len(self.tree.contents)
        counted = f"{len(unreadable)} of {total} files cannot be read as images and are left out"
        return [f"{counted}: {self._named(unreadable)}"] if unreadable else []

    def _named(self, paths: Sequence[Path]) -> str:
        return _listed([shown(str(path.relative_to(self.tree.root))) for path in paths])


def images_in(path: Path) -> list[Path]:
    """Return the image files in a folder and the folders below it, told by their endings; hidden ones left out."""
    return find_images(path).files


def _why_abnormal(name: str, train: Sequence[Path], test: Sequence[Path]) -> str:
    """Return why a class is never the normal one; nothing if it can be."""
    if is_abnormal(name):
        return "by its name"
    return "no training images" if not train else "" if test else "no test images"


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = f" and {len(every) - NAMED} more" if len(every) > NAMED else ""
    return ", ".join(every[:NAMED]) + more


def _split(paths: list[Path], *, all_for_test: bool) -> dict[str, list[Path]]:
    if all_for_test or len(paths) < 2:
        return {"train": [], "test": paths}
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(paths, test_size=TEST_SHARE, random_state=0)
    return {part: sorted(files, key=lambda path: path.parts) for part, files in (("train", train), ("test", test))}
