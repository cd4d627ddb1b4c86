"""All detectors and datasets: built in, from installed packages, in local files, or from this session."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.plugins.registry import Registry
from oodbench.benchmark.plugins.sources import SESSION, Broken, Kind, base_of

if TYPE_CHECKING:
    from oodbench.datasets.base import Dataset
    from oodbench.detectors.base import Detector


class Plugins:
    """The two registries, with the local files and the session's classes (from which a worker makes them again).

    Attributes
    ----------
    detectors, datasets : Registry
        What there is.
    files : tuple of Path
        Local files.
    classes : tuple of type
        Classes of this session, which no file and no package holds.
    """

    def __init__(self) -> None:
        self.detectors: Registry[Detector] = Registry("detector")
        self.datasets: Registry[Dataset] = Registry("dataset")
        self.files: tuple[Path, ...] = ()
        self.classes: tuple[type[Any], ...] = ()

    @classmethod
    def load(cls, files: Iterable[Path | str] = (), classes: Iterable[type[Any]] = ()) -> Plugins:
        """Find everything there is.

        Parameters
        ----------
        files : iterable of Path
            Local Python files with detectors or datasets.
        classes : iterable of type
            Subclasses of `Detector` or `Dataset`. One without a registered name is named after the class: MyDetector is
            ``my-detector``.

        Raises
        ------
        UsageError
            A file does not exist, or a class is neither a detector nor a dataset.
        """
        plugins = cls()
        for path in files:
            plugins.add_file(Path(path))
        for given in classes:
            plugins.add_class(given)
        return plugins

    @property
    def broken(self) -> list[Broken]:
        """What could not be loaded so far, each once; local files are imported to see."""
        return list(dict.fromkeys([*self.detectors.find_broken(), *self.datasets.find_broken()]))

    def add_file(self, path: Path) -> None:
        """Add a local file, once; raises UsageError if there is none."""
        if path.suffix != ".py" or not path.is_file():
            raise UsageError(f"There is no Python file {path}: give the path of a .py file.")
        if path not in self.files:
            self.files += (path,)
            self.detectors.add_file(path)
            self.datasets.add_file(path)

    def add_class(self, cls: Any) -> str:
        """Add a class of this session and return its name; raises UsageError if it is neither detector nor dataset."""
        registries: tuple[Registry[Any], ...] = (self.detectors, self.datasets)
        for registry in registries:
            if inspect.isclass(cls) and issubclass(cls, base_of(registry.kind)):
                plugin = registry.add_class(cls)
                if plugin.source == SESSION and cls not in self.classes:
                    self.classes += (cls,)
                return plugin.name
        raise UsageError(f"{cls!r} is no subclass of Detector or Dataset: give a class, a name or a file.")

    def resolve(self, given: Iterable[str | Path | type[Any]], kind: Kind = "detector") -> list[str]:
        """Return names for what may be given in their place; files and classes are added to the plugins.

        Parameters
        ----------
        given : iterable
            Names; Python files, which stand for all that they register; classes.
        kind : {"detector", "dataset"}
            What they are.

        Returns
        -------
        list of str
            Names; those that were given as names are not checked.

        Raises
        ------
        UsageError
            A file does not exist, cannot be imported or registers nothing of this kind; or a class is of no use.
        """
        registry = self.detectors if kind == "detector" else self.datasets
        names: list[str] = []
        for item in given:
            if isinstance(item, (str, Path)):
                path = Path(item)
                if path.suffix == ".py":
                    self.add_file(path)
                    names += registry.of_file(path)
                else:
                    names.append(str(item))
            else:
                names.append(self.add_class(item))
        return names

    def check_names(self, detectors: Iterable[str] = (), datasets: Iterable[str] = ()) -> None:
        """Raise UsageError for the first name that is not known; without local files, torch is not imported."""
        for name in datasets:
            self.datasets.check(name)
        for name in detectors:
            self.detectors.check(name)
