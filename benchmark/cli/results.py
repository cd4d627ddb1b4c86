"""``bench leaderboard``, ``diff`` and ``show``: what is stored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oodbench.benchmark.cli.options import Json, Out, PluginFiles, ProtocolName, as_given
from oodbench.benchmark.cli.terminal import say, show_json, show_tables


def leaderboard(
    check: Annotated[bool, typer.Option("--check", help="Only say whether what is there matches.")] = False,
    protocol: ProtocolName = "deep-svdd",
    out: Out = None,
    json: Annotated[bool, typer.Option("--json", help="Print the ranks as JSON, and write nothing.")] = False,
) -> None:
    """Write page, table and plots anew from the stored results."""
    from oodbench.benchmark.trials import check_protocol

    check_protocol(protocol)
    from oodbench.benchmark.reporting import leaderboard as pages
    from oodbench.benchmark.results.store import Store

    store = Store.at(out, protocol)

    if json:
        from oodbench.benchmark.cli.tables import ranks

        show_json(ranks(store))
        return
    if not check:
        say(f"Leaderboard: {pages.update(store)}")
        return
    problems = pages.check(store)
    for problem in problems:
        say(problem, style="red")
    if problems:
        say("The same command without --check writes it anew.")
        raise typer.Exit(1)
    say(f"{store.leaderboard} matches its results.")


def diff(
    other: Annotated[Path, typer.Argument(metavar="FOLDER", help="Another leaderboard, or its results folder.")],
    tolerance: Annotated[
        float,
        typer.Option(
            metavar="X", min=0, help="Deviation of the AUROC over seeds to assume where there is only one seed."
        ),
    ] = 0.005,
    protocol: ProtocolName = "deep-svdd",
    out: Out = None,
    json: Json = False,
) -> None:
    """Compare results with another folder's, cell by cell.

    AUROC and Fréchet distance. Exit code 1 if a cell or a seed is missing here, or one moved more than seeds explain.
    """
    from oodbench.benchmark.trials import check_protocol

    check_protocol(protocol)
    from oodbench.benchmark.cli.tables import diff_table, records
    from oodbench.benchmark.reporting.diff import compare
    from oodbench.benchmark.results.store import Store

    comparison = compare(Store.at(out, protocol), other, tolerance=tolerance)
    if json:
        show_json({"summary": comparison.summary, "cells": records(comparison.shown)})
    else:
        if not comparison.shown.empty:
            show_tables(diff_table(comparison))
        say(comparison.summary)
    if not comparison.well:
        raise typer.Exit(1)


def show(
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="A dataset.")],
    class_: Annotated[str, typer.Argument(metavar="CLASS", help="A normal class, by name or number.")],
    protocol: ProtocolName = "deep-svdd",
    out: Out = None,
    plugin: PluginFiles = None,
    json: Json = False,
) -> None:
    """Show one split: every detector's figures, and where its pictures lie."""
    from oodbench.benchmark.cli.selection import select
    from oodbench.benchmark.trials import check_protocol, class_labels

    check_protocol(protocol)
    found = select(plugin, datasets=[dataset], classes=[class_]).plugins.datasets[dataset]
    (label,) = class_labels(found, [class_])
    from oodbench.benchmark.cli.tables import run_folders, split_results, split_table
    from oodbench.benchmark.results.store import Store

    store = Store.at(out, protocol)
    results = split_results(store, found, label, as_given(context, "out", "plugin"))
    if json:
        show_json([result.model_dump(mode="json") for result in results])
        return
    show_tables(split_table(store, results))
    for problem in results.problems:
        say(problem, style="yellow")
    say(run_folders(store, found.name, label))
