"""What ``bench run`` shows at its end: the leaderboard that it wrote, the ranks, and the failures."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from oodbench.benchmark.cli.terminal import make_table, say, show_tables
from oodbench.benchmark.reporting.format import command_line, in_one_line

if TYPE_CHECKING:
    from oodbench.benchmark.results.result import TrialResult
    from oodbench.benchmark.results.store import Store


def write_leaderboard(store: Store, jobs: int, *, ran: int) -> Path:
    """Write page, table and plots in some processes, unless no trial ran and they are newer than all results.

    Returns the page.
    """
    page = store.leaderboard / "README.md"
    written = page.stat().st_mtime if page.is_file() else 0.0
    if not ran and store.plots.is_dir() and all(path.stat().st_mtime < written for path in store.results.rglob("*")):
        return page
    from oodbench.benchmark.reporting import leaderboard
    from oodbench.benchmark.running.pool import parallel_map

    say("Writing the leaderboard: page, table and plots.")
    with parallel_map(jobs) as parallel:
        return leaderboard.update(store, map=parallel)


def show_ranks(store: Store, datasets: Collection[str]) -> None:
    """Print the ranked tables of some datasets, best first, and what was left out of them."""
    from oodbench.benchmark.reporting.summary import Summary
    from oodbench.benchmark.reporting.tables import noise_note, ranked

    results = store.read_all()
    for problem in results.problems:
        say(f"Left out: {problem}", style="yellow")
    summary = Summary(results.select(dataset=datasets))
    for dataset in summary.datasets:
        for caption, rows in ranked(summary, dataset).items():
            table = make_table(rows.header, caption)
            for row in rows.rows:
                table.add_row(*row)
            show_tables(table)
    note = noise_note(summary, summary.datasets)
    if note:
        say(note)


def show_failures(failed: Sequence[TrialResult], done: int) -> None:
    """Print the failed of some trials, each with the command that runs it again and its cause."""
    if failed:
        say(f"{len(failed)} of {done} trials failed; the others are stored:", style="red")
    for result in failed:
        say(f"  {command_line(result.command)}: {in_one_line(result.error or '')}")
