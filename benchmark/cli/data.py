"""``bench data``: where datasets lie."""

from __future__ import annotations

from typing import Annotated

import typer

from oodbench.benchmark.cli.options import DataDir, Json, PluginFiles, as_given, data_folder
from oodbench.benchmark.cli.terminal import say, show_json, show_tables


def data(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="DATASET", help="Datasets to download and verify; without any, all are listed."),
    ] = None,
    data_dir: DataDir = None,
    plugin: PluginFiles = None,
    json: Json = False,
) -> None:
    """Show which datasets are present and which are missing; download and verify those that are named."""
    from oodbench.benchmark.cli.selection import select

    chosen, root = select(plugin, datasets=names), data_folder(data_dir)
    datasets = [chosen.plugins.datasets[name](root) for name in chosen.datasets]
    for dataset in datasets:
        dataset.prepare()
        if not json:
            say(f"{dataset.name}: ready in {root}")
    if datasets and not json:
        return
    from oodbench.benchmark.cli.tables import data_rows, data_table

    shown = datasets or [chosen.plugins.datasets[name](root) for name in sorted(chosen.plugins.datasets.names())]
    rows = data_rows(shown, as_given(context, "data_dir", "plugin"))
    if json:
        show_json([{"dataset": name, "state": state} for name, state in rows])
    else:
        show_tables(data_table(rows, root))
