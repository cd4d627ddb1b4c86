"""Figures from papers, to stand beside ours: never measured here, never ranked."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from oodbench.benchmark.cli.display import or_dash
from oodbench.benchmark.reporting.statistics import Statistics
from oodbench.datasets.components.protocols import DEFAULT_PROTOCOL

PUBLISHED = Path(__file__).with_name("published.csv")
MEAN = "mean"
ROW = ["method", "detector", "dataset", "protocol", "paper", "table"]
PLAIN = "@plain_score=true"
"""Ends the label of one of ours that scores as in its paper."""
OUR_NAMES = {"whole test part": DEFAULT_PROTOCOL, "2/3 train, 30 % OOD": "memae"}
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


def beside_ours(statistics: Statistics, dataset: str) -> list[list[str]]:
    """Tabulate published figures with the difference to ours.

    Beside results of the default protocol stand the papers of every protocol, beside others those of the same.

    Parameters
    ----------
    statistics : Statistics
        Ours.
    dataset : str
        Of which dataset.

    Returns
    -------
    list of list of str
        Rows of text: method, a cell for each class that we have, mean, ours less the paper's mean under the same
        protocol, protocol, source, certainty. Empty if no paper is known.
    """
    rows = []
    names = statistics.class_names[dataset].values()
    figures = published_figures(dataset)
    if statistics.protocol != DEFAULT_PROTOCOL:
        figures = figures[figures["protocol"].map(OUR_NAMES) == statistics.protocol]
    for _, figure in figures.iterrows():
        comparable = figure["detector"] and OUR_NAMES[figure["protocol"]] == statistics.protocol
        ours = {
            label: statistics.by_seed(dataset, label)
            for label in (figure["detector"], f"{figure['detector']}{PLAIN}")
            if comparable
        }
        differences = [f"{label} {seeds.mean() - figure[MEAN]:+.3f}" for label, seeds in ours.items() if len(seeds)]
        rows.append(
            [
                figure["method"],
                *(or_dash(figure.get(name), "{:.3f}") for name in names),
                or_dash(figure[MEAN], "{:.3f}"),
                ", ".join(differences) or "—",
                figure["protocol"],
                ", ".join(part for part in (figure["paper"], figure["table"]) if part),
                figure["certainty"],
            ]
        )
    return rows
