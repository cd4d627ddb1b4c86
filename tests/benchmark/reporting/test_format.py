from __future__ import annotations

from oodbench.benchmark.reporting.format import duration, or_dash
from oodbench.benchmark.reporting.table import Table


def test_duration() -> None:
    assert [duration(s) for s in (0.12, 9.94, 59.6, 100, 3600, 9000)] == [
        *("0.1 s", "9.9 s", "60 s", "2 min", "60 min", "2.5 h")
    ]


def test_what_is_missing_is_a_dash() -> None:
    assert [or_dash(value, "{:.2f}") for value in (0.5, None, float("nan"))] == ["0.50", "—", "—"]


def test_a_table_keeps_every_cell_in_its_place() -> None:
    text = str(Table(["detector", "a|b"], [["x\ny", "1|2"]]))
    assert text.splitlines()[0].replace(" ", "") == "|detector|a\\|b|"
    assert text.splitlines()[2].replace(" ", "") == "|xy|1\\|2|"
    assert not Table(["detector"], [])
