"""cifar10: small photographs (Krizhevsky, "Learning multiple layers of features from tiny images", 2009)."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import ClassVar, Literal

from oodbench.datasets.base import DatasetError, Part, register
from oodbench.datasets.components.files import FilesDataset

FOLDER = "cifar-10-batches-py"


@register("cifar10")
class CIFAR10(FilesDataset):
    """32×32 colour photographs of ten kinds of things, 50,000 + 10,000 images."""

    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    shape = (3, 32, 32)
    feature_weakness = (
        "the samples of all methods lie far from anything that this small classifier was trained on, and it has not "
        "been shown that their order there follows their quality"
    )
    sizes: ClassVar[dict[str, int]] = {"train": 50_000, "test": 10_000}
    checksums: ClassVar[dict[str, str]] = {
        f"{FOLDER}/data_batch_1": "c99cafc152244af753f735de768cd75f",
        f"{FOLDER}/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        f"{FOLDER}/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        f"{FOLDER}/data_batch_4": "634d18415352ddfa80567beed471001a",
        f"{FOLDER}/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        f"{FOLDER}/test_batch": "40351d587109b95175f43aff81a1287e",
        f"{FOLDER}/batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
    }

    def load(self, part: Literal["train", "test"]) -> Part:
        """Read one part; see `Dataset.load`."""
        import torch
        from torchvision.datasets import CIFAR10 as TorchvisionCIFAR10

        try:
            stored = TorchvisionCIFAR10(str(self.root), train=part == "train", download=False)
        except (OSError, RuntimeError, pickle.UnpicklingError) as error:  # torchvision verifies before it unpickles
            raise DatasetError(
                f"{self.root / FOLDER} is missing or corrupt: run `bench data {self.name}` to "
                f"see which file is at fault."
            ) from error
        images = torch.from_numpy(stored.data).permute(0, 3, 1, 2).contiguous()
        return self.checked(part, Part(images, torch.tensor(stored.targets)), f"The batches in {self.root / FOLDER}")

    def _download_into(self, root: Path) -> None:
        from torchvision.datasets import CIFAR10 as TorchvisionCIFAR10

        TorchvisionCIFAR10(str(root), download=True)
