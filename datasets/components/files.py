"""Datasets in files: found, downloaded by torchvision, and verified."""

from __future__ import annotations

import hashlib
import tempfile
from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

from filelock import FileLock

from oodbench.datasets.base import Dataset, DatasetError, Part


class FilesDataset(Dataset):
    """A dataset of files in torchvision's layout.

    Attributes
    ----------
    checksums : dict of str to str
        For each file, relative to the root: its MD5 (32 digits) or SHA-256 (64 digits), or "" where none is published.
    sizes : dict of str to int
        How many images "train" and "test" have; empty if that is not known.
    """

    checksums: ClassVar[dict[str, str]]
    sizes: ClassVar[dict[str, int]] = {}

    @abstractmethod
    def _download_into(self, root: Path) -> None:
        """Download all files into a folder, in torchvision's layout."""

    def missing(self) -> list[Path]:
        """Return the files that are not there; see `Dataset.missing`."""
        return [self.root / file for file in self.checksums if not (self.root / file).is_file()]

    def verify(self) -> None:
        """Compare every file with its checksum; see `Dataset.verify`."""
        for file, expected in self.checksums.items():
            path = self.root / file
            try:
                with path.open("rb") as stream:
                    found = hashlib.file_digest(stream, "md5" if len(expected) == 32 else "sha256").hexdigest()
            except OSError as error:
                raise DatasetError(
                    f"{path} cannot be read ({error.strerror}): check that it exists and that you may read it, or "
                    f"choose another folder with --data-dir."
                ) from error
            if expected and found != expected:
                raise DatasetError(
                    f"{path} is corrupt or cut off (its checksum is not that of the published file): delete it and "
                    f"run `bench data {self.name}` to download it again."
                )

    def checked(self, name: str, part: Part, files: str) -> Part:
        """Return a part that was read.

        Parameters
        ----------
        name : {"train", "test"}
            Which part.
        part : Part
            What was read.
        files : str
            The files that it was read from, for the message.

        Returns
        -------
        Part
            The same.

        Raises
        ------
        DatasetError
            Images and labels differ in number, or there are more or fewer than published; the images are of another
            shape; or a label is not that of a class.
        """
        images, labels, wanted = part.images, part.labels, self.sizes.get(name, len(part.labels))
        last = len(self.class_names) - 1
        problem = ""
        if tuple(images.shape[1:]) != self.shape:
            problem = f"images of shape {tuple(images.shape[1:])}, not {self.shape}"
        elif len(images) != len(labels):
            problem = f"{len(images)} images and {len(labels)} labels"
        elif not 0 < len(images) == wanted:
            problem = f"{len(images)} images, not {wanted or 'one at least'}"
        elif labels.min() < 0 or labels.max() > last:
            problem = f"labels from {int(labels.min())} to {int(labels.max())}, not 0 to {last}"
        if problem:
            raise DatasetError(
                f"{files} hold {problem}: delete them and run `bench data {self.name}` to download them again."
            )
        return part

    def download(self) -> None:
        """Download into a folder of our own, then move the files in place; see `Dataset.download`.

        A lock keeps two processes from downloading the same files, and nothing half-written is ever in place.
        """
        absent = self.missing()[0]
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with FileLock(self.root / f".{self.name}.lock"):
                if not self.missing():  # another process was faster
                    return
                with tempfile.TemporaryDirectory(dir=self.root, prefix=f".{self.name}-") as folder:
                    self._download_into(Path(folder))
                    for path in self.missing():
                        path.parent.mkdir(parents=True, exist_ok=True)
                        (Path(folder) / path.relative_to(self.root)).replace(path)
        except (OSError, RuntimeError) as error:  # torchvision raises RuntimeError for a bad checksum or all mirrors
            cause = " ".join(str(error).split()) or type(error).__name__
            raise DatasetError(
                f"{absent} is missing and could not be downloaded ({cause}): connect to the internet and try again, or "
                f"name a folder that has the files with --data-dir or OODBENCH_DATA."
            ) from error
