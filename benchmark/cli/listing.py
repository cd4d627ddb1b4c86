"""What ``bench list`` shows, without importing torch.

Of the built-in plugins it reads the source. Others must be imported; what was found then is kept in the user's cache.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_cache_path
from rich.table import Table

from oodbench.benchmark.declared import BUILT_IN, Declarations, summary

if TYPE_CHECKING:
    from oodbench.benchmark.plugins import Family, Plugins, Registry

COLUMNS = {
    "Detectors": ("detector", "what it is", "samples", "reconstructs", "from"),
    "Datasets": ("dataset", "what it is", "images", "classes", "from"),
    "Could not be loaded": ("from", "why"),
}
PACKAGE = Path(__file__).resolve().parents[1]

Listing = dict[str, list[list[str]]]
"""Rows of each table, by its title."""


def listing(files: Sequence[Path] = ()) -> Listing:
    """List detectors and datasets: what each is, what it can do, where it comes from; and what could not be loaded.

    Parameters
    ----------
    files : sequence of Path
        Local Python files to look into as well.

    Returns
    -------
    dict
        With plugins that are not built in, kept from earlier if no module has changed since.

    Raises
    ------
    UsageError
        One of the files does not exist.
    """
    if not files and not _entry_points():
        with suppress(ValueError, SyntaxError):  # what is wrong with a module, an import says
            return _read()
    kept = user_cache_path("oodbench") / f"list-{_digest(files)}.json"
    with suppress(OSError, ValueError):
        stored: Listing = json.loads(kept.read_text(encoding="utf-8"))
        return stored
    from oodbench.benchmark.files import write_text
    from oodbench.benchmark.plugins import Plugins

    found = _look(Plugins.load(files))
    if not found["Could not be loaded"]:  # its cause may lie outside the modules
        with suppress(OSError):
            for outdated in kept.parent.glob("list-*.json"):
                outdated.unlink()
            write_text(kept, json.dumps(found))
    return found


def tables(found: Listing) -> list[Table]:
    """Make what is listed into tables for the terminal; empty ones are left out."""
    shown = []
    for title, rows in found.items():
        style = "red" if title == "Could not be loaded" else ""
        table = Table(*COLUMNS[title], title=title, title_justify="left", style=style)
        for row in rows:
            table.add_row(*row)
        shown += [table] if rows else []
    return shown


def _read() -> Listing:
    """List the built-in plugins from their source."""
    of_detectors = Declarations(PACKAGE / "detectors", "Detector")
    of_datasets = Declarations(PACKAGE / "datasets", "Dataset")
    samples, reconstructs = (partial(of_detectors.has_method, name=name) for name in ("sample", "reconstruct"))
    shape, class_names = (partial(of_datasets.attribute, name=name) for name in ("shape", "class_names"))
    detectors = [
        _detector(name, summary(node), samples(node), reconstructs(node), BUILT_IN)
        for name, node in of_detectors.registered("register").items()
    ]
    datasets = [
        _dataset(name, summary(node), shape(node), class_names(node), BUILT_IN)
        for name, node in of_datasets.registered("register").items()
    ]
    for rows, declared, argument in ((detectors, of_detectors, "NAME"), (datasets, of_datasets, "PATH")):
        families = declared.registered("register_family").items()
        rows += [_family(name, argument, summary(node), BUILT_IN) for name, node in families]
    return dict(zip(COLUMNS, (detectors, datasets, []), strict=True))


def _look(plugins: Plugins) -> Listing:
    """List plugins that have been imported."""
    from oodbench.detectors.base import can_reconstruct, can_sample

    detectors = [
        _detector(name, plugin.summary, can_sample(plugin.cls), can_reconstruct(plugin.cls), plugin.source)
        for name, plugin in sorted(plugins.detectors.plugins.items())
    ]
    datasets = [
        _dataset(name, plugin.summary, plugin.cls.shape, plugin.cls.class_names, plugin.source)
        for name, plugin in sorted(plugins.datasets.plugins.items())
    ]
    detectors += [_family(name, "NAME", own.summary, own.source) for name, own in _families(plugins.detectors)]
    datasets += [_family(name, "PATH", own.summary, own.source) for name, own in _families(plugins.datasets)]
    broken = [[plugin.source, plugin.cause] for plugin in plugins.broken]
    return dict(zip(COLUMNS, (detectors, datasets, broken), strict=True))


def _families(registry: Registry[Any]) -> list[tuple[str, Family[Any]]]:
    return sorted(registry.families.items())


def _detector(name: str, about: str, samples: bool, reconstructs: bool, source: str) -> list[str]:
    return [name, about, *("yes" if able else "—" for able in (samples, reconstructs)), source]


def _dataset(name: str, about: str, shape: Sequence[int], class_names: Sequence[str], source: str) -> list[str]:
    return [name, about, "{1}×{2}×{0}".format(*shape), str(len(class_names)), source]


def _family(name: str, argument: str, about: str, source: str) -> list[str]:
    return [f"{name}:{argument}", about, "", "", source]


def _digest(files: Sequence[Path]) -> str:
    """Hash the state of all modules that a listing is made of."""
    state = [sys.version, *(_state(path) for path in _modules(files))]
    state += [f"{entry.name} {entry.value}" for entry in _entry_points()]
    return hashlib.sha256("\n".join(state).encode()).hexdigest()[:16]


def _modules(files: Sequence[Path]) -> Iterator[Path]:
    """Give the files of all modules: our own, the packages' that have entry points, and the local ones."""
    for folder in ("benchmark", "detectors", "datasets"):
        yield from sorted((PACKAGE / folder).glob("*.py"))
    for package in sorted({entry.value.partition(":")[0].partition(".")[0] for entry in _entry_points()}):
        spec = importlib.util.find_spec(package)  # of a package that is not within another, this imports nothing
        for folder in spec.submodule_search_locations or [] if spec else []:
            yield from sorted(Path(folder).rglob("*.py"))
        if spec and spec.origin:
            yield Path(spec.origin)
    yield from files


def _entry_points() -> list[importlib.metadata.EntryPoint]:
    return [
        entry
        for group in ("oodbench.detectors", "oodbench.datasets")
        for entry in importlib.metadata.entry_points(group=group)
    ]


def _state(path: Path) -> str:
    try:
        about = path.stat()
    except OSError:
        return f"{path} missing"
    return f"{path.resolve()} {about.st_mtime_ns} {about.st_size}"
