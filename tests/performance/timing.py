"""Medians over rounds, by pytest-benchmark."""

from __future__ import annotations

from collections.abc import Callable

from pytest_benchmark.fixture import BenchmarkFixture


def median_seconds(benchmark: BenchmarkFixture, function: Callable[[], object], rounds: int) -> float:
    """Measure how long a function takes; a first call, which allocates and fills caches, does not count.

    Parameters
    ----------
    benchmark : BenchmarkFixture
        Measures, and shows its own table in the end.
    function : callable
        What to measure.
    rounds : int
        How often.

    Returns
    -------
    float
        The median.
    """
    benchmark.pedantic(function, rounds=rounds, warmup_rounds=1)  # type: ignore[no-untyped-call]
    assert benchmark.stats is not None
    return float(benchmark.stats.stats.median)
