"""Results made into means, deviations and ranks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from oodbench.benchmark.evaluation.metrics import GENERATION
from oodbench.benchmark.reporting.significance import can_be_told_apart, paired_tests
from oodbench.benchmark.results.store import Result, as_frame
from oodbench.benchmark.trials import BENCHMARK_DATASETS


@dataclass(frozen=True)
class Statistics:
    """Everything that the leaderboard says in numbers.

    Attributes
    ----------
    results : list of dict
        As stored.
    """

    results: list[Result]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row a trial; see `oodbench.benchmark.results.store.as_frame`."""
        return as_frame(self.results)

    @cached_property
    def done(self) -> pd.DataFrame:
        """The rows of trials that did not fail."""
        return self.frame[self.frame["status"] == "done"]

    @property
    def protocol(self) -> str:
        """The protocol that all results are of."""
        return str(self.results[0]["protocol"])

    @cached_property
    def datasets(self) -> list[str]:
        """Datasets with results, the benchmark's own first."""
        present = set(self.frame["dataset"])
        own = [name for name in BENCHMARK_DATASETS if name in present]
        return own + sorted(present - set(own))

    @cached_property
    def detectors(self) -> list[str]:
        """Detectors with results, changed ones under their own labels; best average rank first, the unranked last."""
        labels = sorted(set(self.frame["detector"]))
        return sorted(labels, key=lambda label: (self.average_rank.get(label, float("inf")), label))

    @cached_property
    def changed(self) -> set[str]:
        """Labels of detectors that ran with changed hyperparameters; they are shown, but not ranked."""
        return {result["label"] for result in self.results if result["changes"]}

    @cached_property
    def class_names(self) -> dict[str, dict[int, str]]:
        """For each dataset the names of the classes that occur, by label."""
        names: dict[str, dict[int, str]] = {dataset: {} for dataset in self.datasets}
        for result in self.results:
            names[result["dataset"]][result["normal_class"]] = result["class_name"]
        return {dataset: dict(sorted(found.items())) for dataset, found in names.items()}

    @cached_property
    def class_count(self) -> dict[str, int]:
        """How many classes each dataset has; a mean is over all of them."""
        return {result["dataset"]: result["classes"] for result in self.results}

    def by_class(self, dataset: str, metric: str = "auroc") -> pd.DataFrame:
        """Means over seeds.

        Parameters
        ----------
        dataset : str
            Of which dataset.
        metric : str
            A column of the results.

        Returns
        -------
        DataFrame
            Detectors × classes with results; NaN where a trial is missing or failed.
        """
        rows = self.done[self.done["dataset"] == dataset]
        table = rows.pivot_table(index="detector", columns="normal_class", values=metric, aggfunc="mean")
        return table.reindex(index=self._labels_of(dataset), columns=list(self.class_names[dataset]))

    def by_seed(self, dataset: str, detector: str, metric: str = "auroc") -> pd.Series:
        """Means over all classes, for each seed that has them all.

        Parameters
        ----------
        dataset, detector : str
            Which row.
        metric : str
            A column of the results.

        Returns
        -------
        Series
            Indexed by seed; empty if no seed is complete.
        """
        rows = self.done[(self.done["dataset"] == dataset) & (self.done["detector"] == detector)]
        seeds = rows.groupby("seed")[metric]
        return seeds.mean()[seeds.count() == self.class_count[dataset]]

    def controls(self, dataset: str) -> pd.DataFrame:
        """Give the measures of samples for images of which one knows what they are.

        Parameters
        ----------
        dataset : str
            Of which dataset.

        Returns
        -------
        DataFrame
            Controls × measures, means over the classes that have them; empty if none has.
        """
        found = {
            (result["normal_class"], name): measures
            for result in self.results
            if result["dataset"] == dataset
            for name, measures in (result.get("controls") or {}).items()
        }
        table = pd.DataFrame.from_dict(found, orient="index", columns=list(GENERATION))
        return table.groupby(level=1, sort=False).mean() if len(table) else table

    @cached_property
    def oracle(self) -> pd.DataFrame:
        """Means over trials that were traced, indexed by detector and dataset; empty if none was.

        Columns: ``auroc`` as ranked, ``best``: AUROC with the epoch that is best on the test images, ``trials``.
        """
        rows = [
            (result["label"], result["dataset"], result["auroc"], result["oracle"]["auroc"])
            for result in self.results
            if "oracle" in result
        ]
        traced = pd.DataFrame(rows, columns=["detector", "dataset", "auroc", "best"]).groupby(["detector", "dataset"])
        means = traced.agg(auroc=("auroc", "mean"), best=("best", "mean"), trials=("best", "size"))
        order = [(detector, dataset) for detector in self.detectors for dataset in self.datasets]
        return means.loc[[row for row in order if row in means.index]]

    def classes_done(self, dataset: str, detector: str) -> int:
        """How many classes have a result."""
        rows = self.done[(self.done["dataset"] == dataset) & (self.done["detector"] == detector)]
        return int(rows["normal_class"].nunique())

    @cached_property
    def ranked(self) -> list[str]:
        """Detectors that are ranked: complete on every dataset shown, with unchanged hyperparameters."""
        return [
            label
            for label in sorted(set(self.frame["detector"]) - self.changed)
            if all(len(self.by_seed(dataset, label)) for dataset in self.datasets)
        ]

    def over_splits(self, metric: str = "auroc") -> pd.DataFrame:
        """Give ranked detectors × all splits shown, means over seeds; without detectors that lack the metric."""
        rows = self.done[self.done["detector"].isin(self.ranked)]
        split = ["dataset", "normal_class"]
        return rows.pivot_table(index="detector", columns=split, values=metric, aggfunc="mean").dropna()

    @cached_property
    def average_rank(self) -> dict[str, float]:
        """Rank by AUROC (1 is best, ties share) among the ranked detectors, averaged over all splits shown."""
        return {
            str(label): float(rank) for label, rank in self.over_splits().rank(ascending=False).mean(axis=1).items()
        }

    @cached_property
    def generation_rank(self) -> dict[str, float]:
        """Rank by Fréchet distance (1 is best) among those of the ranked detectors that sample, over all splits."""
        ranks = self.over_splits("frechet").rank().mean(axis=1)
        return {str(label): float(rank) for label, rank in ranks.items()}

    @cached_property
    def p_values(self) -> pd.DataFrame | None:
        """Pairwise, over splits (see `significance`); None where there is too little to compare."""
        return self._tests("auroc", self.average_rank)

    @cached_property
    def generation_p_values(self) -> pd.DataFrame | None:
        """The same of the Fréchet distances of the ranked detectors that sample."""
        return self._tests("frechet", self.generation_rank)

    def _tests(self, metric: str, ranks: Mapping[str, float]) -> pd.DataFrame | None:
        splits = self.over_splits(metric).loc[sorted(ranks, key=lambda label: ranks[label])]
        return paired_tests(splits) if can_be_told_apart(*splits.shape) else None

    def can_sample(self, detector: str) -> bool:
        """Whether a detector generates images."""
        return any(result["can_sample"] for result in self.results if result["label"] == detector)

    def failures(self, dataset: str, detector: str) -> set[int]:
        """Classes of which a trial failed."""
        rows = self.frame[(self.frame["dataset"] == dataset) & (self.frame["detector"] == detector)]
        return set(rows.loc[rows["status"] == "failed", "normal_class"])

    def _labels_of(self, dataset: str) -> list[str]:
        present = set(self.frame.loc[self.frame["dataset"] == dataset, "detector"])
        return [label for label in self.detectors if label in present]
