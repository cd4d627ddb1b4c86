from __future__ import annotations

from oodbench.benchmark.reporting.format import duration


def test_duration() -> None:
    assert [duration(s) for s in (0.12, 9.94, 59.6, 100, 3600, 9000)] == [
        *("0.1 s", "9.9 s", "60 s", "2 min", "60 min", "2.5 h")
    ]
