"""What the command prints: sentences, tables, JSON, and errors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import typer
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from oodbench.benchmark.reporting.format import UNSHOWN, plain

WIDE = 10_000
"""Columns where nobody's terminal sets a limit: in a pipe or a file no line is broken."""


def terminal(*, stderr: bool = False) -> Console:
    """Return the console to print to: as wide as a terminal, or as wide as it takes."""
    console = Console(markup=False, emoji=False, highlight=False, stderr=stderr)
    if not console.is_terminal:
        console.width = WIDE
    return console


def shown(text: str, style: str = "") -> Text:
    """Return a text as rich is to print it: letter by letter, without markup, emoji codes and control characters."""
    return Text(plain(text), style=style)


def say(text: str, style: str | None = None) -> None:
    """Print a sentence, unbroken."""
    terminal().print(shown(text), style=style, soft_wrap=True)


def complain(text: str) -> None:
    """Print a sentence to standard error, unbroken."""
    terminal(stderr=True).print(shown(text), soft_wrap=True)


def show_tables(*tables: Table) -> None:
    """Print tables."""
    for table in tables:
        terminal().print(table)


def show_json(found: Any) -> None:
    """Print something as JSON, in which control characters are escaped."""
    text = json.dumps(found, indent=2, ensure_ascii=False)
    # the line breaks are those of the layout
    typer.echo(UNSHOWN.sub(lambda mark: "\n" if mark[0] == "\n" else f"\\u{ord(mark[0]):04x}", text))


class NameTable(Table):
    """A table whose cells are shown as they are, letter by letter."""

    def add_row(self, *cells: RenderableType | None, style: Any = None, end_section: bool = False) -> None:
        """Add a row of texts."""
        texts = [shown(cell) if isinstance(cell, str) else cell for cell in cells]
        super().add_row(*texts, style=style, end_section=end_section)


def make_table(columns: Sequence[str], title: str | None = None, *, whole: Sequence[str] = ("detector",)) -> Table:
    """Return an empty table, in which long cells are folded rather than cut off.

    Parameters
    ----------
    columns : sequence of str
        Their headers.
    title : str, optional
        Stands above the table.
    whole : sequence of str
        Headers of columns that are never folded: names, which are to be copied.

    Returns
    -------
    Table
        It shows every text as it is: see `shown`; its title on a console of `terminal` only.
    """
    table = NameTable(title=None if title is None else plain(title), title_justify="left")
    for column in columns:
        table.add_column(shown(column), overflow="fold", no_wrap=column in whole)
    return table
