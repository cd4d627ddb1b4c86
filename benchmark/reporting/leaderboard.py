"""The leaderboard's page, table and plots, derived from the stored results and nothing else."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.evaluation.metrics import detection_metrics
from oodbench.benchmark.files import write_text
from oodbench.benchmark.reporting.page import render
from oodbench.benchmark.reporting.plots import Plot, plots_of, stored_digest
from oodbench.benchmark.reporting.readme import has_other_headline, write_headline
from oodbench.benchmark.reporting.summary import Summary
from oodbench.benchmark.reporting.table import as_csv
from oodbench.benchmark.reporting.tables import readme_table
from oodbench.benchmark.results.collection import Results
from oodbench.benchmark.results.result import TrialResult
from oodbench.benchmark.results.run_files import SCORES, read_scores
from oodbench.benchmark.results.store import Store

TOLERANCE = 1e-6
"""Of a measure that is computed again: another version of a library may round otherwise."""
Map = Callable[[Callable[[Plot], None], Sequence[Plot]], Iterable[Any]]
"""Calls a function for each plot, like `map`, here or in other processes."""


def update(store: Store, *, map: Map = map) -> Path:  # noqa: A002
    """Write page, CSV and plots anew from the stored results.

    A plot is drawn where there is none of the same results. Plots that need run folders (ROC curves, samples) are drawn
    where these are there. Removed are only plots that were drawn here, from other results. The default leaderboard's
    short table is also written into the README beside its folder, between the markers ``<!-- headline -->`` and
    ``<!-- /headline -->``, if it has them.

    Parameters
    ----------
    store : Store
        Where the results lie.
    map : callable
        Draws: called with a function and a sequence like the built-in `map`; another may draw in several processes.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    UsageError
        There are no results.
    """
    if not store.results.is_dir():
        raise _no_results(store)
    with store.lock("leaderboard"):  # or a slower run that read less would have the last word
        summary = _summary(store)
        folder = store.plots
        folder.mkdir(parents=True, exist_ok=True)
        plots = plots_of(summary, store)
        todo = [plot for plot in plots if plot.must_be_drawn(folder)]
        try:
            list(map(functools.partial(_save, folder), todo))
        except BaseException:
            store.clear()  # after processes that were killed
            raise
        for path in _outdated(folder, plots):
            path.unlink()
        for name, text in _texts(summary, store, plots).items():
            write_text(store.leaderboard / name, text)
        write_headline(store, readme_table(summary))
    return store.leaderboard / "README.md"


def check(store: Store) -> list[str]:
    """Compare what is in the leaderboard's folder with what the stored results give.

    Parameters
    ----------
    store : Store
        Where the results lie.

    Returns
    -------
    list of str
        What does not match; empty if all does. The results themselves are compared with the scores in run folders,
        where these are there.

    Raises
    ------
    UsageError
        There are no results.
    """
    summary = _summary(store)
    plots = plots_of(summary, store)
    problems = []
    for name, text in _texts(summary, store, plots).items():
        path = store.leaderboard / name
        if not path.is_file():
            problems.append(f"{path} is missing")
        elif path.read_text(encoding="utf-8") != text:
            problems.append(f"{path} does not match the results")
    folder = store.plots
    outdated = _outdated(folder, plots)
    problems += [f"{path} was drawn from other results" for path in outdated]
    drawn = [plot for plot in plots if plot.draw is not None and folder / plot.name not in outdated]
    problems += [f"{folder / plot.name} is missing or damaged" for plot in drawn if not plot.is_current(folder)]
    if has_other_headline(store, readme_table(summary)):
        problems.append("README.md does not show the leaderboard's table between its headline markers")
    return problems + [problem for result in store.read_all() for problem in _against_scores(store, result)]


def _against_scores(store: Store, result: TrialResult) -> list[str]:
    """Describe how a result differs from the scores in its run folder, where that is there."""
    folder = store.run_folder(result.trial)
    if result.status == "failed" or not (folder / SCORES).exists():
        return []
    stored = read_scores(folder)
    if stored is None:
        return [f"{folder / SCORES} is damaged: run its trial again with --force"]
    measured = detection_metrics(stored.score, stored.is_ood)
    if result.threshold is not None:
        out = stored.score > result.threshold.value
        measured |= {"normal_kept": 1 - out[~stored.is_ood].mean(), "ood_caught": out[stored.is_ood].mean()}
    return [
        f"{store.result_path(result.trial)} has {name} {getattr(result, name):.6g}, but the scores in "
        f"{folder / SCORES} give {value:.6g}: run its trial again with --force"
        for name, value in measured.items()
        if not abs(getattr(result, name) - value) <= TOLERANCE  # so written that NaN fails too
    ]


def _save(folder: Path, plot: Plot) -> None:
    plot.save(folder)


def _outdated(folder: Path, plots: Sequence[Plot]) -> list[Path]:
    """List the pictures that were drawn here, and show other results than the stored ones."""
    current = {plot.name for plot in plots if plot.is_current(folder)}
    return [path for path in sorted(folder.glob("*.png")) if path.name not in current and stored_digest(path)]


def _summary(store: Store) -> Summary:
    read = store.read_all()
    if not read:
        raise _no_results(store, read.problems)
    # what is written is the same wherever the folder lies
    beside = f"{store.leaderboard}/"
    return Summary(Results(read, [problem.replace(beside, "") for problem in read.problems]))


def _no_results(store: Store, problems: Sequence[str] = ()) -> UsageError:
    why = f" (left out: {problems[0]})" if problems else ""
    return UsageError(f"There are no results in {store.results} yet{why}: run `bench run` first, or name --out.")


def _texts(summary: Summary, store: Store, plots: Sequence[Plot]) -> dict[str, str]:
    return {
        "README.md": render(summary, [plot for plot in plots if plot.is_current(store.plots)]),
        "results.csv": as_csv(summary.frame, float_format="%.6g"),
    }
