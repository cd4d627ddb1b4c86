"""What a worker process does: one trial."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Protocol, cast

from filelock import FileLock
from torch import Tensor

from oodbench.benchmark import classifier, generation
from oodbench.benchmark.capabilities import can_sample
from oodbench.benchmark.classifier import digest_of
from oodbench.benchmark.device import choose_device
from oodbench.benchmark.generation import Yardstick, yardstick_of
from oodbench.benchmark.plan import Plugins, Trial, file_name
from oodbench.benchmark.store import Result, Store
from oodbench.benchmark.store import partial as partial_file
from oodbench.benchmark.trial import identity, is_stale, make_detector, run_trial
from oodbench.benchmark.workers import plugins_of, return_freed_memory, shared_part
from oodbench.datasets import split
from oodbench.datasets.base import Part
from oodbench.datasets.split import PROTOCOLS, as_float, one_vs_rest
from oodbench.detectors.base import DetectorError, Monitor
from oodbench.detectors.batched import Trained, train_together
from oodbench.detectors.neural import Neural


class Progress(Protocol):
    """Takes reports: a trial, how many steps it has made, and of how many."""

    def put(self, report: tuple[Trial, int, int]) -> None:
        """Take a report."""


@dataclass(frozen=True)
class Task:
    """All that a worker process needs to know to run a trial; see `oodbench.benchmark.backend.Order`.

    In `kept` lies what serves later runs too. What it has in `together` are the trials, this one among them, whose
    networks are trained as one.
    """

    trial: Trial
    store: Store
    plugin_files: tuple[Path, ...]
    arrays: Path
    device: str
    trace: bool
    keep: bool
    since: float
    progress: Progress
    kept: Path
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
            if can_sample(plugins.detectors[trial.detector]) and _has_yardstick(trial):
                # now, for another process may be at it, and done when this one needs it; what is wrong is said then
                with suppress(Exception):
                    _yardstick_file(task, timeout=0)
            result = run_trial(
                trial,
                plugins,
                _parts(task.arrays, trial.dataset),
                store,
                device=choose_device(task.device),
                yardstick=partial(_yardstick, task),
                trained=partial(_trained, task, plugins),
                listener=reporter,
                trace=task.trace,
                keep=task.keep,
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
    folder = task.store.run_folder(trial)
    wanted = [folder] * task.keep + [folder / "trace"] * task.trace
    return result if all(path.exists() for path in wanted) else None


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
        with suppress(OSError, EOFError):  # a trial does not fail because nobody listens
            self.progress.put((self.trial, step, steps))


def _has_yardstick(trial: Trial) -> bool:
    """Say whether samples can be measured: not where the classifier may have been trained on the images tested."""
    return PROTOCOLS[trial.protocol].tests_test_part_only and digest_of(trial.dataset) is not None


def _yardstick(task: Task) -> Yardstick | None:
    """Give the yardstick of a trial's split."""
    trial = task.trial
    return _loaded(_yardstick_file(task), trial.dataset, trial.normal_class) if _has_yardstick(trial) else None


@lru_cache(maxsize=2)
def _loaded(path: Path, dataset: str, normal_class: int) -> Yardstick:
    return Yardstick.load(path, dataset, normal_class)


def _yardstick_file(task: Task, *, timeout: float = -1) -> Path:
    """Give the file of a split's yardstick, which the first process to need it makes for all, and for later runs.

    Raises
    ------
    Timeout
        Another process has been making it for so many seconds (-1: however long it takes).
    """
    trial, kept = task.trial, task.kept
    kept.mkdir(parents=True, exist_ok=True)
    code = f"{digest_of(trial.dataset)}-{_code_of_yardsticks()}"
    path = kept / f"{file_name(trial.dataset)}-{trial.normal_class}-{code}.safetensors"
    with FileLock(f"{path}.lock", timeout=timeout):
        if not path.is_file():
            images = one_vs_rest(*_parts(task.arrays, trial.dataset), trial.normal_class)
            made = yardstick_of(trial.dataset, images, trial.normal_class)
            assert made is not None
            with partial_file(path) as temporary:
                made.save(temporary)
                temporary.replace(path)
    return path


@cache
def _code_of_yardsticks() -> str:
    """Hash the code that makes a yardstick: one that other code made is not used again."""
    sources = [inspect.getsource(module) for module in (classifier, generation, split)]
    return hashlib.sha256("".join(sources).encode()).hexdigest()[:12]


def _trained(task: Task, plugins: Plugins) -> Trained | None:
    """Give the trial's weights, if it is trained with others; the first process to need theirs trains them all."""
    if not task.together:
        return None
    trial, device = task.trial, choose_device(task.device)
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
                with partial_file(path) as temporary:
                    trained.save(temporary)
                    temporary.replace(path)
    return Trained.load(paths[trial])
