"""What a worker does with a job: run its trial, unless another run has just done so, and store the result."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import cast

import torch
from filelock import FileLock
from torch import Tensor

from oodbench.benchmark.errors import check_room
from oodbench.benchmark.evaluation import reference
from oodbench.benchmark.evaluation.evaluate import Evaluation, evaluate
from oodbench.benchmark.files import new_folder, remove, replacing
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.reporting.run_folder import fill
from oodbench.benchmark.results.result import TrialResult
from oodbench.benchmark.results.store import write_card
from oodbench.benchmark.running.arrays import shared_part
from oodbench.benchmark.running.device import choose_device
from oodbench.benchmark.running.job import Job, stored_digest
from oodbench.benchmark.running.memory import return_freed_memory
from oodbench.benchmark.running.state import reset_state
from oodbench.benchmark.running.taken_over import take_over
from oodbench.benchmark.trials import Trial, make_detector
from oodbench.datasets.base import DatasetError, Part
from oodbench.datasets.components.protocols import PROTOCOLS
from oodbench.datasets.components.split import Split, as_float
from oodbench.detectors.base import Detector, DetectorError, Monitor, can_sample
from oodbench.detectors.components.autoencoder import Autoencoder
from oodbench.detectors.components.batched import Trained, adopt, train_together

Report = Callable[[int, int, int], None]
"""Takes a job's number, how many steps it has made, and of how many."""
LOADED_AGAIN = 16
"""Test images that a stored model must score like the one that was stored."""


def run_job(job: Job, report: Report) -> TrialResult:
    """Run a trial in this process, unless another run on the same folders has just done it, and store its result.

    Parameters
    ----------
    job : Job
        The trial and its settings.
    report : callable
        Hears of the progress.

    Returns
    -------
    TrialResult
        A failed one for whatever the detector raises, SystemExit and KeyboardInterrupt among it.

    Raises
    ------
    OSError
        The disk is full, or the result cannot be written.
    """
    report(job.number, 0, 1)
    with job.store.lock(str(job.trial.path)):
        result = _done_meanwhile(job)
        if result is None:
            result = _result(job, report)
            job.store.write(result)
    return_freed_memory()  # the next trial may need little, and the other processes much
    return result


@lru_cache(maxsize=1)
def plugins_of(files: tuple[Path, ...], classes: bytes = b"") -> Plugins:
    """Load the plugins once a process: local files, and classes as `Job.plugin_classes` holds them."""
    return Plugins.load(files, pickle.loads(classes)) if classes else Plugins.load(files)


def failure(job: Job, error: BaseException) -> TrialResult:
    """Return the result of a trial that an error ended."""
    return job.failure(f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error)))


def _done_meanwhile(job: Job) -> TrialResult | None:
    """Return the result that another run on the same folders has stored since this run began, if there is one."""
    if stored_digest(job.store, job.trial) == job.before:
        return None
    result = job.store.read(job.trial)
    if result is None or not job.is_done_by(result):
        return None
    return result if not job.options.keep or job.store.run_folder(job.trial).exists() else None


def _result(job: Job, report: Report) -> TrialResult:
    try:
        reset_state(job.trial.seed)
        return _run(job, report)
    except BaseException as error:  # SystemExit, too; Ctrl-C does not reach a worker
        if isinstance(error, Exception):
            check_room(job.store.runs, error)
        return failure(job, error)


def _run(job: Job, report: Report) -> TrialResult:
    """Evaluate the trial's detector, and leave a run folder."""
    trial, plugins = job.trial, plugins_of(job.plugin_files, job.plugin_classes)
    dataset, device = plugins.datasets[trial.dataset], choose_device(job.options.device)
    assert job.arrays is not None
    split = _split(job.arrays, trial)
    of_split = (dataset, trial.normal_class, lambda: split)
    detector = make_detector(plugins, trial, device)
    if job.identity.data_version and dataset.version != job.identity.data_version:
        raise DatasetError(f"The images of {trial.dataset} have changed since the run began: run it again.")
    if can_sample(type(detector)):
        # now, for another process may be at it, and done when this one needs it
        reference.prepare(*of_split, protocol=trial.protocol)
    trained = _trained(job, plugins, device, report)
    if trained is not None:
        adopt(cast(Autoencoder, detector), trained)
    seconds = take_over(job, detector, plugins, device) if trained is None else trained.seconds
    evaluation = evaluate(
        detector,
        split,
        seed=trial.seed,
        monitor=_Reporter(job.number, report),
        reference=lambda: reference.reference_of(*of_split, protocol=trial.protocol),
        trace=job.options.trace,
        gallery=job.options.keep,
    )
    result = job.result(device, status="done", **evaluation.measures().model_dump())
    result = result.model_copy(update={"fit_seconds": round(result.fit_seconds + seconds, 3)})
    if trained is not None:
        environment = {**result.environment, "trained_together": trained.count}
        result = result.model_copy(update={"environment": environment})
    _keep(job, detector, split, evaluation, device)
    return result


def _keep(job: Job, detector: Detector, split: Split, evaluation: Evaluation, device: str) -> None:
    """Leave a run folder, or none."""
    trial, path = job.trial, job.store.run_folder(job.trial)
    if not job.options.keep:
        remove(path)  # it is of an earlier result
        return
    threshold = evaluation.threshold
    with new_folder(path) as folder:
        detector.save(folder)
        check_stored(detector, folder, as_float(split.test[:LOADED_AGAIN]), device)
        card = {
            **plugins_of(job.plugin_files, job.plugin_classes).datasets[trial.dataset].card(),
            "dataset": trial.dataset,
            "class_name": job.class_name,
            "shape": list(split.train.shape[1:]),
            "detector": trial.detector,
            "threshold": None if threshold is None else threshold.model_dump(),
            **({} if threshold is None else {key: getattr(evaluation, key) for key in ("normal_kept", "ood_caught")}),
        }
        write_card(folder, card)
        fill(folder, evaluation, str(trial))


def check_stored(detector: Detector, folder: Path, images: Tensor, device: str) -> None:
    """Make sure that a stored model can be loaded and scores as the one that was stored.

    Parameters
    ----------
    detector : Detector
        The fitted detector.
    folder : Path
        Where it was saved.
    images : Tensor
        A few images, float32 (n, C, H, W) in [0, 1].
    device : str
        ``cpu`` or ``cuda``.

    Raises
    ------
    DetectorError
        It cannot be loaded, or scores differently; the message says what to do.
    """
    try:
        loaded = type(detector).load(folder, device=device)
        scores = _scores(loaded, images)
    except BaseException as error:
        raise DetectorError(
            f"The stored model cannot be loaded again ({type(error).__name__}: {error}): only tensors in attributes "
            "that end in _ are saved by themselves; give everything else through state, and take it back in restore."
        ) from error
    expected = _scores(detector, images)
    tolerance = 1e-4 * float(expected.abs().max())
    if not torch.allclose(scores, expected, rtol=1e-4, atol=tolerance, equal_nan=True):
        raise DetectorError(
            "The stored model, loaded again, gives other scores: only tensors in attributes that end in _ are saved by "
            "themselves; give everything else that score uses through state, and take it back in restore."
        )


def _scores(detector: Detector, images: Tensor) -> Tensor:
    torch.manual_seed(0)  # a score that draws noise is no fault of what was saved
    return detector.score(images.clone())


def _parts(arrays: Path, dataset: str) -> tuple[Part, Part]:
    return shared_part(arrays, dataset, "train"), shared_part(arrays, dataset, "test")


def _split(arrays: Path, trial: Trial) -> Split:
    return PROTOCOLS[trial.protocol].split(*_parts(arrays, trial.dataset), trial.normal_class, trial.seed)


class _Reporter(Monitor):
    """Passes the progress of a fit on."""

    def __init__(self, number: int, report: Report, validation: Tensor | None = None) -> None:
        self.number = number
        self.send = report
        self.validation = validation if validation is not None and len(validation) else None

    def report(self, step: int, steps: int, measures: Mapping[str, float]) -> None:
        del measures
        self.send(self.number, step, steps)


def _trained(job: Job, plugins: Plugins, device: str, report: Report) -> Trained | None:
    """Return the trial's weights, if it is trained with others; the first process to need theirs trains them all."""
    if not job.together:
        return None
    assert job.arrays is not None
    paths = [job.arrays / "trained" / trial.path.with_suffix(".safetensors") for _, trial in job.together]
    own = paths[[number for number, _ in job.together].index(job.number)]
    own.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(own.with_name(f"seed-{job.trial.seed}.lock")):
        if not own.is_file():
            try:
                together = _train(job, plugins, device, report)
            except DetectorError:  # the network cannot be one of many, or the images are bad: alone, that is said
                return None
            for path, trained in zip(paths, together, strict=True):
                with replacing(path, durable=False) as temporary:
                    trained.save(temporary)
    return Trained.load(own)


def _train(job: Job, plugins: Plugins, device: str, report: Report) -> list[Trained]:
    """Train the networks of all trials of `job.together` as one batched model."""
    assert job.arrays is not None
    splits = [_split(job.arrays, trial) for _, trial in job.together]
    detectors = [make_detector(plugins, trial, device) for _, trial in job.together]
    return train_together(
        cast(list[Autoencoder], detectors),  # as the engine has asked `can_train_together`
        [as_float(split.train) for split in splits],
        monitors=[
            _Reporter(number, report, as_float(split.validation))
            for (number, _), split in zip(job.together, splits, strict=True)
        ],
    )
