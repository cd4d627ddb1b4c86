"""Results made into means, deviations and ranks. Each dataset stands for itself."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.evaluation.measures import GENERATION
from oodbench.benchmark.plugins import Registry
from oodbench.benchmark.results import aggregate
from oodbench.benchmark.results.collection import Results
from oodbench.benchmark.results.result import TrialResult
from oodbench.benchmark.trials import BENCHMARK_DATASETS
from oodbench.datasets.base import Dataset, DatasetError

NOISE_BAR = 0.9
"""Mean AUROC against uniform noise below which a detector is said to take noise for normal."""


@dataclass(frozen=True)
class Mean:
    """A figure of a detector on a dataset: a mean over classes, for each seed.

    Attributes
    ----------
    seeds : tuple of float
        The mean over classes of each seed that has them; at least one.
    classes : int
        How many classes the mean is over.
    of : int
        How many classes the dataset has.
    complete : bool
        Whether a seed has all classes of the dataset.
    """

    seeds: tuple[float, ...]
    classes: int
    of: int
    complete: bool

    @property
    def value(self) -> float:
        """The mean over seeds."""
        return float(pd.Series(self.seeds).mean())

    @property
    def deviation(self) -> float:
        """The standard deviation over seeds; NaN of a single one."""
        return float(pd.Series(self.seeds).std())

    @property
    def median(self) -> float:
        """The median over seeds, which a few slow ones do not move."""
        return float(np.median(self.seeds))


@dataclass(frozen=True)
class Summary:
    """All figures of a leaderboard.

    A dataset's figures and ranks depend on its own results alone: a detector is ranked there if its hyperparameters are
    unchanged and one of its seeds has all classes. Detectors with extra data are ranked among themselves.

    Attributes
    ----------
    results : Results
        Of one protocol; at least one.
    """

    results: Results

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row a trial; see `Results.to_frame`."""
        return self.results.to_frame()

    @cached_property
    def done(self) -> pd.DataFrame:
        """The rows of trials that did not fail."""
        return self.frame[self.frame["status"] == "done"]

    @property
    def protocol(self) -> str:
        """The protocol that all results are of."""
        return self.results[0].protocol

    # ------------------------------------------------------------------ what there is

    @cached_property
    def datasets(self) -> list[str]:
        """Datasets with results, the benchmark's own first."""
        present = set(self.frame["dataset"])
        own = [name for name in BENCHMARK_DATASETS if name in present]
        return own + sorted(present - set(own))

    @cached_property
    def detectors(self) -> list[str]:
        """Labels of detectors with results: as on the first dataset, then those that it lacks as on the next."""
        return list(dict.fromkeys(label for dataset in self.datasets for label in self.detectors_on(dataset)))

    def detectors_on(self, dataset: str) -> list[str]:
        """Return the labels of detectors with results on a dataset: by rank, the unranked last, by AUROC.

        Those with extra data stand below all others, in the same order.
        """
        ranks = self.ranks[dataset]
        present = set(self.frame.loc[self.frame["dataset"] == dataset, "detector"])

        def place(label: str) -> tuple[bool, float, float, str]:
            extra = label in self.extra_data
            return extra, ranks.get(label, math.inf), -self._auroc(dataset, label), label

        return sorted(present, key=place)

    @cached_property
    def extra_data(self) -> dict[str, str]:
        """What images detectors have seen beyond the training images, by label, of those that have seen any."""
        return {result.label: result.extra_data for result in self.results if result.extra_data}

    @cached_property
    def changed(self) -> dict[str, str]:
        """Detectors that ran with changed hyperparameters, from label to name; they are shown, but not ranked."""
        return {result.label: result.detector for result in self.results if result.changes}

    @cached_property
    def class_names(self) -> dict[str, dict[int, str]]:
        """For each dataset the names of the classes that occur, by label."""
        names: dict[str, dict[int, str]] = {dataset: {} for dataset in self.datasets}
        for result in self.results:
            names[result.dataset][result.normal_class] = result.class_name
        return {dataset: dict(sorted(found.items())) for dataset, found in names.items()}

    @cached_property
    def class_count(self) -> dict[str, int]:
        """How many classes of each dataset can be the normal one."""
        return self.results.class_counts

    def can_sample(self, detector: str) -> bool:
        """Whether a detector, given by its label, generates images."""
        return any(result.can_sample for result in self.results if result.label == detector)

    def failed(self, dataset: str, detector: str) -> set[int]:
        """Return the classes of which a trial failed."""
        rows = self.frame[(self.frame["dataset"] == dataset) & (self.frame["detector"] == detector)]
        return set(rows.loc[rows["status"] == "failed", "normal_class"])

    @cached_property
    def unhealthy(self) -> list[TrialResult]:
        """Results of models that were trained, and yet are unhealthy."""
        return [result for result in self.results if result.status == "done" and result.unhealthy]

    # ------------------------------------------------------------------ means

    def by_class(self, dataset: str, metric: str = "auroc") -> pd.DataFrame:
        """Compute means over seeds.

        Parameters
        ----------
        dataset : str
            Its name.
        metric : str
            A column of `frame`.

        Returns
        -------
        DataFrame
            Detectors, best first, × classes with results; NaN where a trial is missing or failed.
        """
        return aggregate.by_class(self.frame, dataset, metric).loc[self.detectors_on(dataset)]

    def mean(self, dataset: str, detector: str, metric: str = "auroc") -> Mean | None:
        """Compute the mean over all classes of a dataset, or over those that were measured if no seed has them all.

        Parameters
        ----------
        dataset, detector : str
            Which row; the detector by its label.
        metric : str
            A column of `frame`.

        Returns
        -------
        Mean or None
            None where nothing was measured.
        """
        rows = self._rows.get((dataset, detector))
        measured = rows[rows[metric].notna()] if rows is not None else pd.DataFrame()
        if not len(measured):
            return None
        seeds, of = measured.groupby("seed")[metric], self.class_count[dataset]
        means, counts = seeds.mean(), seeds.count()
        if (counts == of).any():
            return Mean(tuple(means[counts == of]), of, of, complete=True)
        by_class = measured.groupby("normal_class")[metric].mean()
        whole = means[counts == len(by_class)]
        return Mean(tuple(whole) or (float(by_class.mean()),), len(by_class), of, complete=False)

    def takes_noise_for_normal(self, dataset: str, detector: str) -> bool:
        """Return whether a detector, by its label, is under `NOISE_BAR`; False where it was not probed."""
        mean = self.mean(dataset, detector, "probe_noise")
        return mean is not None and mean.value < NOISE_BAR

    def difference(self, dataset: str, detector: str, other: str, metric: str = "auroc") -> float:
        """Compute by how much a detector's mean is above another's, over the classes that both have; NaN if none.

        Parameters
        ----------
        dataset, detector, other : str
            Which rows; the detectors by their labels.
        metric : str
            A column of `frame`.

        Returns
        -------
        float
        """
        table = aggregate.by_class(self.frame, dataset, metric).T
        return float((table[detector] - table[other]).mean())

    def controls(self, dataset: str) -> pd.DataFrame:
        """Compute the measures of control images, of which one knows how good they are.

        Parameters
        ----------
        dataset : str
            Its name.

        Returns
        -------
        DataFrame
            Controls × measures of generation, means over the classes that have them; empty if none has.
        """
        found = {
            (result.normal_class, name): measures.model_dump()
            for result in self.results
            if result.dataset == dataset
            for name, measures in result.controls.items()
        }
        table = pd.DataFrame.from_dict(found, orient="index", columns=list(GENERATION))
        return table.groupby(level=1, sort=False).mean() if len(table) else table

    @cached_property
    def oracle(self) -> pd.DataFrame:
        """Means over trials that were traced, indexed by detector and dataset; empty if none was.

        Columns: ``auroc`` as ranked, ``best``: AUROC with the epoch that is best on the test images, ``trials``.
        """
        rows = [
            (result.label, result.dataset, result.auroc, result.oracle.auroc)
            for result in self.results
            if result.oracle is not None
        ]
        traced = pd.DataFrame(rows, columns=["detector", "dataset", "auroc", "best"]).groupby(["detector", "dataset"])
        means = traced.agg(auroc=("auroc", "mean"), best=("best", "mean"), trials=("best", "size"))
        order = [(detector, dataset) for detector in self.detectors for dataset in self.datasets]
        return means.loc[[row for row in order if row in means.index]]

    # ------------------------------------------------------------------ ranks

    @cached_property
    def ranks(self) -> dict[str, dict[str, float]]:
        """By AUROC, for each dataset: from label to the rank averaged over its classes; see `aggregate.ranks`."""
        return {dataset: self._ranks(dataset, "auroc") for dataset in self.datasets}

    @cached_property
    def generation_ranks(self) -> dict[str, dict[str, float]]:
        """The same by Fréchet distance, of those ranked by AUROC that sample; empty where samples are not ranked."""
        return {
            dataset: {} if self.generation_unranked[dataset] else self._ranks(dataset, "frechet")
            for dataset in self.datasets
        }

    @cached_property
    def generation_unranked(self) -> dict[str, str]:
        """For each dataset why its samples are not ranked; empty where they are, or where there are none."""
        measured = set(self.done.loc[self.done["frechet"].notna(), "dataset"])
        return {dataset: _feature_weakness(dataset) if dataset in measured else "" for dataset in self.datasets}

    def _ranks(self, dataset: str, metric: str) -> dict[str, float]:
        among = self._complete[dataset] - set(self.changed)
        return aggregate.ranks(self.frame, dataset, among, metric, ascending=metric == "frechet")

    @cached_property
    def _complete(self) -> dict[str, set[str]]:
        counts = self.class_count
        return {name: set(aggregate.complete(self.frame, name, counts[name])) for name in self.datasets}

    # ------------------------------------------------------------------ helpers

    @cached_property
    def _rows(self) -> dict[tuple[str, str], pd.DataFrame]:
        """The done rows of each dataset and label: to look for them each time takes long."""
        groups = self.done.groupby(["dataset", "detector"])
        return {(str(dataset), str(detector)): rows for (dataset, detector), rows in groups}

    def _auroc(self, dataset: str, detector: str) -> float:
        mean = self.mean(dataset, detector)
        return mean.value if mean else -1.0


def _feature_weakness(dataset: str) -> str:
    """Return what a dataset says of its features; nothing if it is not at hand, as one in a file of a plugin."""
    with suppress(UsageError, DatasetError):
        return Registry[Dataset]("dataset")[dataset].feature_weakness
    return ""
