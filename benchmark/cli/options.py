"""Options that several verbs have in common, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

Out = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="Folder for results, leaderboard and run folders.  [default: leaderboard, and runs]"
    ),
]
ProtocolName = Annotated[
    str,
    typer.Option(
        "--protocol",
        metavar="NAME",
        help="Which images are trained and tested on: deep-svdd or memae; each has a leaderboard of its own.",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        envvar="OODBENCH_DATA",
        help="Where the datasets lie.  [default: a folder in the user's cache]",
    ),
]
PluginFiles = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE", help="Python file with more detectors or datasets; repeatable."),
]
Jobs = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Processes at a time.  [default: one for each core]")
]
DeviceName = Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu or cuda.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON in place of a table.")]
ClassName = Annotated[str, typer.Option("--class", metavar="CLASS", help="Normal class, by name or number.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="DETECTOR.PARAMETER=VALUE", help="Change a hyperparameter; repeatable."),
]


def split_values(values: Sequence[str], known: Callable[[str], bool]) -> list[str]:
    """Take values apart that are joined by commas.

    Parameters
    ----------
    values : sequence of str
        As given on the command line.
    known : callable
        Whether a text names something as it stands; such a name is never taken apart, whatever commas it holds.

    Returns
    -------
    list of str
    """
    found = []
    for value in values:
        parts = value.split(",")
        while parts:
            ends = range(len(parts), 1, -1)
            end = next((end for end in ends if known(",".join(parts[:end]))), 1)
            text = ",".join(parts[:end])
            found.append(text if known(text) else text.strip())
            parts = parts[end:]
    return found


def as_given(context: typer.Context, *names: str) -> list[str]:
    """Return those of some options that stand on the command line, to be repeated in a command that is printed."""
    words = []
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if name not in names or source is None or source.name != "COMMANDLINE":
            continue
        value: Any = context.params[name]
        for one in value if isinstance(value, (list, tuple)) else [value]:
            words += [parameter.opts[0]] if one is True else [parameter.opts[0], str(one)]
    return words


def data_folder(given: Path | None) -> Path:
    """Return where datasets lie: the folder that is given, or one in the user's cache."""
    if given is not None:
        return given
    from oodbench.benchmark.files import cache_folder

    return cache_folder() / "data"
