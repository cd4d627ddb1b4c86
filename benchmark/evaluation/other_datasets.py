"""Images of other datasets, against which detectors are probed: of the built-in ones whichever are at hand."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from oodbench.datasets.base import Dataset, DatasetError
from oodbench.datasets.cifar10 import CIFAR10
from oodbench.datasets.digits import Digits
from oodbench.datasets.fashion_mnist import FashionMNIST
from oodbench.datasets.mnist import MNIST

if TYPE_CHECKING:
    from torch import Tensor

OTHER_DATASETS: Final[tuple[type[Dataset], ...]] = (MNIST, FashionMNIST, CIFAR10, Digits)
IMAGES = 300
"""Test images of each, the same ones always."""
SEED = 0


def other_datasets(dataset: str, root: Path) -> dict[str, Tensor]:
    """Return test images of datasets other than one; nothing is downloaded, and what cannot be read is left out.

    Parameters
    ----------
    dataset : str
        Registered name of the dataset that is left out.
    root : Path
        Folder in which datasets lie.

    Returns
    -------
    dict of str to Tensor
        By the other datasets' names uint8 (n, C, H, W), n at most `IMAGES`, in each dataset's own shape.
    """
    found = {other.name: _images(other, root) for other in OTHER_DATASETS if other.name != dataset}
    return {name: images for name, images in found.items() if images is not None}


@lru_cache(maxsize=2 * len(OTHER_DATASETS))
def _images(dataset: type[Dataset], root: Path) -> Tensor | None:
    """Read a dataset's images, once a process; None where they are not there or damaged."""
    import torch

    source = dataset(root)
    if source.missing():
        return None
    try:
        images = source.load("test").images
    except DatasetError:
        return None
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(SEED))[:IMAGES]
    return images[chosen].clone()
