"""What a command line selects. Names that do not exist are refused before torch is imported."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oodbench.benchmark.cli.options import split_values
from oodbench.benchmark.errors import UsageError, unknown
from oodbench.benchmark.plugins import Plugins, source_of
from oodbench.benchmark.trials import class_labels, with_size

if TYPE_CHECKING:
    from oodbench.benchmark.plugins import Registry


@dataclass(frozen=True)
class Selection:
    """What a command line names.

    Attributes
    ----------
    plugins : Plugins
        Where detectors and datasets are found, files given in place of a name among them.
    detectors, datasets, classes : list of str
        Names, one each; empty where nothing was given.
    """

    plugins: Plugins
    detectors: list[str]
    datasets: list[str]
    classes: list[str]

    @property
    def plugin_words(self) -> list[str]:
        """The options that name the same files in another command."""
        return [word for path in self.plugins.files for word in ("--plugin", str(path))]


def select(
    files: Sequence[Path] | None,
    *,
    detectors: Sequence[str] | None = (),
    datasets: Sequence[str] | None = (),
    classes: Sequence[str] | None = (),
    image_size: int | None = None,
) -> Selection:
    """Find what a command line names; of detectors and datasets, values may be joined by commas.

    Parameters
    ----------
    files : sequence of Path, optional
        Local Python files with more detectors and datasets.
    detectors, datasets : sequence of str, optional
        Names, or paths of Python files, which stand for all that they hold.
    classes : sequence of str, optional
        Names or numbers of classes, which each of the datasets must have.
    image_size : int, optional
        Pixels a side, for datasets ``folder:PATH``.

    Returns
    -------
    Selection

    Raises
    ------
    UsageError
        One of them does not exist.
    """
    words = split_values([*(detectors or ()), *(datasets or ())], _is_file)
    given = [Path(word) for word in words if _is_file(word)]
    plugins = Plugins.load(dict.fromkeys([*(files or ()), *given]))
    named_detectors = _names(detectors or (), plugins.detectors, plugins)
    named_datasets = [with_size(name, image_size) for name in _names(datasets or (), plugins.datasets, plugins)]
    on = [plugins.datasets[name] for name in named_datasets]
    class_names = {name.casefold() for dataset in on for name in dataset.class_names}
    chosen = split_values(classes or (), lambda text: text.casefold() in class_names)
    for dataset in on:
        class_labels(dataset, chosen)
    return Selection(plugins, named_detectors, named_datasets, chosen)


def _names(words: Sequence[str], registry: Registry[Any], plugins: Plugins) -> list[str]:
    """Return the names that words stand for, one each; those of a file are all that it holds."""
    names = []
    for word in split_values(words, lambda text: _is_file(text) or _knows(registry, text)):
        if _is_file(word):
            names += names_in(Path(word), registry, plugins)
        else:
            _check(registry, word)
            names.append(word)
    return names


def names_in(path: Path, registry: Registry[Any], plugins: Plugins) -> list[str]:
    """Return the names of the plugins of one kind that a local file holds.

    Parameters
    ----------
    path : Path
        The file.
    registry : Registry
        Of detectors or of datasets.
    plugins : Plugins
        What `registry` belongs to; they were loaded with the file.

    Returns
    -------
    list of str

    Raises
    ------
    UsageError
        A file cannot be loaded, or this one holds none.
    """
    refuse_broken_files(plugins)
    names = [name for name, plugin in registry.plugins.items() if plugin.source == source_of(path)]
    if not names:
        raise UsageError(f'{path} holds no {registry.kind}: put @register("its-name") before the class.')
    return names


def refuse_broken_files(plugins: Plugins) -> None:
    """Raise UsageError if a local file cannot be loaded."""
    for broken in plugins.broken:
        if broken.source.startswith("file "):
            raise UsageError(f"{broken.source} cannot be used: {broken.cause}")


def check_writable(folder: Path, option: str) -> None:
    """Raise UsageError unless files can be made in a folder, which need not exist."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    cause = "it is a file" if not there.is_dir() else "" if os.access(there, os.W_OK | os.X_OK) else "permission denied"
    if cause:
        at = "" if there == folder else f", for {there}"
        raise UsageError(f"{folder} cannot be written to{at} ({cause}): choose another folder with {option}.")


def _is_file(word: str) -> bool:
    return word.endswith(".py")


def _knows(registry: Registry[Any], text: str) -> bool:
    """Whether a text names something as it stands; of a family's member, whether it is a path that exists."""
    _, colon, argument = text.partition(":")
    if colon:
        return Path(argument.rpartition("@")[0] or argument).exists()
    return text.casefold() in map(str.casefold, registry.names())


def _check(registry: Registry[Any], name: str) -> None:
    family, colon, _ = name.partition(":")
    known, families = registry.names(), registry.families()
    if not (family.casefold() in map(str.casefold, families if colon else known)):
        raise unknown(registry.kind, name, [*known, *(f"{each}:…" for each in families)])
