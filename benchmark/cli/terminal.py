"""What the command prints: sentences, tables, JSON, and errors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

WIDE = 10_000
"""Columns where nobody's terminal sets a limit: in a pipe or a file no line is broken."""


def terminal(*, stderr: bool = False) -> Console:
    """Return the console to print to: as wide as a terminal, or as wide as it takes."""
    console = Console(markup=False, highlight=False, stderr=stderr)
    if not console.is_terminal:
        console.width = WIDE
    return console


def say(text: str, style: str | None = None) -> None:
    """Print a sentence, unbroken."""
    terminal().print(text, style=style, soft_wrap=True)


def complain(text: str) -> None:
    """Print a sentence to standard error, unbroken."""
    terminal(stderr=True).print(text, soft_wrap=True)


def in_one_line(text: str) -> str:
    """Return a text without its line breaks."""
    return " ".join(text.split())


def show_tables(*tables: Table) -> None:
    """Print tables."""
    for table in tables:
        terminal().print(table)


def show_json(found: Any) -> None:
    """Print something as JSON."""
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False))


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
    """
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in whole)
    return table
