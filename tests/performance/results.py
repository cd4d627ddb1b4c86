"""What a session measured: rows by topic, and the machine; kept as one JSON file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oodbench.benchmark.running.trial import environment

TOPICS = ("epochs", "scoring", "trials", "phases", "arithmetic", "start-up", "memory", "scaling", "whole runs")
Row = dict[str, Any]


def machine() -> Row:
    """Describe where and with what the session measures."""
    about = environment("cpu")
    return {
        **{key: about[key] for key in ("processor", "system", "python", "torch")},
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "date": datetime.now(UTC).date().isoformat(),
    }


@dataclass
class Results:
    """Rows by topic.

    Attributes
    ----------
    machine : dict
        See `machine`.
    quick : bool
        Whether the settings were those that only try the code out.
    topics : dict of str to list of dict
        The rows.
    """

    machine: Row
    quick: bool
    topics: dict[str, list[Row]] = field(default_factory=dict)

    def add(self, topic: str, **values: Any) -> None:
        """Note one row."""
        self.topics.setdefault(topic, []).append(values)

    def rows(self, topic: str, **where: Any) -> Iterator[Row]:
        """Give the rows of a topic in which the given columns have the given values."""
        return (row for row in self.topics.get(topic, []) if where.items() <= row.items())

    def value(self, topic: str, column: str, **where: Any) -> Any:
        """Give a column of the one row with the given values; a KeyError where there is none."""
        for row in self.rows(topic, **where):
            return row[column]
        raise KeyError(topic, where)

    @property
    def complete(self) -> bool:
        """Whether every topic was measured."""
        return set(TOPICS) <= set(self.topics)

    def write(self, path: Path) -> None:
        """Keep everything in a file."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read what `write` kept."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))
