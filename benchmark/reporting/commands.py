"""Commands that compute what a page shows, ready to be copied."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from itertools import pairwise

from oodbench.benchmark.reporting.format import words_of
from oodbench.benchmark.reporting.summary import Summary
from oodbench.benchmark.results.result import TrialResult
from oodbench.benchmark.trials import protocol_option

FOLDERS = ("--out", "--data-dir")
PLUGIN = "--plugin"


def run_commands(summary: Summary) -> list[str]:
    """Return the commands that run all trials of a page: one for each dataset, change of hyperparameters and classes.

    They carry ``--out``, ``--data-dir`` and ``--plugin`` as these were given to the latest of the trials; every plugin
    that was given to any of them is named.
    """
    classes = {
        row: sorted(set(results["normal_class"])) for row, results in summary.frame.groupby(["dataset", "detector"])
    }
    groups: dict[tuple[int, str, tuple[int, ...]], list[TrialResult]] = {}
    for result in summary.results:
        changes = json.dumps(result.changes, sort_keys=True) if result.changes else ""
        mine = classes[result.dataset, result.label]
        # those of most classes first
        group = summary.datasets.index(result.dataset), changes, (-len(mine), *mine)
        groups.setdefault(group, []).append(result)
    return [_run_command(summary, results) for _, results in sorted(groups.items(), key=lambda item: item[0])]


def leaderboard_command(summary: Summary) -> str:
    """Return the command that makes the page."""
    given = _given(summary.results)
    words = ["bench", "leaderboard", *(word for option in ("--out",) for word in given.get(option, []))]
    return shlex.join(words) + protocol_option(summary.protocol)


def _run_command(summary: Summary, results: Sequence[TrialResult]) -> str:
    dataset = results[0].dataset
    detectors = sorted({result.detector for result in results})
    names = {result.normal_class: result.class_name for result in results}
    seeds = sorted({result.seed for result in results})
    words = ["bench", "run", "--dataset", dataset]
    if len(names) < summary.class_count[dataset]:
        words += _option("--class", [name for _, name in sorted(names.items())])
    words += _option("--detector", detectors)
    if seeds == list(range(len(seeds))):
        words += ["--seeds", str(len(seeds))] if len(seeds) > 1 else []
    else:
        words += _option("--seed", map(str, seeds))
    changes = results[0].changes
    for detector in detectors:
        for name, value in sorted(changes.items()):
            words += ["--set", f"{detector}.{name}={json.dumps(value)}"]
    words += [word for given in _given(summary.results).values() for word in given]
    return shlex.join(words) + protocol_option(summary.protocol)


def _option(option: str, values: Iterable[str]) -> list[str]:
    """Return values joined by commas, or one by one where a value has a comma itself."""
    known = list(values)
    if any("," in value for value in known):
        return [word for value in known for word in (option, value)]
    return [option, ",".join(known)]


def _given(results: Iterable[TrialResult]) -> dict[str, list[str]]:
    """Return options with their values, by option, as the commands of the trials have them."""
    by_time = sorted(results, key=lambda result: result.finished)
    given = {option: words for option in FOLDERS if (words := _values(by_time[-1].command, option))}
    plugins = dict.fromkeys(file for result in by_time for file in _values(result.command, PLUGIN)[1::2])
    return given | ({PLUGIN: [word for file in plugins for word in (PLUGIN, file)]} if plugins else {})


def _values(command: str, option: str) -> list[str]:
    """Return the words of an option in a command: the option and its value, as often as it is given."""
    words = words_of(command)
    return [word for pair in pairwise(words) if pair[0] == option for word in pair]
