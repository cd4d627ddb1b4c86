"""A split that knows where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from oodbench.datasets.base import Dataset
from oodbench.datasets.components.split import Split


@dataclass(frozen=True)
class LoadedSplit(Split):
    """A split of a dataset.

    Attributes
    ----------
    dataset : type
        The dataset's class.
    normal_class : int
        Label of the normal class.
    protocol : str
        Name of the protocol that made the split.
    seed : int
        The seed that it was made with.
    data : Path
        Folder in which datasets lie.
    """

    dataset: type[Dataset]
    normal_class: int
    protocol: str
    seed: int
    data: Path

    def __repr__(self) -> str:
        images = f"{len(self.train)} training and {len(self.test)} test images"
        return f"<{self.dataset.name}, normal class {self.dataset.class_names[self.normal_class]}: {images}>"
