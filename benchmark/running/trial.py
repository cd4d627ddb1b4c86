"""One trial: fit, score, sample, measure, and keep what came of it."""

from __future__ import annotations

import platform
import resource
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from oodbench.benchmark.errors import check_room
from oodbench.benchmark.evaluation.classifier import digest_of
from oodbench.benchmark.evaluation.generation import Yardstick
from oodbench.benchmark.evaluation.metrics import detection_metrics
from oodbench.benchmark.evaluation.samples import Samples
from oodbench.benchmark.evaluation.threshold import conformal_threshold
from oodbench.benchmark.evaluation.trace import Trace
from oodbench.benchmark.evaluation.yardsticks import can_measure
from oodbench.benchmark.files import new_folder, remove
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.reporting import pictures
from oodbench.benchmark.results.fingerprint import fingerprint
from oodbench.benchmark.results.store import SCHEMA, Result, Store, write_card
from oodbench.benchmark.running.device import choose_device
from oodbench.benchmark.trials import Trial, make_detector
from oodbench.datasets.base import Part
from oodbench.datasets.components.protocols import PROTOCOLS
from oodbench.datasets.components.split import Split, as_float
from oodbench.detectors.base import Detector, Monitor, can_reconstruct, can_sample
from oodbench.detectors.components.batched import Trained, adopt

SCORED_AT_ONCE = 2000
"""Test images given to a detector at a time; the 10,000 of CIFAR-10 as floats, and what comes of them, take 500 MB."""


class Recorder(Monitor):
    """Keeps the history of a fit, and passes it on to a listener and to a trace."""

    def __init__(self, validation: Tensor, listener: Monitor, trace: Trace | None) -> None:
        self.validation = validation if len(validation) else None
        self.listener = listener
        self.trace = trace
        self.history: list[dict[str, float]] = []
        self.seconds_watching = 0.0

    def report(self, step: int, steps: int, measures: Mapping[str, float]) -> None:
        """Take note of a finished step."""
        self.history.append({"step": step, **measures})
        self.listener.report(step, steps, measures)
        if self.trace is not None:
            start = time.perf_counter()
            self.trace.record(step)
            self.seconds_watching += time.perf_counter() - start


@dataclass(frozen=True)
class Options:
    """How trials are run, which is no part of what they are.

    Attributes
    ----------
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    trace : bool
        Whether to watch the test images after every epoch.
    keep : bool
        Whether to leave run folders.
    """

    device: str = "auto"
    trace: bool = False
    keep: bool = True


def identity(plugins: Plugins, trial: Trial) -> Result:
    """Give what a result must have in common with today's code to be of it, apart from the trial itself."""
    detector, dataset = make_detector(plugins, trial), plugins.datasets[trial.dataset]
    return {
        "schema": SCHEMA,
        "dataset": trial.dataset,
        "label": trial.label,
        "protocol": trial.protocol,
        "fingerprint": _fingerprint(type(detector)),
        "data_version": dataset.version,
        "classifier": digest_of(trial.dataset) if can_sample(type(detector)) and can_measure(trial) else None,
        "hyperparameters": detector.hyperparameters(dataset.shape),
    }


_fingerprint = cache(fingerprint)
"""A process runs many trials of one code."""


def describe(trial: Trial, plugins: Plugins, device: str) -> Result:
    """Give what a result says of its trial before anything is measured."""
    dataset = plugins.datasets[trial.dataset]
    detector = plugins.detectors[trial.detector]
    return {
        "schema": SCHEMA,
        "dataset": trial.dataset,
        "detector": trial.detector,
        "label": trial.label,
        "normal_class": trial.normal_class,
        "class_name": dataset.class_names[trial.normal_class],
        "classes": len(dataset.normal_classes()),
        "seed": trial.seed,
        "protocol": trial.protocol,
        "changes": dict(trial.changes),
        "can_sample": can_sample(detector),
        "command": trial.command(dataset.class_names[trial.normal_class]),
        "environment": environment(device),
    }


def finish(trial: Trial, store: Store, result: Result) -> Result:
    """Date a result, unless it was dated where it was made, and store it."""
    result = {**result, "finished": result.get("finished", datetime.now(UTC).isoformat(timespec="seconds"))}
    store.write(trial, result)
    return result


def failed(about: Result, error: Exception) -> Result:
    """Give the result of a trial that an error ended, from what `describe` said of it."""
    cause = f"{type(error).__name__}: {error}"
    return {**about, "status": "failed", "error": cause, "traceback": "".join(traceback.format_exception(error))}


def is_stale(stored: Result, today: Result) -> bool:
    """Whether a stored result is of other code, other hyperparameters or another protocol than today's."""
    return any(stored.get(key) != value for key, value in today.items())


def was_traced(result: Result | None, store: Store, trial: Trial) -> bool:
    """Whether a trial was watched; its pictures may be elsewhere, as in a clone, which has the results alone."""
    return "oracle" in (result or {}) or (store.run_folder(trial) / "trace").exists()


def run_trial(
    trial: Trial,
    plugins: Plugins,
    parts: tuple[Part, Part],
    store: Store,
    *,
    options: Options = Options(),
    yardstick: Callable[[], Yardstick | None] = lambda: None,
    trained: Callable[[], Trained | None] = lambda: None,
    listener: Monitor | None = None,
) -> Result:
    """Run a trial and store what it gives: a result, and, unless it fails, a run folder.

    Parameters
    ----------
    trial : Trial
        What to run.
    plugins : Plugins
        Where its detector and dataset are found.
    parts : tuple of Part
        The dataset's training and test part.
    store : Store
        Where to.
    options : Options
        How.
    yardstick : callable, optional
        Gives what its samples are measured with.
    trained : callable, optional
        Gives its network's weights, if they were trained together with others'.
    listener : Monitor, optional
        Hears of the fit's progress.

    Returns
    -------
    dict
        The result as stored; with ``status`` "failed" and an ``error`` if anything raised.

    Raises
    ------
    OSError
        The disk is full, or the result cannot be written.
    """
    device = choose_device(options.device)
    about = describe(trial, plugins, device)
    try:
        about |= identity(plugins, trial)
        split = PROTOCOLS[trial.protocol].split(*parts, trial.normal_class, trial.seed)
        detector = make_detector(plugins, trial, device)
        together = trained()
        if together is not None:
            adopt(detector, together)
            about["environment"]["trained_together"] = together.count
        watch = Trace(detector, split) if options.trace else None
        recorder = Recorder(as_float(split.validation), listener or Monitor(), watch)
        measured, scores = _measure(detector, split, recorder)
        if together is not None:
            measured["fit_seconds"] = round(measured["fit_seconds"] + together.seconds, 3)
        if watch is not None and watch.rows:
            measured["oracle"] = watch.oracle()
        samples = Samples.draw(detector, split, trial.seed, yardstick) if can_sample(type(detector)) else None
        if samples is not None:
            measured |= samples.measures()
        if options.keep:
            with new_folder(store.run_folder(trial)) as folder:
                _fill(folder, detector, split, scores, recorder, trial)
                if samples is not None:
                    samples.show(folder, split)
                card = {
                    "dataset": trial.dataset,
                    "class_name": about["class_name"],
                    "shape": list(split.train.shape[1:]),
                    "detector": trial.detector,
                    "threshold": measured["threshold"],
                }
                write_card(folder, card)
        else:
            remove(store.run_folder(trial))  # it is of an earlier result
        result = {**about, "status": "done", **measured}
    except Exception as error:  # whatever a detector raises is this trial's failure, not the run's
        check_room(store.runs, error)
        result = failed(about, error)
    return finish(trial, store, result)


def _measure(detector: Detector, split: Split, recorder: Recorder) -> tuple[Result, Tensor]:
    _reset_peak_memory()
    train = as_float(split.train)
    start = time.perf_counter()
    detector.fit(train, monitor=recorder)
    fit_seconds = time.perf_counter() - start - recorder.seconds_watching
    health = detector.diagnostics(recorder.validation if recorder.validation is not None else train)
    del train  # images as floats take up much of a worker's memory
    scores, score_seconds = _score(detector, split.test)
    measured: Result = {
        **detection_metrics(scores.numpy(), split.is_ood.numpy()),
        **_at_threshold(detector, recorder.validation, scores, split.is_ood),
        "fit_seconds": round(fit_seconds, 3),
        "score_images_per_second": round(len(split.test) / score_seconds, 1),
        "parameters": detector.parameter_count(),
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "train_images": len(split.train),
        "test_images": len(split.test),
        "health": health,
    }
    return measured, scores


def _score(detector: Detector, images: Tensor) -> tuple[Tensor, float]:
    """Give the scores of uint8 images, and the seconds that a detector takes for them."""
    scores, seconds = [], 0.0
    for given in map(as_float, images.split(SCORED_AT_ONCE)):
        start = time.perf_counter()
        scores.append(detector.score(given))
        seconds += time.perf_counter() - start
        if scores[-1].shape != (len(given),):
            raise ValueError(
                f"score gave shape {tuple(scores[-1].shape)} for {len(given)} images; it must be ({len(given)},)."
            )
    return torch.cat(scores), seconds


def _at_threshold(detector: Detector, validation: Tensor | None, scores: Tensor, is_ood: Tensor) -> Result:
    """Say what a threshold achieves that is set with held-out normal images alone."""
    if validation is None:
        return {"threshold": None, "normal_kept": None, "ood_caught": None}
    threshold = conformal_threshold(detector.score(validation))
    out = scores > threshold.value
    return {
        "threshold": asdict(threshold),
        "normal_kept": 1 - float(out[~is_ood].double().mean()),
        "ood_caught": float(out[is_ood].double().mean()),
    }


def _fill(folder: Path, detector: Detector, split: Split, scores: Tensor, recorder: Recorder, trial: Trial) -> None:
    """Write weights, scores, history, samples and pictures into a run folder."""
    detector.save(folder)
    is_ood = split.is_ood.numpy()
    np.savez_compressed(folder / "scores.npz", score=scores, is_ood=is_ood, label=split.test_labels)
    title = str(trial)
    pictures.draw_roc(folder / "roc.png", scores.numpy(), is_ood, title)
    pictures.draw_histogram(folder / "scores.png", scores.numpy(), is_ood, title)
    pictures.draw_extremes(folder / "extremes.png", split, scores)
    if recorder.history:
        _write_csv(folder / "history.csv", recorder.history)
        pictures.draw_history(folder / "history.png", recorder.history, title)
    if can_reconstruct(type(detector)):
        pictures.draw_reconstructions(folder / "reconstructions.png", detector, split)
    if recorder.trace is not None:
        recorder.trace.save(folder / "trace", title)
        _write_csv(folder / "trace" / "trace.csv", recorder.trace.rows)


def _write_csv(path: Path, rows: list[dict[str, float]]) -> None:
    pd.DataFrame(rows).to_csv(path, index=False)


def environment(device: str) -> dict[str, Any]:
    """Give what a result was computed with: versions, processor, threads."""
    processor = torch.cuda.get_device_name() if device.startswith("cuda") else _processor()
    return {
        "oodbench": version("oodbench"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.system(),
        "device": device,
        "processor": processor,
        "threads": torch.get_num_threads(),
    }


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _reset_peak_memory() -> None:
    """Let Linux forget the peak of earlier trials in this process; elsewhere the peak is the process's."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory_mb() -> float:
    """Largest resident memory of this process in MB (10⁶ bytes), on Linux since the trial began."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="ignore").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
