"""Two ways to train and score the same network: as the benchmark does, and as scripts commonly do."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import CIFAR10, MNIST
from torchvision.transforms import ToTensor

from oodbench.detectors.base import Monitor
from oodbench.detectors.components.autoencoder import Autoencoder
from oodbench.detectors.components.training import bfloat16_pays, train

TORCH_THREADS = torch.get_num_threads()
"""What torch takes unless it is told otherwise."""
FILES: dict[str, Callable[..., Any]] = {"mnist": MNIST, "cifar10": CIFAR10}


@dataclass
class Material:
    """What both ways work with.

    Attributes
    ----------
    detector : Autoencoder
        Fitted.
    dataset : str
        Name of the dataset.
    data : Path
        Where its files lie.
    normal_class : int
        The label of the class that is trained on.
    train, test : Tensor
        float32 (N, C, H, W): the images.
    """

    detector: Autoencoder
    dataset: str
    data: Path
    normal_class: int
    train: Tensor
    test: Tensor

    @property
    def batch_size(self) -> int:
        """Images a step."""
        return int(self.detector.settings_["batch_size"])

    @property
    def learning_rate(self) -> float:
        """Of Adam."""
        return float(self.detector.settings_["learning_rate"])

    @property
    def bfloat16(self) -> bool:
        """Whether the benchmark trains this network in bfloat16 here."""
        return bool(self.detector.settings_["bfloat16"]) and bfloat16_pays("cpu")


class Way(ABC):
    """A way to train and score."""

    @abstractmethod
    def train_epoch(self) -> None:
        """Pass over the training images once."""

    @abstractmethod
    def score(self) -> int:
        """Score some test images, and say how many."""


class Benchmark(Way):
    """As the benchmark does: batches cut from one tensor, channels last, bfloat16 where it pays, one thread."""

    def __init__(self, material: Material, scored: int) -> None:
        self.material = material
        self.detector = copy.deepcopy(material.detector)
        self.images = material.train.to(memory_format=torch.channels_last)
        self.test = material.test[:scored]

    def train_epoch(self) -> None:
        train(
            self.detector.network_,
            self.detector._objective,
            self.images,
            epochs=1,
            batch_size=self.material.batch_size,
            learning_rate=self.material.learning_rate,
            bfloat16=self.material.bfloat16,
            generator=torch.Generator().manual_seed(0),
            monitor=Monitor(),
        )

    def score(self) -> int:
        return len(self.detector.score(self.test))


class Plain(Way):
    """As scripts commonly do: torchvision's dataset in a loader, float32, Adam's defaults, test images one at a time.

    Its score is the method's error alone, which is less work than the benchmark's score of three parts.
    """

    def __init__(self, material: Material, scored: int, threads: int) -> None:
        self.threads = threads
        detector = copy.deepcopy(material.detector)
        self.network = detector.network_.to(memory_format=torch.contiguous_format)
        self.objective = detector._objective
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=material.learning_rate)
        self.noise = torch.Generator().manual_seed(0)
        files = FILES[material.dataset]
        stored = files(str(material.data), train=True, transform=ToTensor())
        normal = torch.as_tensor(stored.targets).eq(material.normal_class).nonzero().squeeze(1)
        chosen = Subset(stored, normal[: len(material.train)].tolist())
        self.loader = DataLoader(chosen, batch_size=material.batch_size, shuffle=True)
        tested = Subset(files(str(material.data), train=False, transform=ToTensor()), range(scored))
        self.test_loader = DataLoader(tested, batch_size=1)

    def train_epoch(self) -> None:
        self.network.train()
        with torch_threads(self.threads):
            for images, _ in self.loader:
                self.optimizer.zero_grad()
                self.objective(images, self.noise)["loss"].mean().backward()
                self.optimizer.step()

    @torch.no_grad()
    def score(self) -> int:
        self.network.eval()
        with torch_threads(self.threads):
            return len([self.objective(image, None)["loss"].item() for image, _ in self.test_loader])


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch use so many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
