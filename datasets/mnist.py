"""mnist: handwritten digits (LeCun et al., "Gradient-based learning applied to document recognition", 1998)."""

from __future__ import annotations

from typing import ClassVar

from oodbench.datasets.base import register
from oodbench.datasets.components.idx import IdxDataset


@register("mnist")
class MNIST(IdxDataset):
    """28×28 handwritten digits, 60,000 + 10,000 images."""

    torchvision_name = "MNIST"
    sizes: ClassVar[dict[str, int]] = {"train": 60_000, "test": 10_000}
    class_names = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    checksums: ClassVar[dict[str, str]] = {
        "MNIST/raw/train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "MNIST/raw/train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "MNIST/raw/t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "MNIST/raw/t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    }
