"""What to run: a selection of detectors, datasets, classes and seeds becomes trials."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oodbench.benchmark.errors import UsageError, unknown
from oodbench.benchmark.registry import Registry
from oodbench.datasets.base import Dataset
from oodbench.detectors.base import Detector

BENCHMARK_DATASETS = ("mnist", "cifar10")
"""What ``--all`` runs, and what a run means that names no dataset."""


@dataclass(frozen=True)
class Trial:
    """Detector × dataset × normal class × seed: the unit of work, of caching and of failure.

    Attributes
    ----------
    dataset, detector : str
        Registered names.
    normal_class : int
        The label of the class that is trained on.
    seed : int
        Of everything random in it.
    changes : tuple of (str, value)
        Hyperparameters that differ from the detector's defaults, sorted by name.
    """

    dataset: str
    detector: str
    normal_class: int
    seed: int
    changes: tuple[tuple[str, Any], ...] = field(default=())

    @property
    def label(self) -> str:
        """The detector's name, with what was changed: ``memvae`` or ``memvae@memory_size=200``."""
        return self.detector + "".join(
            f"{'@' if first else ','}{key}={json.dumps(value)}"
            for first, (key, value) in zip([True] + [False] * len(self.changes), self.changes, strict=False)
        )

    @property
    def path(self) -> Path:
        """Where its result (with suffix ``.json``) and its run folder lie, relative to their roots."""
        return trial_path(self.dataset, self.label, self.normal_class, self.seed)

    @property
    def command(self) -> str:
        """The command that runs just this trial."""
        settings = "".join(f" --set {self.detector}.{key}={json.dumps(value)}" for key, value in self.changes)
        return (
            f"bench run --dataset {self.dataset} --class {self.normal_class} --detector {self.detector}"
            f" --seed {self.seed}{settings}"
        )

    def __str__(self) -> str:
        return f"{self.dataset} {self.normal_class} {self.label} seed {self.seed}"


def trial_path(dataset: str, label: str, normal_class: int, seed: int) -> Path:
    """Where a trial's result and run folder lie, relative to their roots; a label is cleared of what no path holds."""
    return Path(dataset, re.sub(r"[^\w@=,.+-]", "", label), f"class-{normal_class}_seed-{seed}")


@dataclass(frozen=True)
class Plugins:
    """The two registries, and the local files they were made with (from which a worker makes them again)."""

    detectors: Registry[Detector]
    datasets: Registry[Dataset]
    files: tuple[Path, ...] = ()

    @classmethod
    def load(cls, files: Iterable[Path] = ()) -> Plugins:
        """Find everything there is; raises UsageError for a file that cannot be loaded."""
        paths = tuple(Path(path) for path in files)
        return cls(Registry(Detector, paths), Registry(Dataset, paths), paths)  # type: ignore[type-abstract]


def plan(
    plugins: Plugins,
    *,
    detectors: Sequence[str] = (),
    datasets: Sequence[str] = (),
    classes: Sequence[str | int] = (),
    seeds: Sequence[int] = (0,),
    settings: Sequence[str] = (),
) -> list[Trial]:
    """Make a selection into trials; an axis left out means all of it.

    Parameters
    ----------
    plugins : Plugins
        What there is to choose from.
    detectors, datasets : sequence of str
        Names; without datasets, the two of the benchmark.
    classes : sequence of str or int
        Normal classes by label or by name.
    seeds : sequence of int
        Seeds.
    settings : sequence of str
        Hyperparameters as ``detector.parameter=value``.

    Returns
    -------
    list of Trial
        Grouped by dataset and class, so that a split is soon complete.

    Raises
    ------
    UsageError
        A name is not known.
    """
    names = list(dict.fromkeys(detectors or sorted(plugins.detectors.plugins)))
    chosen = {name: plugins.detectors[name] for name in names}
    changes = _parse_settings(settings, chosen)
    return [
        Trial(dataset, detector, normal_class, seed, changes.get(detector, ()))
        for dataset in dict.fromkeys(datasets or BENCHMARK_DATASETS)
        for seed in dict.fromkeys(seeds)
        for normal_class in class_labels(plugins.datasets[dataset], classes)
        for detector in chosen
    ]


def class_labels(dataset: type[Dataset], classes: Sequence[str | int]) -> list[int]:
    """Find classes by label or by name.

    Parameters
    ----------
    dataset : type
        Whose classes.
    classes : sequence of str or int
        Labels or names; empty means all.

    Returns
    -------
    list of int
        Labels, without repetition.

    Raises
    ------
    UsageError
        The dataset has no such class.
    """
    names = dataset.class_names
    labels = []
    for wanted in map(str, classes):
        if wanted.isdecimal() and int(wanted) < len(names):
            labels.append(int(wanted))
        elif wanted.lower() in names:
            labels.append(names.index(wanted.lower()))
        else:
            known = names if not wanted.lstrip("-").isdecimal() else map(str, range(len(names)))
            raise unknown(f"class of {dataset.name}", wanted, known)
    return list(dict.fromkeys(labels)) if classes else list(range(len(names)))


def _parse_settings(
    settings: Sequence[str], detectors: Mapping[str, type[Detector]]
) -> dict[str, tuple[tuple[str, Any], ...]]:
    changes: dict[str, dict[str, Any]] = {}
    for setting in settings:
        match = re.fullmatch(r"([^.=]+)\.(\w+)=(.*)", setting)
        if match is None:
            raise UsageError(f"--set {setting!r} is not of the form detector.parameter=value.")
        detector, parameter, text = match.groups()
        if detector not in detectors:
            raise unknown("detector in --set (among those selected)", detector, detectors)
        known = [name for name in detectors[detector]().get_params() if name not in ("seed", "device")]
        if parameter not in known:
            raise unknown(f"parameter of {detector}", parameter, known)
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        changes.setdefault(detector, {})[parameter] = value
    return {detector: tuple(sorted(values.items())) for detector, values in changes.items()}
