"""What a setting is judged by: held-out normal training images against training images of the other classes.

A setting is judged by the AUROC, as a mean over all classes: one setting for all of them. The test part is never read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sklearn.metrics import roc_auc_score

from oodbench.benchmark.errors import RunError
from oodbench.benchmark.evaluation.outputs import diagnostics_of, scores_of
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.running.arrays import shared_arrays, shared_part
from oodbench.benchmark.running.device import choose_device
from oodbench.benchmark.running.pool import WorkerLostError, worker_pool
from oodbench.benchmark.running.processes import allowed_cores
from oodbench.benchmark.running.state import reset_state
from oodbench.benchmark.running.worker import plugins_of
from oodbench.benchmark.trials import Trial, make_detector
from oodbench.datasets.base import Dataset
from oodbench.datasets.components.split import as_float, selection_split
from oodbench.detectors.base import Detector, FitDivergedError

Settings = Mapping[str, Any]
"""Hyperparameters by name."""
Judge = Callable[..., Iterator["Judgement"]]
"""Judges a setting class by class: ``judge(settings, rescored=(), seed=0)``; see `Question` for ``rescored``."""


class JudgementError(RunError):
    """A setting cannot be judged, whatever the reason; the message names the class, the setting and the cause."""


@dataclass(frozen=True)
class Question:
    """All that a worker process needs to judge a setting by one class.

    Attributes
    ----------
    trial : Trial
        The detector with the setting, and the normal class.
    plugin_files : tuple of Path
        Local Python files with more detectors or datasets.
    arrays : Path
        Folder in which the dataset's arrays lie.
    device : str
        ``cpu`` or ``cuda``.
    rescored : tuple of mapping
        Settings that change only how a trained detector scores: judged as well, without training again.
    """

    trial: Trial
    plugin_files: tuple[Path, ...]
    arrays: Path
    device: str
    rescored: tuple[Settings, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """What a setting came to on one class.

    Attributes
    ----------
    auroc : float
        In [0, 1], of held-out normal training images against training images of the other classes.
    rescored : tuple of float
        The same of the trained detector with each of the question's `rescored` settings.
    unhealthy : sequence of str
        What is wrong with the trained model; see `Detector.unhealthy`.
    """

    auroc: float
    rescored: tuple[float, ...] = ()
    unhealthy: Sequence[str] = ()


def judge_by_class(question: Question) -> Judgement:
    """Train on one class, and tell held-out training images of it from training images of the others.

    Parameters
    ----------
    question : Question
        What is judged.

    Returns
    -------
    Judgement

    Raises
    ------
    FitDivergedError
        The training diverged.
    JudgementError
        The detector raised anything else, SystemExit and KeyboardInterrupt among it.
    """
    try:
        reset_state(question.trial.seed)
        return _judge(question)
    except FitDivergedError:
        raise
    except BaseException as error:  # Ctrl-C does not reach a worker
        raise JudgementError(f"{question.trial}: {type(error).__name__}: {error}") from error


def _judge(question: Question) -> Judgement:
    trial = question.trial
    split = selection_split(shared_part(question.arrays, trial.dataset, "train"), trial.normal_class)
    detector = make_detector(plugins_of(question.plugin_files), trial, question.device).fit(as_float(split.train))
    test = as_float(split.test)

    def auroc(judged: Detector) -> float:
        return float(roc_auc_score(split.is_ood, scores_of(judged, test)))

    return Judgement(
        auroc=auroc(detector),
        rescored=tuple(auroc(detector.rescored(changes)) for changes in question.rescored),
        unhealthy=detector.unhealthy(diagnostics_of(detector, as_float(split.validation))),
    )


@contextmanager
def judging(
    detector: type[Detector],
    dataset: type[Dataset],
    plugins: Plugins,
    store: Store,
    *,
    data: Path,
    classes: Sequence[int] = (),
    jobs: int | None = None,
    device: str = "auto",
) -> Iterator[Judge]:
    """Open a pool of workers that judge a detector's settings on a dataset.

    Parameters
    ----------
    detector, dataset : type
        What is judged, and on what.
    plugins : Plugins
        Where they are found.
    store : Store
        In whose run folder the dataset's arrays lie meanwhile.
    data : Path
        Folder where datasets lie.
    classes : sequence of int
        The classes that settings are judged by; by default all that can be the normal one.
    jobs : int, optional
        Worker processes; by default one a core.
    device : str
        ``auto``, ``cpu`` or ``cuda``.

    Yields
    ------
    callable
        See `Judge`.
    """
    store.prepare()
    runs, files = store.runs.absolute(), tuple(path.absolute() for path in plugins.files)
    device, source = choose_device(device), dataset(data)
    with (
        shared_arrays([source], runs, parts=("train",)) as arrays,
        worker_pool(jobs or allowed_cores()) as pool,
    ):

        def judge(settings: Settings, rescored: Sequence[Settings] = (), seed: int = 0) -> Iterator[Judgement]:
            changes = tuple(sorted(settings.items()))
            labels = classes or dataset.normal_classes()
            trials = [Trial(dataset.name, detector.name, label, seed, changes) for label in labels]
            questions = [Question(trial, files, arrays, device, tuple(rescored)) for trial in trials]
            try:
                yield from pool.map(judge_by_class, questions)
            except WorkerLostError as error:
                raise JudgementError(f"{trials[0].label} on {dataset.name}: {error}") from error

        yield judge
