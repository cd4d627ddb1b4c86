"""What the leaderboard's page says in sentences that depend on the results."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from oodbench.benchmark.reporting.format import Markdown, duration, markdown_cell, markdown_code
from oodbench.benchmark.reporting.significance import LEVEL
from oodbench.benchmark.reporting.summary import Ranking, Summary

QUICK = 5
"""Seconds that a method may take to fit to be called quick."""


@dataclass(frozen=True)
class Comparison:
    """Which differences between ranked detectors are significant.

    Attributes
    ----------
    detectors, splits : int
        How many are compared, and on how many splits.
    detection : list of Markdown or None
        A line for each detector that is not significantly better than some that rank below it; None where there are
        too few splits to find any difference significant.
    generation : list of Markdown or None
        The same by Fréchet distance; None where too few sample.
    """

    detectors: int
    splits: int
    detection: list[Markdown] | None
    generation: list[Markdown] | None

    @property
    def pairs(self) -> int:
        """How many pairs of detectors there are."""
        return self.detectors * (self.detectors - 1) // 2

    @property
    def level(self) -> str:
        """Below which corrected p-value a difference is called significant."""
        return f"{LEVEL:.0%}"


def compared(detection: Ranking | None, generation: Ranking | None) -> Comparison | None:
    """Compare ranked detectors; None if there are fewer than two."""
    if detection is None or len(detection.splits) < 2:
        return None
    detectors, splits = detection.splits.shape
    return Comparison(
        detectors, splits, _alike(detection.p_values), _alike(generation.p_values if generation else None)
    )


def _alike(p_values: pd.DataFrame | None) -> list[Markdown] | None:
    """List the pairs, the better one before, that are not told apart."""
    if p_values is None:
        return None
    lines = []
    for place, better in enumerate(p_values.index):
        alike = [worse for worse in p_values.index[place + 1 :] if p_values.loc[better, worse] >= LEVEL]
        if alike:
            lines.append(Markdown(f"{markdown_code(better)} is not significantly better than {_listed(alike)}."))
    return lines or [Markdown("All differences between detectors are significant.")]


def against_quick(summary: Summary) -> list[Markdown]:
    """List for each dataset which slower methods beat the best one that fits in seconds, and which do not."""
    lines = [_against_quick_on(summary, dataset) for dataset in summary.datasets]
    return [line for line in lines if line is not None]


def _against_quick_on(summary: Summary, dataset: str) -> Markdown | None:
    labels = list(summary.ranking[dataset].ranks)
    auroc, seconds = {}, {}
    for label in labels:
        mean, fit = summary.mean(dataset, label), summary.mean(dataset, label, "fit_seconds")
        assert mean is not None  # it is ranked
        auroc[label], seconds[label] = mean.value, fit.median if fit else 0.0
    quick = [label for label in labels if seconds[label] < QUICK]
    slow = sorted((label for label in labels if seconds[label] >= QUICK), key=lambda label: -auroc[label])
    if not quick or not slow:
        return None
    best = max(quick, key=lambda label: auroc[label])
    better = [label for label in slow if auroc[label] > auroc[best]]
    worse = [label for label in slow if auroc[label] <= auroc[best]]
    return Markdown(
        f"{markdown_cell(dataset)}: the best method that fits in under {QUICK} s is {markdown_code(best)} "
        f"({auroc[best]:.3f} in {duration(seconds[best])}). Slower and better: {_listed(better)}. "
        f"Slower and no better: {_listed(worse)}."
    )


def over_seeds(summary: Summary, dataset: str) -> Markdown:
    """Describe over how many seeds the figures of a dataset are means, with a comma before; empty for one seed."""
    rows = summary.done[summary.done["dataset"] == dataset]
    counts = rows.groupby("detector")["seed"].nunique()
    if not len(counts) or counts.max() == 1:
        return Markdown()
    fewer = [f"{_listed(group.index)} over {count}" for count, group in counts[counts < counts.max()].groupby(counts)]
    return Markdown(f", mean over {counts.max()} seeds" + (f" ({'; '.join(fewer)})" if fewer else ""))


def _listed(labels: Iterable[str]) -> str:
    return ", ".join(map(markdown_code, labels)) or "none"


def mixed_versions(summary: Summary) -> list[str]:
    """Return the labels of detectors whose results were computed by different versions of their code."""
    versions: dict[str, set[str | None]] = {}
    for result in summary.results:
        versions.setdefault(result.label, set()).add(result.fingerprint)
    return sorted(label for label, found in versions.items() if len(found) > 1)
