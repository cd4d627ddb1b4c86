"""What the verbs show, as tables for the terminal and as rows for JSON."""

from __future__ import annotations

import json
import shlex
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from oodbench.benchmark.cli.terminal import make_table
from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.evaluation.measures import DETECTION
from oodbench.benchmark.files import file_name
from oodbench.benchmark.reporting.diff import ALARMING, Comparison
from oodbench.benchmark.reporting.format import command_line, duration, in_one_line, or_dash
from oodbench.benchmark.reporting.interval import bootstrap_interval
from oodbench.benchmark.results.collection import Results
from oodbench.benchmark.results.run_files import SCORES, read_scores
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.trials import protocol_option
from oodbench.datasets.base import Dataset, DatasetError


def split_table(store: Store, results: Results) -> Table:
    """Return every detector's figures on one split, best AUROC first.

    Parameters
    ----------
    store : Store
        Where the run folders lie, whose scores the confidence intervals are computed from.
    results : Results
        Those of the split.

    Returns
    -------
    Table
    """
    title = f"{results[0].dataset}, normal class {results[0].class_name}"
    table = make_table(("detector", "seed", *DETECTION, "95 % interval", "fit"), title)
    for result in sorted(results, key=lambda result: (result.status == "failed", -result.auroc)):
        if result.status == "failed":
            figures = ["failed", in_one_line(result.error or ""), *["—"] * (len(DETECTION) - 1)]
        else:
            interval = _interval(store.run_folder(result.trial))
            figures = [or_dash(getattr(result, name), "{:.3f}") for name in DETECTION]
            figures += [interval, duration(result.fit_seconds)]
        table.add_row(result.label, str(result.seed), *figures)
    return table


def split_results(store: Store, dataset: type[Dataset], normal_class: int, options: Sequence[str]) -> Results:
    """Return the results of one split.

    Parameters
    ----------
    store : Store
        Where results lie.
    dataset : type
        The dataset.
    normal_class : int
        The label of the normal class.
    options : sequence of str
        What the command that runs the split needs besides.

    Returns
    -------
    Results

    Raises
    ------
    UsageError
        There are none.
    """
    results = store.read_all().select(dataset=dataset.name, normal_class=normal_class)
    if not results:
        words = ["bench", "run", "--dataset", dataset.name, "--class", dataset.class_names[normal_class], *options]
        raise UsageError(
            f"There are no results of {dataset.name} with normal class {dataset.class_names[normal_class]} in "
            f"{store.results}: run `{command_line(shlex.join(words))}{protocol_option(store.protocol)}`."
        )
    return results


def run_folders(store: Store, dataset: str, normal_class: int) -> str:
    """Return a sentence that says where the pictures and weights of one split lie."""
    folder = store.runs / file_name(dataset)
    found = sorted(folder.glob(f"*/class-{normal_class}_seed-*"))
    if not found:
        return f"No run folders in {store.runs}: pictures and weights are where the trials were run."
    return f"Pictures and weights: {folder}/DETECTOR/class-{normal_class}_seed-SEED, for example {found[0]}"


def score_table(scores: pd.DataFrame) -> Table:
    """Return the scores of images, most out-of-distribution first, and what the verdict means."""
    card = scores.attrs
    table = make_table(
        ("image", "score", "verdict"),
        f"{card['detector']}, normal: {card['dataset']} {card['class_name']}",
        whole=("image",),
    )
    table.caption_justify = "left"
    table.caption = verdict_meaning(card)
    for image, score, verdict in zip(scores["image"], scores["score"], scores["verdict"], strict=True):
        style = {"out": "red", "unreadable": "yellow"}.get(verdict)
        table.add_row(image, or_dash(score, "{:.4g}"), verdict, style=style)
    return table


def verdict_meaning(card: Mapping[Hashable, Any]) -> str:
    """Return what "out" means for a stored model, and what its threshold achieved on the trial's test images."""
    threshold = card["threshold"]
    if not threshold:
        return "no verdict: the model was trained on too few images to hold some out for a threshold"
    meaning = (
        f"out: the score is above {threshold['value']:.4g}, which keeps {threshold['keeps']:.1%} of normal images "
        f"(set with {threshold['images']} held-out ones)"
    )
    kept, caught = card.get("normal_kept"), card.get("ood_caught")
    if kept is None or caught is None:
        return meaning
    return f"{meaning}; in the trial's test it kept {kept:.1%} of normal images and caught {caught:.1%} of the others"


def diff_table(comparison: Comparison) -> Table:
    """Return the cells that are not the same, what matters most first."""
    table = make_table(("dataset", "class", "detector", "measure", "here", "there", "difference", "so"))
    for cell in comparison.shown.to_dict("records"):
        figures = [or_dash(cell["here"], "{:.4f}"), or_dash(cell["there"], "{:.4f}")]
        figures.append(or_dash(cell["difference"], "{:+.4f}"))
        style = "red" if cell["verdict"] in ALARMING else None
        place = (cell["dataset"], cell["cls"], cell["detector"], cell["measure"])
        table.add_row(*place, *figures, cell["verdict"], style=style)
    return table


def ranks(store: Store) -> dict[str, list[dict[str, Any]]]:
    """Return the ranked table of each dataset, best first, as JSON values; raises UsageError without any results."""
    results = store.read_all()
    if not results:
        raise UsageError(f"There are no results in {store.leaderboard}: run something, or name its folder with --out.")
    board = results.leaderboard()
    return {
        dataset: records(
            board[dataset]
            .sort_values(["extra_data", "rank", "auroc"], ascending=[True, True, False], key=_place, kind="stable")
            .reset_index()
        )
        for dataset in board.columns.get_level_values(0).unique()
    }


def _place(column: pd.Series) -> pd.Series:
    """Place detectors with extra data below those without."""
    return column.fillna("") != "" if column.name == "extra_data" else column


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as JSON values; what is NaN becomes None."""
    rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records"))
    return rows


def data_rows(datasets: Iterable[Dataset], options: Sequence[str]) -> list[tuple[str, str]]:
    """Return the name of each dataset, and whether it is there, verified, or what is missing.

    Parameters
    ----------
    datasets : iterable of Dataset
        Which.
    options : sequence of str
        What the command that downloads one needs besides its name.

    Returns
    -------
    list of (str, str)
    """
    return [(dataset.name, _state(dataset, options)) for dataset in datasets]


def data_table(rows: Iterable[tuple[str, str]], root: Path) -> Table:
    """Return what `data_rows` says as a table."""
    table = make_table(("dataset", "state"), f"Datasets in {root}", whole=("dataset",))
    for row in rows:
        table.add_row(*row)
    return table


def _state(dataset: Dataset, options: Sequence[str]) -> str:
    missing = dataset.missing()
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        command = command_line(shlex.join(["bench", "data", dataset.name, *options]))
        return f"missing {missing[0].name}{more}; `{command}` downloads what is missing"
    try:
        dataset.verify()
    except DatasetError as error:
        return str(error)
    return "ready"


def _interval(folder: Path) -> str:
    """Return the bootstrap interval of a trial whose scores are there."""
    stored = read_scores(folder)
    if stored is None:
        return "damaged" if (folder / SCORES).exists() else "—"
    low, high = bootstrap_interval(stored.score, stored.is_ood)
    return f"{low:.3f} – {high:.3f}"
