"""cifar10: small photographs (Krizhevsky, "Learning multiple layers of features from tiny images", 2009)."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torchvision.datasets import CIFAR10 as TorchvisionCIFAR10

from oodbench.datasets.base import DatasetError, Part, register
from oodbench.datasets.components.files import FilesDataset


@register("cifar10")
class CIFAR10(FilesDataset):
    """32×32 colour photographs of ten kinds of things, 50,000 + 10,000 images."""

    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    shape = (3, 32, 32)
    checksums: ClassVar[dict[str, str]] = {
        f"{TorchvisionCIFAR10.base_folder}/{file}": md5
        for file, md5 in [
            *TorchvisionCIFAR10.train_list,
            *TorchvisionCIFAR10.test_list,
            (TorchvisionCIFAR10.meta["filename"], TorchvisionCIFAR10.meta["md5"]),
        ]
    }

    def load(self, part: Literal["train", "test"]) -> Part:
        """Read one part; see `Dataset.load`."""
        try:
            stored = TorchvisionCIFAR10(str(self.root), train=part == "train", download=False)
        except (OSError, RuntimeError, pickle.UnpicklingError) as error:  # torchvision verifies before it unpickles
            raise DatasetError(
                f"{self.root / TorchvisionCIFAR10.base_folder} is missing or corrupt: run `bench data {self.name}` to "
                f"see which file is at fault."
            ) from error
        images = torch.from_numpy(stored.data).permute(0, 3, 1, 2).contiguous()
        return Part(images, torch.tensor(stored.targets))

    def _download_into(self, root: Path) -> None:
        TorchvisionCIFAR10(str(root), download=True)
