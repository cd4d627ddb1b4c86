"""Datasets in MNIST's idx format."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from oodbench.datasets.base import DatasetError, Part
from oodbench.datasets.components.files import FilesDataset


class IdxDataset(FilesDataset):
    """Four files in the idx format: images and labels, training and test.

    Attributes
    ----------
    torchvision_name : str
        The class of `torchvision.datasets` that downloads the files, and the folder that it keeps them in.
    """

    torchvision_name: ClassVar[str]
    shape = (1, 28, 28)

    def load(self, part: Literal["train", "test"]) -> Part:
        """Read one part; see `Dataset.load`."""
        from torchvision.datasets.mnist import read_image_file, read_label_file

        prefix = "train" if part == "train" else "t10k"
        folder = self.root / self.torchvision_name / "raw"
        images_path, labels_path = (folder / f"{prefix}-{kind}" for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"))
        try:
            images, labels = read_image_file(str(images_path)), read_label_file(str(labels_path))
        except Exception as error:  # of a damaged header torchvision raises nearly anything
            raise DatasetError(
                f"{images_path} or {labels_path.name} beside it is missing, corrupt or cut off: delete both and run "
                f"`bench data {self.name}` to download them again."
            ) from error
        files = f"{images_path} and {labels_path.name} beside it"
        return self.checked(part, Part(images.unsqueeze(1), labels), files)

    def verify(self) -> None:
        """Compare checksums, where they are published, and check what the files hold; see `Dataset.verify`."""
        super().verify()
        for part in ("train", "test"):
            self.load(part)

    def _download_into(self, root: Path) -> None:
        from torchvision import datasets

        getattr(datasets, self.torchvision_name)(str(root), download=True)
