"""What ``bench list`` shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from oodbench.benchmark.plugins import Entry, Plugins

COLUMNS = {
    "Detectors": ("detector", "what it is", "samples", "reconstructs", "from"),
    "Datasets": ("dataset", "what it is", "images", "classes", "from"),
    "Could not be loaded": ("from", "why"),
}

Listing = dict[str, list[list[str]]]
"""Rows of each table, by its title."""


def listing(files: Sequence[Path] = ()) -> Listing:
    """Return the rows for detectors, datasets and what could not be loaded.

    Parameters
    ----------
    files : sequence of Path
        Local Python files to look into as well.

    Raises
    ------
    UsageError
        One of the files does not exist.
    """
    plugins = Plugins.load(files)
    detectors = [_detector(entry) for entry in plugins.detectors.entries()]
    datasets = [_dataset(entry) for entry in plugins.datasets.entries()]
    broken = [[plugin.source, plugin.cause] for plugin in plugins.broken]
    return dict(zip(COLUMNS, (detectors, datasets, broken), strict=True))


def tables(found: Listing) -> list[Table]:
    """Return tables for the terminal; empty ones are left out."""
    shown = []
    for title, rows in found.items():
        style = "red" if title == "Could not be loaded" else ""
        table = Table(*COLUMNS[title], title=title, title_justify="left", style=style)
        for row in rows:
            table.add_row(*row)
        shown += [table] if rows else []
    return shown


def _detector(entry: Entry) -> list[str]:
    able = ("" if answer is None else "yes" if answer else "—" for answer in (entry.samples, entry.reconstructs))
    return [entry.name, entry.summary, *able, entry.source]


def _dataset(entry: Entry) -> list[str]:
    size = "{1}×{2}×{0}".format(*entry.shape) if entry.shape else ""
    return [entry.name, entry.summary, size, str(entry.classes or ""), entry.source]
