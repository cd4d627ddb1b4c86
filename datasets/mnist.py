"""mnist: handwritten digits (LeCun et al., "Gradient-based learning applied to document recognition", 1998)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from torchvision.datasets import MNIST as TorchvisionMNIST
from torchvision.datasets.mnist import read_image_file, read_label_file

from oodbench.datasets.base import DatasetError, Part, register
from oodbench.datasets.components.files import FilesDataset


class IdxDataset(FilesDataset):
    """Four files in the idx format: images and labels, training and test.

    Attributes
    ----------
    source : type
        The torchvision class that downloads them.
    """

    source: type[TorchvisionMNIST]
    shape = (1, 28, 28)

    def load(self, part: Literal["train", "test"]) -> Part:
        """Read one part; see `Dataset.load`."""
        prefix = "train" if part == "train" else "t10k"
        folder = self.root / self.source.__name__ / "raw"
        images_path, labels_path = (folder / f"{prefix}-{kind}" for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"))
        try:
            images, labels = read_image_file(str(images_path)), read_label_file(str(labels_path))
        except (OSError, ValueError, AssertionError, RuntimeError) as error:
            raise DatasetError(
                f"{images_path} or {labels_path.name} beside it is missing, corrupt or cut off: delete both and run "
                f"`bench data {self.name}` to download them again."
            ) from error
        return Part(images.unsqueeze(1), labels)

    def verify(self) -> None:
        """Compare checksums, where they are published, and read the files; see `Dataset.verify`."""
        super().verify()
        for part in ("train", "test"):
            self.load(part)

    def _download_into(self, root: Path) -> None:
        self.source(str(root), download=True)


@register("mnist")
class MNIST(IdxDataset):
    """28×28 handwritten digits, 60,000 + 10,000 images."""

    source = TorchvisionMNIST
    class_names = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    checksums: ClassVar[dict[str, str]] = {
        "MNIST/raw/train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "MNIST/raw/train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "MNIST/raw/t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "MNIST/raw/t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    }
