"""A detector and a dataset that say where they were; given to the command as a local file."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Literal, Self

import torch
from torch import Tensor

from oodbench.datasets import Dataset, DatasetError, Part
from oodbench.datasets import register as register_dataset
from oodbench.detectors import Detector, Monitor, register

SIZE = 8


@register_dataset("test-fetched")
class Fetched(Dataset):
    """Noise, grey or black, that is there once it has been fetched."""

    class_names = ("grey", "black")
    shape = (1, SIZE, SIZE)
    loaded = False

    @property
    def file(self) -> Path:
        return self.root / "fetched.txt"

    def missing(self) -> list[Path]:
        return [] if self.file.is_file() else [self.file]

    def download(self) -> None:
        if (self.root / "no-network").exists():
            raise DatasetError(f"{self.file} could not be fetched.")
        self.root.mkdir(parents=True, exist_ok=True)
        self.file.write_text(f"by process {os.getpid()}", encoding="utf-8")

    def warnings(self) -> list[str]:
        return ["test-fetched: one file cannot be read as an image and is left out."] if self.loaded else []

    def load(self, part: Literal["train", "test"]) -> Part:
        self.loaded = True
        generator = torch.Generator().manual_seed(len(part))
        images = torch.randint(0, 64, (60, *self.shape), generator=generator, dtype=torch.uint8)
        images[:30] += 128
        return Part(images, torch.arange(60) // 30)


@register("test-patient")
class Patient(Detector):
    """Distance to the mean training image, step by step; notes in a folder which processes have begun a fit."""

    def __init__(self, *, seconds: float = 0.0, notes: str = "", dies: bool = False) -> None:
        self.seconds = seconds
        self.notes = notes
        self.dies = dies

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        if self.notes:
            Path(self.notes, f"{os.getpid()}-{time.monotonic_ns()}").touch()
        for step in range(1, 5):
            time.sleep(self.seconds / 4)
            if self.dies:
                os.abort()
            if monitor is not None:
                monitor.report(step, 4, {"loss": 1 / step})
        self.mean_ = images.mean(0)
        return self

    def score(self, images: Tensor) -> Tensor:
        return (images - self.mean_).square().flatten(1).sum(1)
