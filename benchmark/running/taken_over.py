"""A detector that is fitted on top of another one takes over the model that the other one's trial has stored."""

from __future__ import annotations

from contextlib import suppress

from oodbench.benchmark.evaluation.metrics import detection_metrics
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.identity import identity_of
from oodbench.benchmark.results.result import TrialResult
from oodbench.benchmark.results.run_files import read_scores
from oodbench.benchmark.running.job import Job
from oodbench.benchmark.trials import Trial
from oodbench.detectors.base import Detector
from oodbench.detectors.components.wrapper import Wrapper


def take_over(job: Job, detector: Detector, plugins: Plugins, device: str) -> float:
    """Let a wrapper take over the model of the trial of the detector underneath, if that is stored and of today's code.

    If another process is at that trial, this waits until it is done. It never waits for this one: a trial holds its own
    lock, and asks for that of what it is built on. Nothing is taken over where the fit is to be traced.

    Parameters
    ----------
    job : Job
        The trial.
    detector : Detector
        Its detector, before it is fitted; any other than a wrapper is left alone.
    plugins : Plugins
        Where detectors and datasets are found.
    device : str
        ``cpu`` or ``cuda``.

    Returns
    -------
    float
        Seconds that the fit of what was taken over took; 0 where nothing was.
    """
    if not isinstance(detector, Wrapper) or job.options.trace:
        return 0.0
    trial = trial_underneath(job.trial, detector)
    with job.store.lock(str(trial.path)):
        result, folder = job.store.read(trial), job.store.run_folder(trial)
        if result is None or not _is_current(result, plugins) or not _is_of(job, result):
            return 0.0
        with suppress(Exception):  # a damaged model, of whatever kind: then it is trained anew
            detector.take_over(detector.wrapped.load(folder, device=device))
            return result.fit_seconds
    return 0.0


def trial_underneath(trial: Trial, detector: Wrapper) -> Trial:
    """Return the trial of the detector underneath by itself, with the same hyperparameters."""
    names = detector.base_parameters()
    changes = tuple((name, value) for name, value in trial.changes if name in names)
    return Trial(trial.dataset, detector.wrapped.name, trial.normal_class, trial.seed, changes, trial.protocol)


def _is_current(result: TrialResult, plugins: Plugins) -> bool:
    """Return whether a result is of today's code, data and settings."""
    return result.status == "done" and identity_of(result.trial, plugins).matches(result)


def _is_of(job: Job, result: TrialResult) -> bool:
    """Return whether the run folder is that of a result, and not of an earlier one, as results may come by git."""
    scores = read_scores(job.store.run_folder(result.trial))
    return scores is not None and detection_metrics(scores.score, scores.is_ood)["auroc"] == result.auroc
