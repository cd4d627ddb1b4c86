"""What ``bench list``, ``show`` and ``data`` say, as tables for the terminal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from rich.table import Table

from oodbench.benchmark.cli.display import duration, or_dash
from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.evaluation.metrics import METRICS
from oodbench.benchmark.files import file_name
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.reporting.diff import ALARMING, Comparison
from oodbench.benchmark.reporting.significance import bootstrap_interval
from oodbench.benchmark.results.store import Result, Store
from oodbench.benchmark.trials import protocol_option, trial_path
from oodbench.datasets.base import Dataset, DatasetError


def split_table(store: Store, dataset: str, normal_class: int) -> Table:
    """Show every detector's figures on one split.

    Parameters
    ----------
    store : Store
        Where results and run folders lie.
    dataset : str
        A dataset's name.
    normal_class : int
        The label of the normal class.

    Returns
    -------
    Table

    Raises
    ------
    UsageError
        There are no results of this split.
    """
    results = [
        result for result in store.read_all() if (result["dataset"], result["normal_class"]) == (dataset, normal_class)
    ]
    if not results:
        raise UsageError(
            f"There are no results of {dataset} with normal class {normal_class} in {store.results}: run "
            f"`bench run --dataset {dataset} --class {normal_class}{protocol_option(store.protocol)}`."
        )
    title = f"{dataset}, normal class {results[0]['class_name']}"
    table = Table("detector", "seed", *METRICS, "95 % interval", "fit", title=title, title_justify="left")
    for column in table.columns:
        column.overflow = "fold"  # rather than cut off
    for result in sorted(results, key=lambda result: -result.get("auroc", -1.0)):
        scores = store.runs / trial_path(dataset, result["label"], normal_class, result["seed"]) / "scores.npz"
        *figures, fit = _figures(result)
        table.add_row(result["label"], str(result["seed"]), *figures, _interval(scores), fit)
    return table


def run_folders(store: Store, dataset: str, normal_class: int) -> str:
    """Say where the pictures and weights of one split lie."""
    folder = store.runs / file_name(dataset)
    found = sorted(folder.glob(f"*/class-{normal_class}_seed-*"))
    if not found:
        return f"No run folders in {store.runs}: pictures and weights are where the trials were run."
    return f"Pictures and weights: {folder}/DETECTOR/class-{normal_class}_seed-SEED, for example {found[0]}"


def score_table(scores: pd.DataFrame) -> Table:
    """Show scores of images, most out-of-distribution first, and what the verdict means."""
    card = scores.attrs
    title = f"{card['detector']}, normal: {card['dataset']} {card['class_name']}"
    threshold = card["threshold"]
    caption = (
        f"out: the score is above {threshold['value']:.4g}, which keeps {threshold['keeps']:.0%} of normal images "
        f"(set with {threshold['images']} held-out ones)"
        if threshold
        else "no verdict: the model was trained on too few images to hold some out for a threshold"
    )
    table = Table("image", "score", "verdict", title=title, title_justify="left", caption=caption)
    table.caption_justify = "left"
    for image, score, verdict in zip(scores["image"], scores["score"], scores["verdict"], strict=True):
        style = {"out": "red", "unreadable": "yellow"}.get(verdict)
        table.add_row(image, or_dash(score, "{:.4g}"), verdict, style=style)
    return table


def diff_table(comparison: Comparison) -> Table:
    """Show the cells that are not the same, what matters most first."""
    table = Table("dataset", "class", "detector", "measure", "here", "there", "difference", "so")
    table.columns[2].overflow = "fold"
    for cell in comparison.shown.to_dict("records"):
        figures = [or_dash(cell["here"], "{:.4f}"), or_dash(cell["there"], "{:.4f}")]
        figures.append(or_dash(cell["difference"], "{:+.4f}"))
        style = "red" if cell["verdict"] in ALARMING else None
        place = (cell["dataset"], cell["cls"], cell["detector"], cell["measure"])
        table.add_row(*place, *figures, cell["verdict"], style=style)
    return table


def data_table(plugins: Plugins, root: Path) -> Table:
    """Show which datasets are there, verified, and what is missing."""
    table = Table("dataset", "state", title=f"Datasets in {root}", title_justify="left")
    for name, plugin in sorted(plugins.datasets.plugins.items()):
        table.add_row(name, _state(plugin.cls(root)))
    return table


def _state(dataset: Dataset) -> str:
    missing = dataset.missing()
    if missing:
        return f"missing {missing[0].name} and {len(missing) - 1} more; `bench data {dataset.name}` downloads them"
    try:
        dataset.verify()
    except DatasetError as error:
        return str(error)
    return "ready"


def _interval(path: Path) -> str:
    """Give the bootstrap interval of a trial whose scores are there."""
    if not path.is_file():
        return "—"
    with np.load(path) as stored:
        low, high = bootstrap_interval(stored["score"], stored["is_ood"])
    return f"{low:.3f}–{high:.3f}"


def _figures(result: Result) -> list[str]:
    if result["status"] == "failed":
        return ["failed", result["error"], *["—"] * (len(METRICS) - 1)]
    return [*(f"{result[metric]:.3f}" for metric in METRICS), duration(result["fit_seconds"])]
