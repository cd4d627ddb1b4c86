"""The interface that every dataset shares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, TypeVar

from torch import Tensor


class DatasetError(ValueError):
    """A dataset cannot be had; the message names the file and says what to do."""


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
        The folder where datasets lie; it need not exist.

    Attributes
    ----------
    name : str
        The registered name, set by `register`.
    class_names : tuple of str
        The classes; a label is an index into it.
    shape : tuple of int
        (C, H, W).
    """

    name: ClassVar[str] = ""
    class_names: tuple[str, ...]
    shape: tuple[int, int, int]

    def __init__(self, root: Path) -> None:
        self.root = root

    @abstractmethod
    def load(self, part: Literal["train", "test"]) -> Part:
        """Read one part from disk.

        Parameters
        ----------
        part : {"train", "test"}
            Which.

        Returns
        -------
        Part

        Raises
        ------
        DatasetError
            A file is missing or spoilt.
        """

    def missing(self) -> list[Path]:
        """Files that the dataset needs and that are not there; none for a dataset that needs no files."""
        return []

    def verify(self) -> None:
        """Check the files that are there.

        Raises
        ------
        DatasetError
            One of them is cut off or corrupt.
        """

    def download(self) -> None:
        """Fetch the missing files.

        Raises
        ------
        DatasetError
            They cannot be fetched.
        """

    def prepare(self) -> None:
        """Make sure that `load` will work: download what is missing, verify what is there.

        Raises
        ------
        DatasetError
            It will not.
        """
        if self.missing():
            self.download()
        self.verify()


DatasetClass = TypeVar("DatasetClass", bound=type[Dataset])


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
