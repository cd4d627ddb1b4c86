"""Means and ranks of results; pure functions of the frame that `Results.to_frame` returns.

A figure of a dataset is a mean over all its classes, so that only seeds that have them all count. No function looks at
more than one dataset: what was run on one never changes the figures of another.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def done(frame: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """Return the rows of a dataset's trials that did not fail."""
    return frame[(frame["status"] == "done") & (frame["dataset"] == dataset)]


def by_class(frame: pd.DataFrame, dataset: str, metric: str = "auroc") -> pd.DataFrame:
    """Return means over seeds.

    Parameters
    ----------
    frame : DataFrame
        One row a trial.
    dataset : str
        Its name.
    metric : str
        A column of the frame.

    Returns
    -------
    DataFrame
        Detectors (sorted) × classes with results; NaN where a trial is missing or failed.
    """
    rows = frame[frame["dataset"] == dataset]
    table = done(frame, dataset).pivot_table(index="detector", columns="normal_class", values=metric, aggfunc="mean")
    return table.reindex(index=sorted(set(rows["detector"])), columns=sorted(set(rows["normal_class"])))


def by_seed(frame: pd.DataFrame, dataset: str, detector: str, classes: int, metric: str = "auroc") -> pd.Series:
    """Return means over all classes, for each seed that has them all.

    Parameters
    ----------
    frame : DataFrame
        One row a trial.
    dataset, detector : str
        Which row of the leaderboard; the detector by its label.
    classes : int
        How many classes the dataset has.
    metric : str
        A column of the frame.

    Returns
    -------
    Series
        Indexed by seed; empty if no seed is complete.
    """
    rows = done(frame, dataset)
    seeds = rows[rows["detector"] == detector].groupby("seed")[metric]
    return seeds.mean()[seeds.count() == classes]


def complete(frame: pd.DataFrame, dataset: str, classes: int) -> list[str]:
    """Return the labels, sorted, of detectors with results for all classes of a dataset with at least one seed."""
    counts = done(frame, dataset).groupby(["detector", "seed"])["auroc"].count()
    return sorted({str(detector) for detector, _ in counts.index[counts == classes]})


def with_extra_data(frame: pd.DataFrame) -> set[str]:
    """Return the labels of detectors that have seen images beyond the training images."""
    return set(frame.loc[frame["extra_data"] != "", "detector"])


def ranks(
    frame: pd.DataFrame, dataset: str, detectors: Collection[str], metric: str = "auroc", *, ascending: bool = False
) -> dict[str, float]:
    """Return ranks on a dataset, averaged over its classes.

    For each class, the means over seeds are ranked; ties share a rank. Detectors with extra data are ranked among
    themselves, and so are those without.

    Parameters
    ----------
    frame : DataFrame
        One row a trial.
    dataset : str
        Its name.
    detectors : collection of str
        Labels of those to rank; one without the metric for every class is left out.
    metric : str
        A column of the frame.
    ascending : bool
        Whether less is better.

    Returns
    -------
    dict
        From label to average rank; 1 is best. Those without extra data come first, and the best before.
    """
    table = by_class(frame, dataset, metric)
    table = table[table.index.isin(list(detectors))].dropna()
    extra = table.index.isin(list(with_extra_data(frame)))
    found: dict[str, float] = {}
    for peers in (table[~extra], table[extra]):
        averages = peers.rank(ascending=ascending).mean(axis=1).sort_values(kind="stable")
        found |= {str(label): float(rank) for label, rank in averages.items()}
    return found
