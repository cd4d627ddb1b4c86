"""A detector that is fitted on top of another one takes over the model that the other one's trial has stored."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from oodbench.benchmark.evaluation.metrics import detection_metrics
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.identity import identity_of
from oodbench.benchmark.results.result import TrialResult
from oodbench.benchmark.results.run_files import read_scores
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.trials import Trial
from oodbench.detectors.components.wrapper import Wrapper


def take_over(detector: Wrapper, trial: Trial, store: Store, plugins: Plugins, device: str) -> float:
    """Let a wrapper take over the model of the trial of the detector underneath, if that is stored and of today's code.

    If another process is at that trial, this waits until it is done. It never waits for this one: a trial holds its own
    lock, and asks for that of what it is built on. The figures are those of a fit of its own.

    Parameters
    ----------
    detector : Wrapper
        Not fitted yet.
    trial : Trial
        Its trial.
    store : Store
        Where results and run folders lie.
    plugins : Plugins
        Where detectors and datasets are found.
    device : str
        ``cpu`` or ``cuda``.

    Returns
    -------
    float
        Seconds that the fit of what was taken over took; 0 where nothing was.
    """
    trial = trial_underneath(trial, detector)
    with store.lock(str(trial.path)):
        result, folder = store.read(trial), store.run_folder(trial)
        if result is None or not _is_current(result, plugins) or not _is_of(folder, result):
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


def _is_of(folder: Path, result: TrialResult) -> bool:
    """Return whether a run folder is that of a result, and not of an earlier one, as results may come by git."""
    scores = read_scores(folder)
    return scores is not None and detection_metrics(scores.score, scores.is_ood)["auroc"] == result.auroc
