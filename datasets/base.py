"""The interface that every dataset shares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

if TYPE_CHECKING:
    from torch import Tensor


class DatasetError(ValueError):
    """A dataset cannot be read; the message names the file and says what to do."""


@dataclass(frozen=True)
class Part:
    """The training or the test part of a dataset.

    Attributes
    ----------
    images : Tensor
        uint8 (N, C, H, W).
    labels : Tensor
        int64 (N,), indices into the dataset's class names.
    """

    images: Tensor
    labels: Tensor


class Dataset(ABC):
    """Labelled images of one shape, in a training and a test part.

    Parameters
    ----------
    root : Path
        The folder of all datasets' files; it need not exist.

    Attributes
    ----------
    name : str
        The registered name, set by `register`.
    class_names : tuple of str
        The classes; a label is an index into it.
    shape : tuple of int
        (C, H, W).
    abnormal : tuple of int
        Labels of classes that are never trained on, such as the defects of a product; none by default.
    version : str
        Changes with the data; stored results of another version are stale. Empty for data that never change.
    feature_classifier : Path, optional
        Weights (safetensors) of a classifier in whose features generated images are measured; see
        `oodbench.benchmark.evaluation.classifier`.
    feature_weakness : str
        Why generated images are measured in these features but not ranked, one sentence without its full stop; empty
        where the features are good enough to rank by. A dataset in a local file is always ranked.
    """

    name: ClassVar[str] = ""
    class_names: tuple[str, ...]
    shape: tuple[int, int, int]
    abnormal: tuple[int, ...] = ()
    version: str = ""
    feature_classifier: ClassVar[Path | None] = None
    feature_weakness: ClassVar[str] = ""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def normal_classes(cls) -> list[int]:
        """Return the labels of the classes that can be the normal one."""
        return [label for label in range(len(cls.class_names)) if label not in cls.abnormal]

    @classmethod
    def card(cls) -> dict[str, Any]:
        """Return what must be known to read new images as those of the dataset are read.

        It is a part of a stored model's card, as JSON values. ``scale`` is for the argument of that name of
        `oodbench.datasets.components.images.read_image`; without it, files are read as bytes.
        """
        return {}

    @abstractmethod
    def load(self, part: Literal["train", "test"]) -> Part:
        """Read one part from disk.

        Parameters
        ----------
        part : {"train", "test"}
            Which part.

        Returns
        -------
        Part

        Raises
        ------
        DatasetError
            A file is missing or corrupt.
        """

    def missing(self) -> list[Path]:
        """Return the files that the dataset needs and that are not there; none if it needs no files."""
        return []

    def verify(self) -> None:
        """Check the files that are there.

        Raises
        ------
        DatasetError
            A file is cut off or corrupt.
        """

    def download(self) -> None:
        """Download the missing files.

        Raises
        ------
        DatasetError
            They cannot be downloaded.
        """

    def warnings(self) -> list[str]:
        """Return what users should know once the data are loaded, one sentence each; for example, files left out."""
        return []

    def prepare(self) -> None:
        """Make sure that `load` will work: download missing files, verify those that are there.

        Raises
        ------
        DatasetError
            A file cannot be downloaded, or is corrupt.
        """
        if self.missing():
            self.download()
        self.verify()


DatasetClass = TypeVar("DatasetClass", bound=type[Dataset])
Family = Callable[[str], type[Dataset]]
"""Makes a dataset class from what stands behind the colon in ``family:argument``."""


def register(name: str) -> Callable[[DatasetClass], DatasetClass]:
    """Name a dataset class so that the benchmark's registry finds it in its module.

    Parameters
    ----------
    name : str
        Lower-case letters, digits and hyphens; what users type.

    Returns
    -------
    callable
        The class decorator.
    """

    def mark(dataset: DatasetClass) -> DatasetClass:
        dataset.name = name
        return dataset

    return mark


def register_family(name: str) -> Callable[[Family], Family]:
    """Name a function that makes dataset classes on demand: users type ``name:argument``.

    Parameters
    ----------
    name : str
        Lower-case letters, digits and hyphens.

    Returns
    -------
    callable
        The function's decorator.
    """

    def mark(family: Family) -> Family:
        family.dataset_family = name  # type: ignore[attr-defined]
        return family

    return mark
