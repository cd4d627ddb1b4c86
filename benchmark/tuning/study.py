"""``bench tune``: hyperparameters chosen on training images alone.

A candidate is judged by the AUROC of held-out normal training images against training images of the other classes, as
a mean over all classes or those that are named: one setting for all of them. The test part is never read. Optuna (Akiba
et al., KDD 2019) proposes candidates, of the values that a detector names in `Detector.SEARCH`, and keeps the study.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import Timeout

from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.fingerprint import fingerprint
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.tuning.journal import open_journal, repair, study_path
from oodbench.benchmark.tuning.objective import Judge, JudgementError, Settings, judging
from oodbench.datasets.base import Dataset
from oodbench.detectors.base import Detector, FitDivergedError

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

AT_RANDOM = 5
"""Candidates that are tried before any is proposed by what was found, or given up."""
CLASSES_BEFORE_PRUNING = 2


@dataclass(frozen=True)
class Candidate:
    """A setting that was tried.

    Attributes
    ----------
    number : int
        From 0, in the order of trying; the first to be judged are the defaults.
    settings : mapping
        Hyperparameters by name.
    auroc : float or None
        Mean over the classes; None where it was given up.
    verdict : str
        In words: the AUROC, or why it was given up.
    """

    number: int
    settings: Settings
    auroc: float | None
    verdict: str

    def __str__(self) -> str:
        """AUROC or verdict, and the setting."""
        return f"{self.verdict}  {', '.join(f'{name} {value}' for name, value in self.settings.items())}"


def tune(
    detector: str,
    dataset: str,
    plugins: Plugins,
    store: Store,
    *,
    trials: int,
    data: Path,
    classes: Sequence[int] = (),
    fixed: Settings | None = None,
    jobs: int | None = None,
    device: str = "auto",
    listener: Callable[[Candidate], None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
) -> list[Candidate]:
    """Try settings of a detector on a dataset until a number of them has been tried; go on where a study stands.

    Parameters
    ----------
    detector, dataset : str
        Registered names.
    plugins : Plugins
        Where they are found.
    store : Store
        In whose leaderboard folder the study is kept.
    trials : int
        How many settings, those of earlier calls included.
    data : Path
        Where datasets lie.
    classes : sequence of int
        The classes that settings are judged by; by default all that can be the normal one.
    fixed : mapping, optional
        Hyperparameters that are not chosen and differ from the defaults, such as fewer epochs.
    jobs : int, optional
        Worker processes; by default one a core.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    listener : callable, optional
        Hears of each candidate that has been tried.
    warn : callable, optional
        Hears what users should know about the study, in a sentence.

    Returns
    -------
    list of Candidate
        All of the study, best first.

    Raises
    ------
    UsageError
        The detector has nothing to choose, every setting was given up, the study is damaged, or optuna is not
        installed.
    DatasetError
        The dataset cannot be had.
    """
    cls, of_dataset = plugins.detectors[detector], plugins.datasets[dataset]
    if not cls.SEARCH:
        raise UsageError(f"{cls.name} names no hyperparameters to choose: give its class a SEARCH.")
    _optuna()
    path = study_path(store, of_dataset, cls)
    store.prepare()
    try:  # what another call is trying would be taken for interrupted
        alone = store.lock(f"studies/{path.parent.name}/{path.name}").acquire(timeout=0)
    except Timeout as error:
        raise UsageError(f"{cls.name} is being tuned on {of_dataset.name} already: wait until it is done.") from error
    fixed = fixed or {}
    opened = judging(cls, of_dataset, plugins, store, data=data, classes=classes, jobs=jobs, device=device)
    with alone, opened as judge:
        torn = repair(path)
        if torn:
            warn(torn)
        study = _study(cls, of_dataset, path, _name(cls, of_dataset, classes, fixed))
        choices = {name: values for name, values in cls.SEARCH.items() if name not in fixed}
        _search(study, choices, trials, lambda settings: judge({**fixed, **settings}), listener)
    candidates = _ranked(study)
    if candidates[0].auroc is None:
        raise UsageError(f"None of {len(candidates)} settings could be judged. The first: {candidates[0].verdict}")
    return candidates


def stored_candidates(path: Path) -> list[Candidate]:
    """Read the latest study in a journal.

    Parameters
    ----------
    path : Path
        See `study_path`.

    Returns
    -------
    list of Candidate
        Best first.

    Raises
    ------
    UsageError
        There is none, it is damaged, or optuna is not installed.
    """
    if not path.is_file():
        raise UsageError(f"There is no study {path}: run `bench tune` first.")
    optuna, storage = _optuna(), open_journal(path)
    (*_, latest) = optuna.get_all_study_names(storage)
    return _ranked(optuna.load_study(study_name=latest, storage=storage))


# ---------------------------------------------------------------------- the study


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise UsageError('Tuning needs optuna: pip install "oodbench[tune]".') from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _name(detector: type[Detector], dataset: type[Dataset], classes: Sequence[int], fixed: Settings) -> str:
    """Return the name of the study of today's code and data; settings of other images are no settings of these."""
    data = f", data {dataset.version}" if dataset.version else ""
    labels = f", classes {' '.join(map(str, classes))}" if classes else ""
    return f"{detector.name} on {dataset.name}, code {fingerprint(detector)}{data}{labels}" + "".join(
        f", {key}={json.dumps(value)}" for key, value in sorted(fixed.items())
    )


def _study(detector: type[Detector], dataset: type[Dataset], path: Path, name: str) -> Study:
    """Open the study of a name, or begin it with the defaults."""
    optuna = _optuna()
    path.parent.mkdir(parents=True, exist_ok=True)
    study: Study = optuna.create_study(
        storage=open_journal(path),
        study_name=name,
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(AT_RANDOM, CLASSES_BEFORE_PRUNING),
    )
    if not (_finished(study) or study.get_trials(states=[optuna.trial.TrialState.WAITING])):
        defaults = detector().hyperparameters(dataset.shape)
        study.enqueue_trial({name: defaults[name] for name in detector.SEARCH})
    return study


def _search(
    study: Study,
    choices: Mapping[str, Sequence[Any]],
    trials: int,
    judge: Judge,
    listener: Callable[[Candidate], None],
) -> None:
    """Try candidates until there are enough; the same ones, whether or not something interrupts in between."""
    import optuna
    from optuna.trial import TrialState

    for interrupted in study.get_trials(states=[TrialState.RUNNING]):
        study.tell(interrupted.number, state=TrialState.FAIL)
    known = {_key(trial.params): trial for trial in _finished(study)}
    while (done := len(_finished(study))) < trials:
        study.sampler = optuna.samplers.TPESampler(seed=done, n_startup_trials=AT_RANDOM)
        trial = study.ask()
        settings = {name: trial.suggest_categorical(name, values) for name, values in choices.items()}
        earlier = known.get(_key(settings))
        finished = _try(study, trial, settings, judge) if earlier is None else _tell_again(study, trial, earlier)
        known.setdefault(_key(settings), finished)
        listener(_candidate(finished))


def _try(study: Study, trial: Any, settings: Settings, judge: Judge) -> FrozenTrial:
    """Judge a candidate class by class.

    It is given up where its classes so far are below the median of others', and where a model is unhealthy: such a
    model may tell images apart all the same, and would have nothing to sample. So it is where it cannot be judged.
    """
    from optuna.trial import TrialState

    found: list[float] = []
    try:
        for judgement in judge(settings):
            if judgement.unhealthy:
                trial.set_user_attr("cause", f"unhealthy: {'; '.join(judgement.unhealthy)}")
                return study.tell(trial, state=TrialState.PRUNED)
            found.append(judgement.auroc)
            trial.report(float(np.mean(found)), step=len(found))
            if trial.should_prune():
                trial.set_user_attr("cause", f"{np.mean(found):.4f} after {len(found)} classes")
                return study.tell(trial, state=TrialState.PRUNED)
    except (FitDivergedError, JudgementError) as error:
        trial.set_user_attr("cause", str(error))
        return study.tell(trial, state=TrialState.PRUNED)
    trial.set_user_attr("by_class", found)
    return study.tell(trial, float(np.mean(found)))


def _tell_again(study: Study, trial: Any, earlier: FrozenTrial) -> FrozenTrial:
    """Judge a candidate as the same one was judged before."""
    for key, value in earlier.user_attrs.items():
        trial.set_user_attr(key, value)
    return study.tell(trial, earlier.value, state=earlier.state)


def _ranked(study: Study) -> list[Candidate]:
    """Best first, and those that were given up last."""
    return sorted(map(_candidate, _finished(study)), key=lambda candidate: -(candidate.auroc or 0.0))


def _finished(study: Study) -> list[FrozenTrial]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=[TrialState.COMPLETE, TrialState.PRUNED])


def _candidate(trial: FrozenTrial) -> Candidate:
    if "by_class" in trial.user_attrs:
        return Candidate(trial.number, trial.params, trial.value, f"AUROC {trial.value:.4f}")
    return Candidate(trial.number, trial.params, None, f"given up: {trial.user_attrs['cause']}")


def _key(settings: Settings) -> str:
    return json.dumps(settings, sort_keys=True)
