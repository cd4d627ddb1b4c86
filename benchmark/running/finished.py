"""What a selection came to the last time: a run with nothing to do need not import detectors, and with them torch.

Once all trials of a selection are done, they are kept in the user's cache with the identities of their results, under
the state of all our modules and data files. Only selections of what is built in are kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import oodbench.benchmark
import oodbench.datasets
import oodbench.detectors
from oodbench.benchmark.files import cache_folder, digest, write_text
from oodbench.benchmark.plugins import Plugins, Registry
from oodbench.benchmark.plugins.sources import built_in
from oodbench.benchmark.results.result import TrialResult
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.trials import BENCHMARK_DATASETS, Trial, class_labels

FOLDER = "finished"
KEPT = 100
"""Selections; when there are more, all are forgotten."""


@dataclass(frozen=True)
class Selection:
    """What `oodbench.benchmark.trials.plan` makes trials of.

    Attributes
    ----------
    detectors, datasets, classes, settings : tuple of str
        As given; empty where all are meant, or no hyperparameter is changed.
    seeds : tuple of int
        Seeds.
    protocol : str
        Name of the protocol.
    """

    detectors: tuple[str, ...]
    datasets: tuple[str, ...]
    classes: tuple[str, ...]
    settings: tuple[str, ...]
    seeds: tuple[int, ...]
    protocol: str


def finished_trials(selection: Selection, plugins: Plugins, store: Store) -> list[Trial] | None:
    """Return the trials of a selection if each is known to have a result of today's code.

    Parameters
    ----------
    selection : Selection
        What is to be run.
    plugins : Plugins
        Where its detectors and datasets are found.
    store : Store
        Where results lie.

    Returns
    -------
    list of Trial or None
        None where that is not known, or one has none.
    """
    path = _path(selection, plugins)
    if path is None:
        return None
    trials = []
    with suppress(OSError, ValueError, TypeError):
        for about, identity in json.loads(path.read_text(encoding="utf-8")):
            trial = Trial(**{**about, "changes": tuple(map(tuple, about["changes"]))})
            result = store.read(trial)
            if result is None or result.status == "failed" or _digest_of(result) != identity:
                return None
            trials.append(trial)
        return trials
    return None


def keep(selection: Selection, trials: Sequence[Trial], plugins: Plugins, store: Store) -> None:
    """Keep the trials of a selection, all of which have just been found done or been run.

    Nothing is kept where one has failed, where the cache cannot be written, and where all detectors are meant of which
    some cannot run here, as may change.
    """
    if not selection.detectors and plugins.detectors.missing():
        return
    path = _path(selection, plugins)
    results = [store.read(trial) for trial in trials]
    if path is None or any(result is None or result.status == "failed" for result in results):
        return
    kept = [(asdict(trial), _digest_of(result)) for trial, result in zip(trials, results, strict=True) if result]
    with suppress(OSError):
        others = list(path.parent.glob("*.json"))
        for other in others if len(others) >= KEPT else []:
            other.unlink(missing_ok=True)
        write_text(path, json.dumps(kept))


def has_gaps(selection: Selection, plugins: Plugins, store: Store) -> bool:
    """Return whether a selection is sure to have trials without a result; no detector is imported for it."""
    names = {name.lower(): name for name in plugins.detectors.names()}
    return any(
        not store.result_path(Trial(dataset.name, names[detector.lower()], label, seed)).is_file()
        for dataset in (plugins.datasets[name] for name in selection.datasets or BENCHMARK_DATASETS)
        for label in class_labels(dataset, selection.classes)
        for detector in selection.detectors or names
        for seed in selection.seeds[:1]  # some detectors have no other
        if detector.lower() in names
    )


def _path(selection: Selection, plugins: Plugins) -> Path | None:
    """Return where a selection is kept; None if it holds what is not built in."""
    detectors = selection.detectors or [*plugins.detectors.names(), *plugins.detectors.members()]
    datasets = selection.datasets or BENCHMARK_DATASETS
    if not (_are_built_in(detectors, plugins.detectors) and _are_built_in(datasets, plugins.datasets)):
        return None
    versions = [f"{name} {plugins.datasets[name].version}" for name in datasets]
    return cache_folder() / FOLDER / f"{digest(str(selection), *versions, *_state())}.json"


def _are_built_in(names: Sequence[str], registry: Registry[Any]) -> bool:
    """Return whether all of these are built in, families and what they are made of included."""
    ours = {origin.name for origin in built_in(registry.kind)}
    others = {name.lower() for name in registry.names()} - ours
    parts = [name.lower().split(":") for name in names]
    return all(family in ours and others.isdisjoint(arguments) for family, *arguments in parts)


def _state() -> Iterator[str]:
    """Yield a line for each file of ours that a result may depend on."""
    for package in (oodbench.benchmark, oodbench.detectors, oodbench.datasets):
        for folder in package.__path__:
            for path in sorted(Path(folder).rglob("*")):
                if path.suffix != ".pyc" and path.is_file():
                    about = path.stat()
                    yield f"{path} {about.st_mtime_ns} {about.st_size}"


def _digest_of(result: TrialResult) -> str:
    """Return a digest of a result's `Identity`; the class itself would import torch."""
    identity = (result.fingerprint, result.data_version, result.classifier, result.hyperparameters)
    return digest(json.dumps(identity, sort_keys=True))
