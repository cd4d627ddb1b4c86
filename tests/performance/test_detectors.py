"""Training and scoring of the autoencoders, here and the plain way, and the limit that arithmetic sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.running.workers import shared_part
from oodbench.benchmark.trials import Trial, make_detector
from oodbench.datasets.components.split import as_float, one_vs_rest
from oodbench.detectors.components.autoencoder import Autoencoder
from tests.performance.arithmetic import operations_per_epoch, operations_per_second
from tests.performance.page import BENCHMARK, PLAIN, PLAIN_ONE_THREAD
from tests.performance.results import Results
from tests.performance.settings import NORMAL_CLASS, Cell, Settings
from tests.performance.timing import median_seconds
from tests.performance.ways import TORCH_THREADS, Benchmark, Material, Plain, Way

WAYS: dict[str, Callable[[Material, Settings], Way]] = {
    BENCHMARK: lambda material, settings: Benchmark(material, settings.scored),
    PLAIN_ONE_THREAD: lambda material, settings: Plain(material, settings.scored_singly, 1),
    PLAIN: lambda material, settings: Plain(material, settings.scored_singly, TORCH_THREADS),
}


@pytest.fixture(scope="module")
def material(cell: Cell, plugins: Plugins, arrays: Path, data_dir: Path) -> Material:
    parts = (shared_part(arrays, cell.dataset, "train"), shared_part(arrays, cell.dataset, "test"))
    split = one_vs_rest(*parts, NORMAL_CLASS)
    train, test = as_float(split.train), as_float(split.test)
    detector = make_detector(plugins, Trial(cell.dataset, cell.detector, NORMAL_CLASS, 0, (("epochs", 1),)))
    assert isinstance(detector, Autoencoder)
    detector.fit(train)
    return Material(detector, cell.dataset, data_dir, NORMAL_CLASS, train, test)


@pytest.mark.parametrize("way", WAYS)
def test_training(
    way: str, cell: Cell, material: Material, settings: Settings, results: Results, benchmark: BenchmarkFixture
) -> None:
    seconds = median_seconds(benchmark, WAYS[way](material, settings).train_epoch, settings.rounds)
    results.add("epochs", **cell.columns, way=way, seconds=seconds)


@pytest.mark.parametrize("way", WAYS)
def test_scoring(
    way: str, cell: Cell, material: Material, settings: Settings, results: Results, benchmark: BenchmarkFixture
) -> None:
    chosen = WAYS[way](material, settings)
    images = settings.scored if way == BENCHMARK else settings.scored_singly
    rate = images / median_seconds(benchmark, chosen.score, settings.rounds)
    results.add("scoring", **cell.columns, way=way, images=images, images_per_second=rate)


def test_arithmetic(cell: Cell, material: Material, results: Results) -> None:
    dtype = torch.bfloat16 if material.bfloat16 else torch.float32
    results.add(
        "arithmetic",
        **cell.columns,
        dtype=str(dtype).removeprefix("torch."),
        operations_per_epoch=operations_per_epoch(material),
        operations_per_second=operations_per_second(dtype),
    )
