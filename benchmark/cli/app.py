"""The command ``bench``: its verbs, and how it ends. Each verb imports what it needs when it is called."""

from __future__ import annotations

import gc
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from oodbench.benchmark.cli import data, models, plugins, results, run, tuning
from oodbench.benchmark.cli.encoding import escape_what_cannot_be_shown
from oodbench.benchmark.cli.terminal import complain, say
from oodbench.benchmark.errors import CANNOT_WRITE, RunError, UsageError
from oodbench.benchmark.running.interruption import exit_code, heed_one_interruption

OBJECTS_BETWEEN_COLLECTIONS = 100_000
STORED = "Everything that had finished is stored: the same command goes on from there."


class Bench(TyperGroup):
    """Ends bad input with one sentence and exit code 2, a full disk with 1, a signal with 128 and its number."""

    def invoke(self, ctx: Any) -> Any:
        """Run a verb."""
        heed_one_interruption()
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            complain(f"Interrupted. {STORED}")
            raise typer.Exit(exit_code()) from None
        except OSError as error:
            if error.errno not in CANNOT_WRITE:
                raise
            complain(f"Error: {error.filename or 'The folder'} cannot be written to ({error.strerror}). {STORED}")
            raise typer.Exit(1) from None
        except RunError as error:
            complain(f"Error: {error} {STORED}")
            raise typer.Exit(1) from None
        except ValueError as error:
            if not _is_bad_input(error):
                raise
            complain(f"Error: {error}")
            raise typer.Exit(2) from None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the verbs, each with its whole first sentence."""
        with formatter.section("Commands"):
            commands = [(name, self.commands[name]) for name in self.list_commands(ctx)]
            formatter.write_dl([(name, command.get_short_help_str(limit=1000)) for name, command in commands])


def _is_bad_input(error: ValueError) -> bool:
    """Return whether an error is the user's; detectors and datasets have kinds of their own, once imported."""
    kinds = [UsageError]
    for module, kind in (("oodbench.datasets.base", "DatasetError"), ("oodbench.detectors.base", "DetectorError")):
        if module in sys.modules:
            kinds.append(getattr(sys.modules[module], kind))
    return isinstance(error, tuple(kinds))


app = typer.Typer(
    name="bench",
    cls=Bench,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        say(f"oodbench {version('oodbench')}")
        raise typer.Exit


@app.callback()
def bench(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Compare out-of-distribution detectors, one-vs-rest, on detection and on generation."""


app.command()(run.run)
app.command()(results.leaderboard)
app.command()(results.show)
app.command()(results.diff)
app.command()(models.sample)
app.command()(models.score)
app.command(name="list")(plugins.list_)
app.command()(data.data)
app.command()(plugins.new)
app.command()(plugins.check)
app.command()(plugins.check_dataset)
app.command()(tuning.tune)
app.command()(tuning.ablation)


def main() -> None:
    """Run the command.

    Torch and what it imports are half a million objects that stay. Python's collector of cycles would look through them
    again and again as they come, which took 0.5 of the 4.6 s of ``bench check mean``, and once more at the end: 0.9 s.
    """
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    # what is set for the user's own plots, rightly or wrongly, has no part in ours; joblib, which scikit-learn brings,
    # need not look for semaphores, which want a /dev/shm
    os.environ.update(MPLBACKEND="agg", MATPLOTLIBRC=os.devnull, JOBLIB_MULTIPROCESSING="0")
    escape_what_cannot_be_shown()
    try:
        app()
    finally:
        gc.freeze()
