"""What the leaderboard's page says in sentences that depend on the results."""

from __future__ import annotations

from collections.abc import Iterable

from oodbench.benchmark.reporting.format import Markdown, markdown_code
from oodbench.benchmark.reporting.summary import Summary


def over_seeds(summary: Summary, dataset: str) -> Markdown:
    """Describe over how many seeds the figures of a dataset are means, with a comma before; empty for one seed."""
    rows = summary.done[summary.done["dataset"] == dataset]
    counts = rows.groupby("detector")["seed"].nunique()
    if not len(counts) or counts.max() == 1:
        return Markdown()
    usual = counts.mode().max()
    others = [f"{_listed(group.index)} over {count}" for count, group in counts[counts != usual].groupby(counts)]
    text = ", of one seed" if usual == 1 else f", mean over {usual} seeds"
    return Markdown(text + (f" ({'; '.join(others)})" if others else ""))


def _listed(labels: Iterable[str]) -> str:
    return ", ".join(map(markdown_code, labels)) or "none"


def mixed_versions(summary: Summary) -> list[str]:
    """Return the labels of detectors whose results were computed by different versions of their code."""
    versions: dict[str, set[str | None]] = {}
    for result in summary.results:
        versions.setdefault(result.label, set()).add(result.fingerprint)
    return sorted(label for label, found in versions.items() if len(found) > 1)
