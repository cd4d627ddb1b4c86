"""Trials: a selection of detectors, datasets, classes, seeds and hyperparameters becomes a list of them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oodbench.benchmark.errors import UsageError, unknown
from oodbench.benchmark.files import file_name
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.settings import checked_value
from oodbench.datasets.components.protocols import DEFAULT_PROTOCOL, PROTOCOLS

if TYPE_CHECKING:
    from oodbench.datasets.base import Dataset
    from oodbench.detectors.base import Detector

BENCHMARK_DATASETS = ("mnist", "cifar10")
"""Datasets of ``--all``, and of a run that names none."""


@dataclass(frozen=True)
class Trial:
    """One detector on one dataset with one normal class and one seed: the unit of work, of storage and of failure.

    Attributes
    ----------
    dataset, detector : str
        Registered names.
    normal_class : int
        Label of the class that is trained on.
    seed : int
        Seeds everything that is random in it.
    changes : tuple of (str, value)
        Hyperparameters that differ from the detector's defaults, sorted by name.
    protocol : str
        Which images are trained and tested on: a name in `oodbench.datasets.components.protocols.PROTOCOLS`.
    """

    dataset: str
    detector: str
    normal_class: int
    seed: int
    changes: tuple[tuple[str, Any], ...] = field(default=())
    protocol: str = DEFAULT_PROTOCOL

    @property
    def label(self) -> str:
        """The detector's name with the changed hyperparameters: ``memvae`` or ``memvae@memory_size=200``."""
        return self.detector + "".join(
            f"{'@' if first else ','}{key}={json.dumps(value)}"
            for first, (key, value) in zip([True] + [False] * len(self.changes), self.changes, strict=False)
        )

    @property
    def path(self) -> Path:
        """Path of its result (with suffix ``.json``) and of its run folder, relative to their roots."""
        return trial_path(self.dataset, self.label, self.normal_class, self.seed)

    def __hash__(self) -> int:
        """Hash its path, since a hyperparameter may be a list."""
        return hash((self.path, self.protocol))

    def command(self, class_name: str, options: Sequence[str] = ()) -> str:
        """Return the command that runs just this trial.

        Parameters
        ----------
        class_name : str
            Name of the normal class.
        options : sequence of str
            More words for the command, as they were given, for example ``["--out", "my-results"]``.
        """
        words = ["bench", "run", "--dataset", self.dataset, "--class", class_name, "--detector", self.detector]
        words += ["--seed", str(self.seed)]
        for key, value in self.changes:
            words += ["--set", f"{self.detector}.{key}={json.dumps(value)}"]
        return shlex.join([*words, *options]) + protocol_option(self.protocol)

    def __str__(self) -> str:
        apart = "" if self.protocol == DEFAULT_PROTOCOL else f", protocol {self.protocol}"
        return f"{self.dataset} {self.normal_class} {self.label} seed {self.seed}{apart}"


def trial_path(dataset: str, label: str, normal_class: int, seed: int) -> Path:
    """Return the path of a trial's result and run folder, relative to their roots."""
    return Path(file_name(dataset), file_name(label), f"class-{normal_class}_seed-{seed}")


def check_protocol(name: str) -> None:
    """Raise UsageError if there is no protocol of this name."""
    if name not in PROTOCOLS:
        raise unknown("protocol", name, PROTOCOLS)


def protocol_option(protocol: str) -> str:
    """Return the option that a command needs for a protocol; nothing for the default."""
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
    """Return the trials of a selection; an axis that is left out means all of it.

    Wrong names of protocols, datasets, classes and detectors are answered before torch is imported.

    Parameters
    ----------
    plugins : Plugins
        The detectors and datasets to choose from.
    detectors, datasets : sequence of str
        Names, without regard to case. Without detectors, all and the members of families that can run here (see
        `oodbench.benchmark.plugins.Registry.available`); without datasets, the two of the benchmark.
    classes : sequence of str or int
        Normal classes by label or by name; see `class_labels`.
    seeds : sequence of int
        Seeds.
    settings : sequence of str
        Hyperparameters as ``detector.parameter=value``; see `oodbench.benchmark.settings`.
    protocol : str
        Which images are trained and tested on; see `Trial`.

    Returns
    -------
    list of Trial
        Grouped by dataset and class, so that a split is soon complete; detectors that are fitted on top of others come
        last, when those are trained. A detector without randomness has one seed, the first, unless the protocol draws
        anew for each.

    Raises
    ------
    UsageError
        A name is not known, or a hyperparameter cannot have its value.
    """
    check_protocol(protocol)
    plugins.datasets.look_again()
    on = [plugins.datasets[name] for name in datasets or BENCHMARK_DATASETS]
    for dataset in on:
        class_labels(dataset, classes)
    plugins.check_names(detectors=detectors)
    chosen = [plugins.detectors[name] for name in detectors or plugins.detectors.available()]
    changes = _parse_settings(settings, plugins, {detector.name: detector for detector in chosen})
    return [
        Trial(dataset.name, detector.name, normal_class, seed, changes.get(detector.name, ()), protocol)
        for on_top in (False, True)
        for dataset in dict.fromkeys(on)
        for seed in dict.fromkeys(seeds)
        for normal_class in class_labels(dataset, classes)
        for detector in dict.fromkeys(chosen)
        if (detector.wrapped is not None) == on_top
        if seed == seeds[0] or PROTOCOLS[protocol].draws or _is_random(detector)
    ]


def with_size(dataset: str, size: int | None) -> str:
    """Return a dataset's name with an image size, ``folder:PATH@SIZE``; raises UsageError where it cannot have one."""
    if size is None:
        return dataset
    if not dataset.lower().startswith("folder:"):
        raise UsageError(f"--image-size is for datasets folder:PATH; {dataset} has a size of its own.")
    return f"{dataset}@{size}"


def class_labels(dataset: type[Dataset], classes: Sequence[str | int]) -> list[int]:
    """Return the labels of classes.

    Parameters
    ----------
    dataset : type
        The dataset.
    classes : sequence of str or int
        Names or labels; empty means all classes that can be normal. A name may be spelt in another case if only one
        class is meant. A class that is called by a number is found by that name, not by label.

    Returns
    -------
    list of int
        Labels, without repetition.

    Raises
    ------
    UsageError
        The dataset has no such class, more than one, or it cannot be the normal one.
    """
    labels = [_class_label(dataset, str(wanted)) for wanted in classes]
    return list(dict.fromkeys(labels)) if classes else dataset.normal_classes()


def _class_label(dataset: type[Dataset], wanted: str) -> int:
    names = dataset.class_names
    alike = [label for label, name in enumerate(names) if name.lower() == wanted.lower()]
    if wanted in names:
        label = names.index(wanted)
    elif len(alike) > 1:
        choice = " or ".join(names[label] for label in alike)
        raise UsageError(f"{wanted!r} may be more than one class of {dataset.name}: write {choice}.")
    elif alike:
        (label,) = alike
    elif wanted.isdecimal() and int(wanted) < len(names):
        label = int(wanted)
    else:
        known = map(str, range(len(names))) if wanted.lstrip("-").isdecimal() else names
        raise unknown(f"class of {dataset.name}", wanted, known)
    if label in dataset.abnormal:
        normal = ", ".join(names[label] for label in dataset.normal_classes())
        raise UsageError(f"Class {wanted!r} of {dataset.name} is never trained on: choose among {normal}.")
    return label


def make_detector(plugins: Plugins, trial: Trial, device: str = "cpu") -> Detector:
    """Return the untrained detector of a trial, with its changed hyperparameters, seed and device."""
    cls = plugins.detectors[trial.detector]
    accepted = cls().get_params(deep=False)
    given = {**dict(trial.changes), "seed": trial.seed, "device": device}
    return cls(**{key: value for key, value in given.items() if key in accepted})


def _parse_settings(
    settings: Sequence[str], plugins: Plugins, chosen: Mapping[str, type[Detector]]
) -> dict[str, tuple[tuple[str, Any], ...]]:
    """Return the changed hyperparameters by detector, checked and sorted by name."""
    changes: dict[str, dict[str, Any]] = {}
    for setting in settings:
        match = re.fullmatch(r"([^.=]+)\.(\w+)=(.*)", setting, flags=re.DOTALL)
        if match is None:
            raise UsageError(f"--set {setting!r} is not of the form detector.parameter=value.")
        given, parameter, text = match.groups()
        detector = _canonical(given, plugins, chosen)
        known = _parameters(chosen[detector]).keys() - {"seed", "device"}
        if parameter not in known:
            raise unknown(f"parameter of {detector}", parameter, known)
        changes.setdefault(detector, {})[parameter] = checked_value(chosen[detector], parameter, text)
    return {detector: tuple(sorted(values.items())) for detector, values in changes.items()}


def _canonical(name: str, plugins: Plugins, chosen: Mapping[str, type[Detector]]) -> str:
    """Return the registered name of a detector in --set, which must be among those selected."""
    if ":" in name:
        name = plugins.detectors[name].name
    spelt = {other.lower(): other for other in chosen}
    found = name if name in chosen else spelt.get(name.lower())
    if found is None:
        raise unknown("detector in --set (among those selected)", name, chosen)
    return found


def _is_random(detector: type[Detector]) -> bool:
    """Return whether a seed makes a difference; a class that cannot be constructed fails later, and says why."""
    try:
        return "seed" in _parameters(detector)
    except UsageError:
        return True


def _parameters(detector: type[Detector]) -> dict[str, Any]:
    """Return the hyperparameters of a detector with their defaults."""
    try:
        return dict(detector().get_params(deep=False))
    except Exception as error:  # whatever a plugin's constructor raises
        raise UsageError(f"{detector.name} cannot be constructed ({error}): `bench check {detector.name}`.") from error
