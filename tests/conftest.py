"""What the tests share: real data where it is at hand, made-up images, and a registry with small plugins."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from torch import Tensor

from oodbench.benchmark.plugins import Plugins

REPOSITORY = Path(__file__).resolve().parents[1]
UNPACK = REPOSITORY.parent / "shared" / "data" / "unpack"

# of worker processes, too; the user's stays as it is
os.environ["XDG_CACHE_HOME"] = str(REPOSITORY / "build" / "cache")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Real MNIST and CIFAR-10: from OODBENCH_DATA, or from archives beside the repository."""
    folder = Path(os.environ.get("OODBENCH_DATA", REPOSITORY / "build" / "data"))
    if UNPACK.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):  # the tests run in several processes
            subprocess.run([UNPACK, folder], check=True, capture_output=True)
    if not (folder / "MNIST").is_dir() or not (folder / "cifar-10-batches-py").is_dir():
        pytest.skip("needs MNIST and CIFAR-10: `bench data mnist cifar10`, then set OODBENCH_DATA to where they lie")
    return folder


@pytest.fixture(scope="session")
def plugins() -> Plugins:
    return Plugins.load()


def blobs(n: int, shape: tuple[int, int, int] = (1, 8, 8), *, seed: int = 0) -> Tensor:
    """Soft discs at random places, float32 (n, C, H, W) in [0, 1]: images that a small model learns at once."""
    generator = torch.Generator().manual_seed(seed)
    channels, height, width = shape
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    centre = torch.rand(n, 2, 1, 1, generator=generator) - 0.5
    disc = torch.exp(-4 * ((x - centre[:, 0]).square() + (y - centre[:, 1]).square()))
    return disc.unsqueeze(1).repeat(1, channels, 1, 1).clamp(0, 1)
