"""What a worker process does: one trial."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, cast

from filelock import FileLock
from torch import Tensor

from oodbench.benchmark.evaluation import yardsticks
from oodbench.benchmark.files import replacing
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.store import Result, Store
from oodbench.benchmark.running.device import choose_device
from oodbench.benchmark.running.mailbox import Report
from oodbench.benchmark.running.trial import Options, identity, is_stale, run_trial, was_traced
from oodbench.benchmark.running.workers import plugins_of, return_freed_memory, shared_part
from oodbench.benchmark.trials import Trial, make_detector
from oodbench.datasets.base import Part
from oodbench.datasets.components.protocols import PROTOCOLS
from oodbench.datasets.components.split import as_float
from oodbench.detectors.base import DetectorError, Monitor, can_sample
from oodbench.detectors.components.batched import Trained, train_together
from oodbench.detectors.components.neural import Neural


class Progress(Protocol):
    """Takes reports: a trial, how many steps it has made, and of how many."""

    def put(self, report: Report) -> None:
        """Take a report."""


@dataclass(frozen=True)
class Task:
    """All that a worker process needs to know to run a trial; see `oodbench.benchmark.running.backend.Order`.

    What it has in `together` are the trials, this one among them, whose networks are trained as one.
    """

    trial: Trial
    store: Store
    plugin_files: tuple[Path, ...]
    arrays: Path
    options: Options
    since: float
    progress: Progress
    together: tuple[Trial, ...] = ()


def execute(task: Task) -> Result:
    """Run a trial in this process, unless another run on the same folders has just done it, and store its result.

    Parameters
    ----------
    task : Task
        Which, and how.

    Returns
    -------
    dict
        The result.
    """
    trial, store = task.trial, task.store
    reporter = _Reporter(trial, task.progress)
    reporter.report(0, 1, {})
    plugins = plugins_of(task.plugin_files)
    with store.lock(str(trial.path)):
        result = _done_meanwhile(task, plugins)
        if result is None:
            parts = partial(_parts, task.arrays, trial.dataset)
            if can_sample(plugins.detectors[trial.detector]):
                # now, for another process may be at it, and done when this one needs it
                yardsticks.prepare(trial, plugins, parts)
            result = run_trial(
                trial,
                plugins,
                parts(),
                store,
                options=task.options,
                yardstick=partial(yardsticks.yardstick, trial, plugins, parts),
                trained=partial(_trained, task, plugins),
                listener=reporter,
            )
            return_freed_memory()  # the next trial may need little, and the other processes much
    return result


def _done_meanwhile(task: Task, plugins: Plugins) -> Result | None:
    """Give the result that another run on the same folders has stored since this run began, if there is one."""
    trial, path = task.trial, task.store.result_path(task.trial)
    if not path.is_file() or path.stat().st_mtime < task.since:
        return None
    result = task.store.read(trial)
    if result is None or result["status"] != "done" or is_stale(result, identity(plugins, trial)):
        return None
    kept = not task.options.keep or task.store.run_folder(trial).exists()
    traced = not task.options.trace or was_traced(result, task.store, trial)
    return result if kept and traced else None


def _parts(arrays: Path, dataset: str) -> tuple[Part, Part]:
    return shared_part(arrays, dataset, "train"), shared_part(arrays, dataset, "test")


class _Reporter(Monitor):
    """Sends a fit's progress to the process that shows it."""

    def __init__(self, trial: Trial, progress: Progress, validation: Tensor | None = None) -> None:
        self.trial = trial
        self.progress = progress
        self.validation = validation if validation is not None and len(validation) else None

    def report(self, step: int, steps: int, measures: Mapping[str, float]) -> None:
        del measures
        with suppress(OSError):  # a trial does not fail because nobody listens
            self.progress.put((self.trial, step, steps))


def _trained(task: Task, plugins: Plugins) -> Trained | None:
    """Give the trial's weights, if it is trained with others; the first process to need theirs trains them all."""
    if not task.together:
        return None
    trial, device = task.trial, choose_device(task.options.device)
    folder = task.arrays / "trained"
    paths = {other: folder / other.path.with_suffix(".safetensors") for other in task.together}
    paths[trial].parent.mkdir(parents=True, exist_ok=True)
    with FileLock(paths[trial].with_name(f"seed-{trial.seed}.lock")):
        if not paths[trial].is_file():
            parts = _parts(task.arrays, trial.dataset)
            splits = [PROTOCOLS[other.protocol].split(*parts, other.normal_class, other.seed) for other in paths]
            detectors = [make_detector(plugins, other, device) for other in paths]
            monitors = [
                _Reporter(other, task.progress, as_float(own.validation))
                for other, own in zip(paths, splits, strict=True)
            ]
            try:
                together = train_together(
                    cast(list[Neural], detectors),  # as the engine has asked `can_train_together`
                    [as_float(own.train) for own in splits],
                    monitors=monitors,
                )
            except DetectorError:  # the network cannot be one of many, or the images are bad: alone, that is said
                return None
            for path, trained in zip(paths.values(), together, strict=True):
                with replacing(path) as temporary:
                    trained.save(temporary)
    return Trained.load(paths[trial])
