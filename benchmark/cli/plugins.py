"""``bench list``, ``new``, ``check`` and ``check-dataset``: detectors and datasets, your own among them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oodbench.benchmark.cli.options import DataDir, Json, PluginFiles, data_folder
from oodbench.benchmark.cli.terminal import say, show_json, show_tables
from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.reporting.format import command_line

if TYPE_CHECKING:
    from oodbench.benchmark.checks import Outcome

Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show what holds, too.")]


def list_(plugin: PluginFiles = None, json: Json = False) -> None:
    """List detectors and datasets, what they can do, and where they come from."""
    from oodbench.benchmark.cli.listing import as_json, tables
    from oodbench.benchmark.plugins import Plugins

    plugins = Plugins.load(plugin or ())
    if json:
        show_json(as_json(plugins))
    else:
        show_tables(*tables(plugins))


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, of lower-case letters, digits and hyphens.")],
    package: Annotated[bool, typer.Option("--package", help="A package with an entry point, not one file.")] = False,
    folder: Annotated[Path, typer.Option(metavar="FOLDER", help="Where to write it.")] = Path(),
) -> None:
    """Begin a detector of your own: write a small one that works, to be changed."""
    from oodbench.benchmark.cli.scaffold import new_file, new_package

    if package:
        path = new_package(name, folder)
        say(f"{path}: a package with {name}. Install it, check it and run it:")
        commands = [["pip", "install", "-e", str(path)], ["bench", "check", name]]
        detector = name
    else:
        path = new_file(name, folder)
        say(f"{path}: a small detector that works. Check it and run it:")
        commands = [["bench", "check", str(path)]]
        detector = str(path)
    commands.append(["bench", "run", "--detector", detector, "--dataset", "digits", "--out", "my-results"])
    for command in commands:
        say(f"  {command_line(shlex.join(command))}")


def check(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="DETECTOR", help="Detectors, or Python files.  [default: those of --plugin]"),
    ] = None,
    verbose: Verbose = False,
    plugin: PluginFiles = None,
) -> None:
    """Check that detectors do what the benchmark asks of them, and say how to fix what they do not."""
    from oodbench.benchmark.cli.selection import select

    chosen = select(plugin, detectors=_named(names, plugin, "detector"))
    from oodbench.benchmark.checks import detector_outcomes

    examined = {name: detector_outcomes(chosen.plugins.detectors[name]) for name in chosen.detectors}
    _report_checks(examined, verbose)


def check_dataset(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="DATASET", help="Datasets, or Python files.  [default: those of --plugin]"),
    ] = None,
    verbose: Verbose = False,
    data_dir: DataDir = None,
    plugin: PluginFiles = None,
) -> None:
    """Check that datasets do what the benchmark asks of them, and say how to fix what they do not."""
    from oodbench.benchmark.cli.selection import select

    chosen, root = select(plugin, datasets=_named(names, plugin, "dataset")), data_folder(data_dir)
    from oodbench.benchmark.checks import dataset_outcomes

    examined = {name: dataset_outcomes(chosen.plugins.datasets[name](root)) for name in chosen.datasets}
    _report_checks(examined, verbose)


def _named(names: Sequence[str] | None, files: Sequence[Path] | None, kind: str) -> list[str]:
    """Return what is named, or else the files of ``--plugin``; raises UsageError if there is neither."""
    named = list(names or map(str, files or ()))
    if not named:
        raise UsageError(f"No {kind} is named: give its name, or a Python file that holds one.")
    return named


def _report_checks(examined: Mapping[str, Iterator[Outcome]], verbose: bool) -> None:
    """Print what fails (or everything), and end with exit code 1 if anything did."""
    from oodbench.benchmark.checks import totals

    failed = False
    for name, outcomes in examined.items():
        found = []
        for outcome in outcomes:
            found.append(outcome)
            if verbose or outcome.status in ("failed", "expected"):
                style = {"failed": "red", "expected": "yellow"}.get(outcome.status)
                say(f"{name}: {outcome.status}: {outcome.name}: {outcome.message}", style=style)
        say(f"{name}: {totals(found)}")
        failed = failed or any(outcome.status == "failed" for outcome in found)
    if failed:
        raise typer.Exit(1)
