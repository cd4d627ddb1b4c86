"""A table of text, which Markdown pages and terminals show, and tables of figures as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from tabulate import tabulate

from oodbench.benchmark.reporting.format import Markdown, csv_cell, markdown_cell

WORDS = ("detector", "dataset", "method", "protocol", "source", "without", "extra data")
"""Columns of words, which are aligned left; all others are aligned right."""


@dataclass(frozen=True)
class Table:
    """A header and rows of as many cells.

    Attributes
    ----------
    header : sequence of str
        Names of the columns.
    rows : sequence of sequence of str
        Cells: text that is shown as it is, or `Markdown`.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __bool__(self) -> bool:
        """Whether there are rows."""
        return bool(self.rows)

    def __str__(self) -> str:
        """Return the table as Markdown."""
        return Markdown(
            tabulate(
                [list(map(markdown_cell, row)) for row in self.rows],
                list(map(markdown_cell, self.header)),
                tablefmt="pipe",
                colalign=["left" if name in WORDS else "right" for name in self.header],
                disable_numparse=True,
            )
        )


def as_csv(frame: pd.DataFrame, *, float_format: str | None = None) -> str:
    """Return a table as CSV, whose texts are fit for a spreadsheet.

    Parameters
    ----------
    frame : DataFrame
        Its index is left out.
    float_format : str, optional
        How figures are written, for example ``"%.6g"``.

    Returns
    -------
    str
        Text, also that of the header, has gone through `csv_cell`; what is None or NaN is an empty cell.
    """
    text = frame.select_dtypes(exclude=["number", "bool"]).columns
    shown = frame.assign(**{name: frame[name].map(_csv_value) for name in text}).rename(columns=csv_cell)
    return str(shown.to_csv(index=False, float_format=float_format, lineterminator="\n"))


def _csv_value(value: Any) -> Any:
    return csv_cell(value) if isinstance(value, str) else value
