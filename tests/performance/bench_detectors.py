"""An epoch of training and the scoring of 2,000 images, in one thread, as in a worker process.

`pytest tests/performance/bench_detectors.py -n 0` runs it; see README.md beside this file.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.trials import Trial, make_detector
from oodbench.datasets.components.split import as_float, one_vs_rest

SCORED = 2000


@pytest.fixture(params=["mnist", "cifar10"])
def dataset(request: pytest.FixtureRequest) -> str:
    """Return the dataset measured on."""
    return str(request.param)


@pytest.fixture
def images(dataset: str, plugins: Plugins, data_dir: Path) -> tuple[Tensor, Tensor]:
    """Return training images of class 3, and test images, as detectors take them."""
    source = plugins.datasets[dataset](data_dir)
    split = one_vs_rest(source.load("train"), source.load("test"), 3)
    return as_float(split.train), as_float(split.test[:SCORED])


@pytest.mark.parametrize("name", ["ae", "vae", "memae", "memvae"])
def test_an_epoch(
    name: str, dataset: str, images: tuple[Tensor, Tensor], plugins: Plugins, benchmark: BenchmarkFixture
) -> None:
    """With all that a fit does after its last epoch."""
    detector = make_detector(plugins, Trial(dataset, name, 3, 0, (("epochs", 1),)))
    benchmark.pedantic(detector.fit, (images[0],), rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("name", ["ae", "vae", "memae", "memvae", "knn", "lof"])
def test_scoring(
    name: str, dataset: str, images: tuple[Tensor, Tensor], plugins: Plugins, benchmark: BenchmarkFixture
) -> None:
    changes = () if name in ("knn", "lof") else (("epochs", 1),)
    detector = make_detector(plugins, Trial(dataset, name, 3, 0, changes)).fit(images[0])
    benchmark.pedantic(detector.score, (images[1],), rounds=3, warmup_rounds=1)
    benchmark.extra_info["images"] = SCORED
