"""fashion-mnist: pictures of clothes (Xiao et al., arXiv:1708.07747, 2017)."""

from __future__ import annotations

from typing import ClassVar

from oodbench.datasets.base import register
from oodbench.datasets.components.idx import IdxDataset


@register("fashion-mnist")
class FashionMNIST(IdxDataset):
    """28×28 pictures of clothes, 60,000 + 10,000 images.

    Only the compressed files have published checksums, which torchvision verifies when it downloads them; the unpacked
    files are checked for counts, shapes and labels.
    """

    torchvision_name = "FashionMNIST"
    sizes: ClassVar[dict[str, int]] = {"train": 60_000, "test": 10_000}
    class_names = (
        "t-shirt",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle-boot",
    )
    checksums: ClassVar[dict[str, str]] = {
        f"FashionMNIST/raw/{part}-{kind}": ""
        for part in ("train", "t10k")
        for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
    }
