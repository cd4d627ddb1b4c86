"""Two folders of results, cell by cell: what is missing, what moved, and what moved more than seeds explain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.store import Result, Store, read_results

SAME, MOVED, BEYOND = "the same", "moved", "moved more than seeds explain"
MISSING, ADDED = "missing here", "only here"
VERDICTS = (MISSING, BEYOND, MOVED, ADDED, SAME)
ALARMING = (MISSING, BEYOND)
STANDARD_ERRORS = 3
"""By how many standard errors a mean over seeds may move: among 300 cells, one moves farther by chance."""
CELL = ["dataset", "detector", "cls"]


@dataclass(frozen=True)
class Comparison:
    """What came of comparing two folders.

    Attributes
    ----------
    cells : DataFrame
        One row for each dataset × detector × normal class in either: mean AUROC over seeds ``here`` and ``there``,
        their ``difference``, and a ``verdict``.
    """

    cells: pd.DataFrame

    @property
    def shown(self) -> pd.DataFrame:
        """The cells that are not the same, what matters most first, the largest differences before."""
        different = self.cells[self.cells["verdict"] != SAME]
        order = pd.DataFrame(
            {"verdict": different["verdict"].map(VERDICTS.index), "size": -different["difference"].abs()}
        )
        return different.loc[order.sort_values(["verdict", "size"], kind="stable").index]

    @property
    def well(self) -> bool:
        """Whether nothing is missing here, and nothing moved more than seeds explain."""
        return not self.cells["verdict"].isin(ALARMING).any()

    @property
    def summary(self) -> str:
        """One line."""
        counts = self.cells["verdict"].value_counts()
        parts = [f"{counts[verdict]} {verdict}" for verdict in reversed(VERDICTS) if verdict in counts]
        return f"{len(self.cells)} cells: {', '.join(parts)}."


def compare(store: Store, other: Path, *, tolerance: float) -> Comparison:
    """Compare the AUROC of a store's results with those of another folder.

    The deviation over seeds is estimated for each detector on each dataset, from all its cells with several seeds in
    either folder. A cell moved more than seeds explain if its means differ by more than three standard errors of the
    difference.

    Parameters
    ----------
    store : Store
        Here.
    other : Path
        There: a leaderboard's folder, or its results folder.
    tolerance : float
        The deviation over seeds that is assumed of a detector without two seeds of any cell.

    Returns
    -------
    Comparison

    Raises
    ------
    UsageError
        One of the two has no results, or results of another protocol than the store's.
    """
    here = store.read_all()
    folders = (Store.at(other, store.protocol).results, other / "results")
    there = read_results(next((folder for folder in folders if folder.is_dir()), other), store.protocol)
    for folder, results in ((store.results, here), (other, there)):
        if not results:
            raise UsageError(f"There are no results in {folder}: name a folder that `bench run` wrote to.")
    tables = {"here": _frame(here), "there": _frame(there)}
    deviation = _deviations(pd.concat(tables.values()))
    cells = {key: frame.groupby(CELL)["auroc"] for key, frame in tables.items()}
    means = pd.concat({key: cell.mean() for key, cell in cells.items()}, axis=1)
    counts = pd.concat({key: cell.count() for key, cell in cells.items()}, axis=1).fillna(0)
    difference = means["here"] - means["there"]
    spread = np.array([deviation.get((dataset, detector), tolerance) for dataset, detector, _ in means.index])
    allowed = STANDARD_ERRORS * spread * np.sqrt(1 / counts["here"].clip(1) + 1 / counts["there"].clip(1))
    verdict = np.select(
        [means["here"].isna(), means["there"].isna(), difference == 0, difference.abs() <= allowed],
        [MISSING, ADDED, SAME, MOVED],
        BEYOND,
    )
    return Comparison(means.assign(difference=difference, verdict=verdict).reset_index())


def _frame(results: list[Result]) -> pd.DataFrame:
    """One row for each trial that did not fail."""
    rows = [
        (result["dataset"], result["label"], result["class_name"], result["seed"], result["auroc"])
        for result in results
        if result["status"] == "done"
    ]
    return pd.DataFrame(rows, columns=[*CELL, "seed", "auroc"])


def _deviations(trials: pd.DataFrame) -> dict[tuple[str, str], float]:
    """Give the standard deviation over seeds of a detector on a dataset, pooled over its cells."""
    seeds = trials.drop_duplicates([*CELL, "seed"]).groupby(CELL)["auroc"].agg(["var", "count"])
    seeds = seeds[seeds["count"] > 1]
    freedom = (seeds["count"] - 1).groupby(level=[0, 1]).sum()
    pooled = (seeds["var"] * (seeds["count"] - 1)).groupby(level=[0, 1]).sum() / freedom
    return dict(zip(pooled.index.tolist(), np.sqrt(pooled).tolist(), strict=True))
