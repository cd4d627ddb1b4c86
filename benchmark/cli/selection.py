"""What a command line selects. Names that do not exist are refused before torch is imported."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oodbench.benchmark.cli.options import split_values
from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.plugins import Plugins
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
    plugins = Plugins.load(files or ())
    named_detectors = plugins.resolve(_split(detectors or (), plugins.detectors), "detector")
    named_datasets = plugins.resolve(_split(datasets or (), plugins.datasets), "dataset")
    plugins.check_names(named_detectors, named_datasets)
    named_datasets = [with_size(name, image_size) for name in named_datasets]
    on = [plugins.datasets[name] for name in named_datasets]
    class_names = {name.lower() for dataset in on for name in dataset.class_names}
    chosen = split_values(classes or (), lambda text: text.lower() in class_names)
    for dataset in on:
        class_labels(dataset, chosen)
    return Selection(plugins, named_detectors, named_datasets, chosen)


def check_writable(out: Path | None) -> None:
    """Raise UsageError unless files can be made in the folder of ``--out``, or the default ones; it need not exist."""
    for folder in [out] if out else [Path("leaderboard"), Path("runs")]:
        there = folder
        while not there.exists() and there != there.parent:
            there = there.parent
        cause = "" if os.access(there, os.W_OK | os.X_OK) else "permission denied"
        if cause and os.statvfs(there).f_flag & os.ST_RDONLY:
            cause = os.strerror(errno.EROFS)
        if not there.is_dir():
            cause = "it is a file"
        if cause:
            raise UsageError(f"{folder} cannot be written to ({there}: {cause}): choose another folder with --out.")


def _split(words: Sequence[str], registry: Registry[Any]) -> list[str]:
    """Take words apart at commas, unless they name a file, a folder or a plugin as they stand."""
    names = {name.lower() for name in registry.names()}

    def known(text: str) -> bool:
        family, colon, argument = text.partition(":")
        path = argument.rpartition("@")[0] or argument  # folder:PATH@SIZE
        return Path(path if colon else family).exists() or text.lower() in names

    return split_values(words, known)
