"""Two folders of results compared cell by cell: what is missing, what moved, what moved more than seeds explain."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.results.collection import Results
from oodbench.benchmark.results.store import Store

SAME, MOVED, BEYOND = "the same", "moved", "moved more than seeds explain"
MISSING, FEWER, ADDED = "missing here", "seeds missing here", "only here"
VERDICTS = (MISSING, BEYOND, FEWER, MOVED, ADDED, SAME)
"""What matters most first."""
ALARMING = (MISSING, BEYOND, FEWER)
STANDARD_ERRORS = 3
"""By how many standard errors a mean over seeds may move: among 300 cells, one moves farther by chance."""
MEASURES = ("auroc", "frechet")
"""One of either side."""
ROUNDING = 5e-5
"""What moves by less is the same: it would be shown as 0.0000, and another processor rounds otherwise."""
FRECHET_SHARE = 0.1
"""The deviation over seeds that is assumed of a Fréchet distance, as a share of it."""
CELL = ["dataset", "detector", "cls", "measure"]


@dataclass(frozen=True)
class Comparison:
    """The outcome of comparing two folders.

    Attributes
    ----------
    cells : DataFrame
        One row for each dataset × detector × normal class × measure in either: means over seeds ``here`` and ``there``,
        their ``difference``, and a ``verdict``.
    problems : list of str
        One sentence for each file of either folder that was left out.
    """

    cells: pd.DataFrame
    problems: list[str] = field(default_factory=list)

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
    """Compare a store's results with those of another folder: AUROC, and the Fréchet distance of samples.

    The deviation over seeds is estimated for each detector on each dataset, from all its cells with several seeds in
    either folder. A cell moved more than seeds explain if its means differ by more than three standard errors of the
    difference, and is the same if they differ by less than four digits show. A cell with seeds there that are not here
    counts as one where seeds are missing, unless it moved so.

    Parameters
    ----------
    store : Store
        Here.
    other : Path
        There: a leaderboard's folder, or its results folder.
    tolerance : float
        The deviation over seeds that is assumed of the AUROC of a detector without two seeds of any cell; of its
        Fréchet distance, a tenth is assumed.

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
    folder = next((folder for folder in folders if folder.is_dir()), other)
    there = Results.from_disk(folder, store.protocol).newest()
    for folder, results in ((store.results, here), (other, there)):
        if not results:
            raise UsageError(f"There are no results in {folder}: name a folder that `bench run` wrote to.")
    alike = _classifiers(here) & _classifiers(there)
    tables = {"here": _frame(here, alike), "there": _frame(there, alike)}
    return Comparison(_cells(tables, tolerance), [*here.problems, *there.problems])


def _cells(tables: Mapping[str, pd.DataFrame], tolerance: float) -> pd.DataFrame:
    """Judge each cell of the two tables."""
    cells = {key: frame.groupby(CELL)["value"] for key, frame in tables.items()}
    means = pd.concat({key: cell.mean() for key, cell in cells.items()}, axis=1)
    counts = pd.concat({key: cell.count() for key, cell in cells.items()}, axis=1).fillna(0)
    difference = means["here"] - means["there"]
    allowed = STANDARD_ERRORS * _spread(tables, means["there"], tolerance)
    allowed = allowed * np.sqrt(1 / counts["here"].clip(1) + 1 / counts["there"].clip(1))
    seeds = {key: frame.groupby(CELL)["seed"].agg(frozenset) for key, frame in tables.items()}
    fewer = [bool(seeds["there"].get(cell, frozenset()) - seeds["here"].get(cell, frozenset())) for cell in means.index]
    size = difference.abs()
    verdict = np.select(
        [means["here"].isna(), means["there"].isna(), size > np.maximum(allowed, ROUNDING), fewer, size < ROUNDING],
        [MISSING, ADDED, BEYOND, FEWER, SAME],
        MOVED,
    )
    return means.assign(difference=difference, verdict=verdict).reset_index()


def _spread(tables: Mapping[str, pd.DataFrame], there: pd.Series, tolerance: float) -> NDArray[np.float64]:
    """Return the deviation over seeds of each cell, estimated from both tables or else assumed."""
    deviation = _deviations(pd.concat(tables.values()))
    return np.array(
        [
            deviation.get((dataset, detector, measure), tolerance if measure == "auroc" else FRECHET_SHARE * value)
            for (dataset, detector, _, measure), value in zip(there.index, there, strict=True)
        ]
    )


def _classifiers(results: Results) -> set[tuple[str, str | None]]:
    """Return which classifiers measured samples, by dataset; distances by different ones have nothing in common."""
    return {(result.dataset, result.classifier) for result in results}


def _frame(results: Results, classifiers: Set[tuple[str, str | None]]) -> pd.DataFrame:
    """One row for each measure of a trial that did not fail; of samples, if one of these classifiers measured them."""
    rows = [
        (result.dataset, result.label, result.class_name, measure, result.seed, getattr(result, measure))
        for result in results.select(status="done")
        for measure in MEASURES
        if not math.isnan(getattr(result, measure))
        if measure != "frechet" or (result.dataset, result.classifier) in classifiers
    ]
    return pd.DataFrame(rows, columns=[*CELL, "seed", "value"])


def _deviations(trials: pd.DataFrame) -> dict[tuple[str, str, str], float]:
    """Compute the standard deviation over seeds of a measure of a detector on a dataset, pooled over its cells."""
    seeds = trials.drop_duplicates([*CELL, "seed"]).groupby(CELL)["value"].agg(["var", "count"])
    seeds = seeds[seeds["count"] > 1]
    of = ["dataset", "detector", "measure"]
    freedom = (seeds["count"] - 1).groupby(level=of).sum()
    pooled = (seeds["var"] * (seeds["count"] - 1)).groupby(level=of).sum() / freedom
    return dict(zip(pooled.index.tolist(), np.sqrt(pooled).tolist(), strict=True))
