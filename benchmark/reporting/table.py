"""A table of text, which Markdown pages and terminals show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tabulate import tabulate

WORDS = ("detector", "dataset", "method", "protocol", "source")
"""Columns of words, which are aligned left; all others are aligned right."""


@dataclass(frozen=True)
class Table:
    """A header and rows of as many cells.

    Attributes
    ----------
    header : sequence of str
        Names of the columns.
    rows : sequence of sequence of str
        Cells, which may hold inline Markdown.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __bool__(self) -> bool:
        """Whether there are rows."""
        return bool(self.rows)

    def __str__(self) -> str:
        """Return the table as Markdown."""
        return tabulate(
            [[_escaped(cell) for cell in row] for row in self.rows],
            [_escaped(name) for name in self.header],
            tablefmt="pipe",
            colalign=["left" if name in WORDS else "right" for name in self.header],
            disable_numparse=True,
        )


def _escaped(cell: str) -> str:
    """Keep a cell in its column and on its line."""
    return " ".join(cell.replace("|", "\\|").split())
