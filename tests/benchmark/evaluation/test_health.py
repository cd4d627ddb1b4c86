from __future__ import annotations

import pytest

from oodbench.benchmark.evaluation.health import symptoms

WELL = {
    "dead_queries": 0.0,
    "active_slots": 0.8,
    "slots_per_query": 0.4,
    "slot_usage_entropy": 0.9,
    "active_units": 12.0,
    "reconstruction_variance": 0.02,
}


def test_healthy() -> None:
    assert symptoms(WELL) == []
    assert symptoms({}) == []


@pytest.mark.parametrize(
    ("sign", "value", "words"),
    [
        ("dead_queries", 0.99, "99% of the queries find no memory slot"),
        ("slot_usage_entropy", 0.0, "one memory slot"),
        ("slots_per_query", 1.0, "all memory slots"),
        ("active_units", 0.0, "posterior collapse"),
        ("reconstruction_variance", 0.0, "same reconstruction"),
    ],
)
def test_each_symptom(sign: str, value: float, words: str) -> None:
    (found,) = symptoms({**WELL, sign: value})
    assert words in found
