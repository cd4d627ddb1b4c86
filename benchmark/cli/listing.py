"""What ``bench list`` shows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.table import Table

from oodbench.benchmark.cli.terminal import make_table
from oodbench.benchmark.plugins import Entry, Plugins
from oodbench.benchmark.reporting.format import in_one_line


def tables(plugins: Plugins) -> list[Table]:
    """Return tables of detectors, of datasets, and of what could not be loaded; empty ones are left out.

    Parameters
    ----------
    plugins : Plugins
        What there is.

    Returns
    -------
    list of Table
    """
    detectors = make_table(("detector", "what it is", "samples", "reconstructs", "from"), "Detectors")
    for entry in plugins.detectors.entries():
        detectors.add_row(entry.name, entry.summary, _answer(entry.samples), _answer(entry.reconstructs), entry.source)
    datasets = make_table(("dataset", "what it is", "images", "classes", "from"), "Datasets", whole=("dataset",))
    for entry in plugins.datasets.entries():
        datasets.add_row(entry.name, entry.summary, _size(entry), str(entry.classes or ""), entry.source)
    broken = make_table(("from", "why"), "Could not be loaded")
    broken.style = "red"
    for plugin in plugins.broken:
        broken.add_row(plugin.source, in_one_line(plugin.cause))
    return [table for table in (detectors, datasets, broken) if table.row_count]


def as_json(plugins: Plugins) -> dict[str, list[dict[str, Any]]]:
    """Return the same as JSON values, without what says nothing of its kind."""
    detectors = [_without(asdict(entry), "shape", "classes") for entry in plugins.detectors.entries()]
    datasets = [_without(asdict(entry), "samples", "reconstructs") for entry in plugins.datasets.entries()]
    return {"detectors": detectors, "datasets": datasets, "broken": [asdict(plugin) for plugin in plugins.broken]}


def _answer(able: bool | None) -> str:
    return "" if able is None else "yes" if able else "—"


def _size(entry: Entry) -> str:
    return "{1}×{2}×{0}".format(*entry.shape) if entry.shape else ""


def _without(entry: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in names}
