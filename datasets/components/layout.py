"""What a folder of images holds: parts, classes and files, and what is left out of them, with the reason."""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from oodbench.datasets.base import DatasetError
from oodbench.datasets.components.images import endings

TRAIN = frozenset({"train", "training", "trainset"})
TEST = frozenset({"test", "testing", "testset"})
VALIDATION = frozenset({"val", "valid", "validation", "dev"})
ABNORMAL = frozenset(
    {
        *("ood", "outofdistribution", "outlier", "outliers", "novel", "novelty", "mask", "masks"),
        *("abnormal", "abnormality", "anomaly", "anomalies", "anomalous"),
        *("defect", "defects", "defective", "fault", "faults", "faulty", "broken", "damaged"),
        *("bad", "ng", "nok", "notok", "nogood", "notgood", "fail", "failed", "reject", "rejects", "rejected"),
    }
)
"""Names of classes that are never the normal one, in small letters, without spaces, hyphens and final digits."""
SYSTEM = frozenset(
    {
        *("@eadir", "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot"),  # of network storage
        *("$recycle.bin", "recycler", "system volume information", "thumbs.db", "ehthumbs.db", "desktop.ini"),
        *("__macosx", "__pycache__", "lost+found"),
    }
)
"""Names of files and folders that programs make beside images, in small letters."""
ANNOTATIONS = frozenset({"groundtruth", "annotations"})

EMPTY = "folders without images"
HIDDEN = "hidden or of the system"
ENDING = "without the ending of an image"
OUTSIDE = "outside of the folders of classes"
BROKEN = "links to nothing"
LINKED = "linked folders below a class"
CLOSED = "not to be read (no permission)"
SPECIAL = "pipes or devices"
MASKS = "annotations by the name of their folder"
HELD_OUT = "in the validation part (a tenth of the training images is held out instead)"


@dataclass
class Found:
    """Image files, and what else there was.

    Attributes
    ----------
    files : list of Path
        Sorted.
    left_out : dict
        From a reason, worded as a plural, to the files and folders to which it applies.
    """

    files: list[Path] = field(default_factory=list)
    left_out: dict[str, list[Path]] = field(default_factory=dict)

    def leave_out(self, reason: str, *paths: Path) -> None:
        """Add paths for a reason."""
        if paths:
            self.left_out.setdefault(reason, []).extend(paths)

    def take_over(self, other: Found) -> None:
        """Add what another one left out."""
        for reason, paths in other.left_out.items():
            self.leave_out(reason, *paths)


@dataclass
class Layout:
    """The classes of a folder.

    Attributes
    ----------
    parts : dict
        For "train" and "test" the images of each class, by the name of its folder; for "" those of a folder that is not
        divided into parts.
    left_out : dict
        See `Found`.
    """

    parts: dict[str, dict[str, list[Path]]]
    left_out: dict[str, list[Path]]

    @property
    def names(self) -> list[str]:
        """Names of the classes, sorted; numbers by their value."""
        names = {name for classes in self.parts.values() for name in classes}
        return sorted(names, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))


def find_images(folder: Path) -> Found:
    """Return the images in a folder and the folders below it, told by their endings, and what is left out.

    Hidden files and folders, those of the system, and links to folders are left out, wherever they stand.

    Parameters
    ----------
    folder : Path
        An existing folder; it may be a link itself.

    Returns
    -------
    Found
    """
    found, known, waiting = Found(), endings(), [folder]
    while waiting:
        for entry in _entries(waiting.pop(), found):
            path = Path(entry.path)
            if _is_hidden(entry.name):
                found.leave_out(HIDDEN, path)
            elif entry.is_dir(follow_symlinks=False):
                waiting.append(path)
            elif entry.is_symlink() and not path.exists():
                found.leave_out(BROKEN, path)
            elif entry.is_dir():
                found.leave_out(LINKED, path)
            elif path.suffix.lower() not in known:
                found.leave_out(ENDING, path)
            elif not entry.is_file():
                found.leave_out(SPECIAL, path)
            else:
                found.files.append(path)
    found.files.sort(key=lambda path: path.parts)
    return found


def layout_of(root: Path) -> Layout:
    """Return the classes of a folder: its folders, or those in its training and test part.

    Parts are called train, training or trainset, and test, testing or testset, in capital or small letters. Beside
    both, a validation part (val, valid, validation, dev) is left out; without a test part it takes its place.

    Parameters
    ----------
    root : Path
        An existing folder.

    Returns
    -------
    Layout

    Raises
    ------
    DatasetError
        It cannot be told which folders are parts, or classes hold parts themselves.
    """
    rest = Found()
    tops = _folders(root, rest)
    parts = _parts(root, tops)
    if not parts:
        _refuse_parts_within(root, tops)
        return Layout({"": _classes(tops, rest)}, rest.left_out)
    for name, path in tops.items():
        if path not in parts.values():
            beside = find_images(path)
            reason = HELD_OUT if _word(name) in VALIDATION else MASKS if _word(name) in ANNOTATIONS else OUTSIDE
            rest.leave_out(reason, *beside.files)
    return Layout({part: _classes(_folders(path, rest), rest) for part, path in parts.items()}, rest.left_out)


def is_abnormal(name: str) -> bool:
    """Return whether a class is never the normal one, going by its name."""
    return re.sub(r"\d+$", "", _word(name)) in ABNORMAL


def shown(name: str) -> str:
    r"""Return a name in Unicode; bytes that are no UTF-8 are written as ``\xe9``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _word(name: str) -> str:
    return re.sub(r"[\s_.-]", "", name.casefold())


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in SYSTEM


def _entries(folder: Path, found: Found) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        found.leave_out(CLOSED, folder)
        return []


def _folders(folder: Path, found: Found) -> dict[str, Path]:
    """Return the folders directly in a folder by name, linked ones too; files beside them are left out."""
    folders, known = {}, endings()
    for entry in sorted(_entries(folder, found), key=lambda entry: entry.name):
        path = Path(entry.path)
        if _is_hidden(entry.name):
            found.leave_out(HIDDEN, path)
        elif entry.is_dir():
            folders[entry.name] = path
        elif entry.is_symlink() and not path.exists():
            found.leave_out(BROKEN, path)
        elif path.suffix.lower() in known:
            found.leave_out(OUTSIDE, path)
    return folders


def _classes(folders: dict[str, Path], found: Found) -> dict[str, list[Path]]:
    """Return the images of each class that has any; what is left out is added to `found`."""
    classes: dict[str, list[Path]] = {}
    for name, path in folders.items():
        inside = find_images(path)
        found.take_over(inside)
        if _word(name) in ANNOTATIONS:
            found.leave_out(MASKS, *inside.files)
        elif not inside.files:
            found.leave_out(EMPTY, path)
        else:
            # composed and decomposed accents look alike, and stand for one class
            classes.setdefault(unicodedata.normalize("NFC", shown(name)), []).extend(inside.files)
    return classes


def _parts(root: Path, tops: dict[str, Path]) -> dict[str, Path]:
    """Return the training and the test part, or nothing if there are none."""
    train, test, validation = (
        [path for name, path in tops.items() if _word(name) in names] for names in (TRAIN, TEST, VALIDATION)
    )
    tested = test or validation
    if train and tested:
        for alike in (train, tested):
            if len(alike) > 1:
                raise DatasetError(
                    f"{root} holds both {alike[0].name}/ and {alike[1].name}/: rename the one that is not meant."
                )
        return {"train": train[0], "test": tested[0]}
    if tested or (train and (len(tops) == 1 or _has_folders(train[0]))):
        there, lacking = (tested[0], "train/") if tested else (train[0], "test/")
        raise DatasetError(
            f"{root} holds {there.name}/ but no {lacking}: add that, or name {there} itself, or rename it if it is a "
            f"class."
        )
    return {}


def _refuse_parts_within(root: Path, tops: dict[str, Path]) -> None:
    for path in tops.values():
        inside = {_word(entry.name) for entry in _entries(path, Found()) if entry.is_dir()}
        if inside & TRAIN and inside & (TEST | VALIDATION):
            raise DatasetError(
                f"{path} holds a training and a test part itself: name it instead of {root}, or put its classes into "
                f"train/ and test/ in {root}."
            )


def _has_folders(folder: Path) -> bool:
    return bool(_folders(folder, Found()))
