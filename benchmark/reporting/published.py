"""Figures from papers, to stand beside ours: never measured here, never ranked."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from oodbench.benchmark.reporting.format import DASH, or_dash
from oodbench.benchmark.reporting.summary import Summary
from oodbench.datasets.components.protocols import DEFAULT_PROTOCOL, MemAE

PUBLISHED = Path(__file__).with_name("published.csv")
MEAN = "mean"
ROW = ["method", "detector", "dataset", "protocol", "paper", "table"]
ABOUT = (*ROW, "certainty", MEAN)
"""Columns that are no classes."""
OUR_NAMES = {"whole test part": DEFAULT_PROTOCOL, "2/3 train, 30 % OOD": MemAE.name}
"""Of the protocols in the file."""


def published_figures(dataset: str) -> pd.DataFrame:
    """Read what papers say of a dataset.

    Parameters
    ----------
    dataset : str
        Its registered name.

    Returns
    -------
    DataFrame
        One row a method and paper, best mean first: `ROW`, ``certainty`` (whether the figures were read in the paper or
        recalled), a column for each class with figures, and ``mean``. AUROC in [0, 1]; NaN where the paper gives none.
        ``detector`` is ours of the same method, or empty.
    """
    figures = pd.read_csv(PUBLISHED, dtype={"class": str}, keep_default_na=False)
    figures = figures[figures["dataset"] == dataset]
    means = figures[figures["class"] == MEAN].set_index(ROW)
    table = figures.pivot(index=ROW, columns="class", values="auroc").reindex(means.index)
    table.insert(0, "certainty", means["certainty"])
    table[MEAN] = means["auroc"]
    return table.reset_index().rename_axis(columns=None).sort_values(MEAN, ascending=False, ignore_index=True)


def beside_ours(summary: Summary, dataset: str) -> list[list[str]]:
    """Tabulate published figures with the difference to ours.

    Results of the default protocol are shown with the papers of every protocol, others with papers of the same.

    Parameters
    ----------
    summary : Summary
        Ours.
    dataset : str
        Its name.

    Returns
    -------
    list of list of str
        Rows of text: method, a cell for each class that we have, mean, ours less the paper's mean under the same
        protocol, protocol, source, certainty. Empty if no paper is known.
    """
    rows = []
    names = summary.class_names[dataset].values()
    figures = published_figures(dataset)
    if summary.protocol != DEFAULT_PROTOCOL:
        figures = figures[figures["protocol"].map(OUR_NAMES) == summary.protocol]
    for _, figure in figures.iterrows():
        comparable = figure["detector"] and OUR_NAMES[figure["protocol"]] == summary.protocol
        rows.append(
            [
                figure["method"],
                *(or_dash(figure.get(name) if name not in ABOUT else None, "{:.3f}") for name in names),
                or_dash(figure[MEAN], "{:.3f}"),
                _difference(summary, dataset, figure["detector"], figure[MEAN]) if comparable else DASH,
                figure["protocol"],
                ", ".join(part for part in (figure["paper"], figure["table"]) if part),
                figure["certainty"],
            ]
        )
    return rows


def _difference(summary: Summary, dataset: str, detector: str, paper: float) -> str:
    """Return the difference of our mean over all classes to the paper's."""
    mean = summary.mean(dataset, detector)
    return f"{detector} {mean.value - paper:+.3f}" if mean and mean.complete else DASH
