"""What to run: a selection of detectors, datasets, classes and seeds becomes trials."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oodbench.benchmark.errors import UsageError, unknown
from oodbench.benchmark.files import file_name
from oodbench.benchmark.plugins import Plugins
from oodbench.datasets.base import Dataset
from oodbench.datasets.components.split import DEFAULT_PROTOCOL, PROTOCOLS
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
    protocol : str
        Which images are trained and tested on: a name in `oodbench.datasets.components.split.PROTOCOLS`.
    """

    dataset: str
    detector: str
    normal_class: int
    seed: int
    changes: tuple[tuple[str, Any], ...] = field(default=())
    protocol: str = DEFAULT_PROTOCOL

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

    def __hash__(self) -> int:
        """By its path, since a hyperparameter may be a list."""
        return hash((self.path, self.protocol))

    def command(self, class_name: str, options: Sequence[str] = ()) -> str:
        """Return the command that runs just this trial, with its class by name, and options as they were given."""
        words = ["bench", "run", "--dataset", self.dataset, "--class", class_name, "--detector", self.detector]
        words += ["--seed", str(self.seed)]
        for key, value in self.changes:
            words += ["--set", f"{self.detector}.{key}={json.dumps(value)}"]
        return shlex.join([*words, *options]) + protocol_option(self.protocol)

    def __str__(self) -> str:
        apart = "" if self.protocol == DEFAULT_PROTOCOL else f", protocol {self.protocol}"
        return f"{self.dataset} {self.normal_class} {self.label} seed {self.seed}{apart}"


def trial_path(dataset: str, label: str, normal_class: int, seed: int) -> Path:
    """Where a trial's result and run folder lie, relative to their roots."""
    return Path(file_name(dataset), file_name(label), f"class-{normal_class}_seed-{seed}")


def check_protocol(name: str) -> None:
    """Raise UsageError unless there is a protocol of this name."""
    if name not in PROTOCOLS:
        raise unknown("protocol", name, PROTOCOLS)


def protocol_option(protocol: str) -> str:
    """Give what a command needs added to be of a protocol; nothing for the default."""
    return "" if protocol == DEFAULT_PROTOCOL else f" --protocol {protocol}"


def plan(
    plugins: Plugins,
    *,
    detectors: Sequence[str] = (),
    datasets: Sequence[str] = (),
    classes: Sequence[str | int] = (),
    seeds: Sequence[int] = (0,),
    settings: Sequence[str] = (),
    protocol: str = DEFAULT_PROTOCOL,
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
    protocol : str
        Which images are trained and tested on; see `Trial`.

    Returns
    -------
    list of Trial
        Grouped by dataset and class, so that a split is soon complete. A detector that draws nothing at random has one
        seed, the first, unless the protocol draws anew for each.

    Raises
    ------
    UsageError
        A name is not known.
    """
    check_protocol(protocol)
    chosen = [plugins.detectors[name] for name in detectors or sorted(plugins.detectors.plugins)]
    on = [plugins.datasets[name] for name in datasets or BENCHMARK_DATASETS]
    changes = _parse_settings(settings, plugins, {detector.name: detector for detector in chosen})
    return [
        Trial(dataset.name, detector.name, normal_class, seed, changes.get(detector.name, ()), protocol)
        for dataset in dict.fromkeys(on)
        for seed in dict.fromkeys(seeds)
        for normal_class in class_labels(dataset, classes)
        for detector in dict.fromkeys(chosen)
        if seed == seeds[0] or PROTOCOLS[protocol].draws or _is_random(detector)
    ]


def with_size(dataset: str, size: int | None) -> str:
    """Add an image size to a dataset's name, as ``folder:PATH@SIZE``; raises UsageError where it cannot have one."""
    if size is None:
        return dataset
    if not dataset.startswith("folder:"):
        raise UsageError(f"--image-size is for datasets folder:PATH; {dataset} has a size of its own.")
    return f"{dataset}@{size}"


def class_labels(dataset: type[Dataset], classes: Sequence[str | int]) -> list[int]:
    """Find classes by label or by name.

    Parameters
    ----------
    dataset : type
        Whose classes.
    classes : sequence of str or int
        Labels or names; empty means all that can be normal.

    Returns
    -------
    list of int
        Labels, without repetition.

    Raises
    ------
    UsageError
        The dataset has no such class, or it cannot be the normal one.
    """
    names = [name.lower() for name in dataset.class_names]
    labels = []
    for wanted in map(str, classes):
        if wanted.lower() in names:
            label = names.index(wanted.lower())
        elif wanted.isdecimal() and int(wanted) < len(names):
            label = int(wanted)
        else:
            known = dataset.class_names if not wanted.lstrip("-").isdecimal() else map(str, range(len(names)))
            raise unknown(f"class of {dataset.name}", wanted, known)
        if label in dataset.abnormal:
            normal = ", ".join(dataset.class_names[label] for label in dataset.normal_classes())
            raise UsageError(f"Class {wanted!r} of {dataset.name} is never trained on: choose among {normal}.")
        labels.append(label)
    return list(dict.fromkeys(labels)) if classes else dataset.normal_classes()


def make_detector(plugins: Plugins, trial: Trial, device: str = "cpu") -> Detector:
    """Make the untrained detector of a trial, with its changed hyperparameters, seed and device."""
    cls = plugins.detectors[trial.detector]
    accepted = cls().get_params(deep=False)
    given = {**dict(trial.changes), "seed": trial.seed, "device": device}
    return cls(**{key: value for key, value in given.items() if key in accepted})


def _parse_settings(
    settings: Sequence[str], plugins: Plugins, chosen: Mapping[str, type[Detector]]
) -> dict[str, tuple[tuple[str, Any], ...]]:
    changes: dict[str, dict[str, Any]] = {}
    for setting in settings:
        match = re.fullmatch(r"([^.=]+)\.(\w+)=(.*)", setting)
        if match is None:
            raise UsageError(f"--set {setting!r} is not of the form detector.parameter=value.")
        detector, parameter, text = match.groups()
        if ":" in detector:
            detector = plugins.detectors[detector].name
        if detector not in chosen:
            raise unknown("detector in --set (among those selected)", detector, chosen)
        known = [name for name in _parameters(chosen[detector]) if name not in ("seed", "device")]
        if parameter not in known:
            raise unknown(f"parameter of {detector}", parameter, known)
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        changes.setdefault(detector, {})[parameter] = value
    return {detector: tuple(sorted(values.items())) for detector, values in changes.items()}


def _is_random(detector: type[Detector]) -> bool:
    """Whether a seed makes a difference; a class that cannot be constructed fails later, and says why."""
    try:
        return "seed" in _parameters(detector)
    except UsageError:
        return True


def _parameters(detector: type[Detector]) -> list[str]:
    try:
        return list(detector().get_params())
    except Exception as error:  # whatever a plugin's constructor raises
        raise UsageError(f"{detector.name} cannot be constructed ({error}): `bench check {detector.name}`.") from error
