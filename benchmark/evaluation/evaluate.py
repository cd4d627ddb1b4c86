"""Evaluate a detector on a split: fit it, score and sample with it, and measure what comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, SkipValidation
from torch import Tensor

from oodbench.benchmark.evaluation.gallery import Gallery
from oodbench.benchmark.evaluation.measures import Measures
from oodbench.benchmark.evaluation.memory import peak_memory_mb, reset_peak_memory
from oodbench.benchmark.evaluation.metrics import detection_metrics
from oodbench.benchmark.evaluation.outputs import checked_split, diagnostics_of, scores_of
from oodbench.benchmark.evaluation.probes import probe
from oodbench.benchmark.evaluation.reference import ReferenceFeatures
from oodbench.benchmark.evaluation.samples import Samples
from oodbench.benchmark.evaluation.threads import one_thread
from oodbench.benchmark.evaluation.threshold import conformal_threshold
from oodbench.benchmark.evaluation.ties import lost_to_ties
from oodbench.benchmark.evaluation.trace import Trace
from oodbench.datasets.components.split import Split, as_float
from oodbench.detectors.base import Detector, Monitor, can_sample

SCORED_AT_ONCE = 2000
"""Test images given to a detector at a time; the 10,000 of CIFAR-10 as floats, and what comes of them, take 500 MB."""

History = list[dict[str, float]]


class Evaluation(Measures):
    """What was measured of a detector on a split, and what it was measured on: the trained detector, scores, samples.

    The figures are those of `Measures`; what follows is not part of a stored result.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    detector: SkipValidation[Detector] = Field(exclude=True, repr=False, description="The trained detector.")
    scores: SkipValidation[NDArray[np.float32]] = Field(
        exclude=True, repr=False, description="float32 (T,): scores of the test images; higher is more OOD."
    )
    is_ood: SkipValidation[NDArray[np.bool_]] = Field(
        exclude=True, repr=False, description="bool (T,): whether a test image is out of distribution."
    )
    labels: SkipValidation[NDArray[np.int64]] = Field(
        exclude=True, repr=False, description="int64 (T,): classes of the test images."
    )
    history: SkipValidation[History] = Field(
        exclude=True, repr=False, description="What the fit reported of each step, an epoch mostly."
    )
    samples: SkipValidation[NDArray[np.float32]] | None = Field(
        None,
        exclude=True,
        repr=False,
        description="float32 (n, C, H, W) in [0, 1]; None if the detector cannot sample.",
    )
    trace: SkipValidation[History] | None = Field(
        None, exclude=True, repr=False, description="`Trace.rows`; None where the fit was not traced."
    )
    gallery: SkipValidation[Gallery] | None = Field(
        None, exclude=True, repr=False, description="Images for pictures, where they were asked for."
    )

    def measures(self) -> Measures:
        """Return the figures alone."""
        return Measures.model_validate(self.model_dump())


class _Recorder(Monitor):
    """Keeps the history of a fit, and passes it on to a listener and to a trace."""

    def __init__(self, validation: Tensor, listener: Monitor | None, trace: Trace | None) -> None:
        self.validation = validation if len(validation) else None
        self.listener = listener
        self.trace = trace
        self.history: History = []
        self.seconds_watching = 0.0

    def report(self, step: int, steps: int, measures: Mapping[str, float]) -> None:
        # plain numbers, whatever NumPy's or torch's they were
        self.history.append({"step": int(step), **{name: float(value) for name, value in measures.items()}})
        if self.listener is not None:
            self.listener.report(step, steps, measures)
        if self.trace is not None:
            start = time.perf_counter()
            self.trace.record(step)
            self.seconds_watching += time.perf_counter() - start


def evaluate(
    detector: Detector,
    split: Split,
    *,
    seed: int = 0,
    monitor: Monitor | None = None,
    reference: Callable[[], ReferenceFeatures | None] | None = None,
    others: Callable[[], Mapping[str, Tensor]] | None = None,
    trace: bool = False,
    gallery: bool = False,
) -> Evaluation:
    """Train a detector on a split and measure it, in this process and in one thread.

    Nothing is read or written. The same detector, split and seed give the same figures wherever they are computed.

    Parameters
    ----------
    detector : Detector
        A detector; it is fitted, whether or not it was before.
    split : Split
        Training, held-out and test images, as tensors or NumPy arrays.
    seed : int
        Seeds the generator that samples are drawn with. The detector's own seed is its own parameter.
    monitor : Monitor, optional
        Hears of the fit's progress.
    reference : callable, optional
        Returns what samples are compared with (see `oodbench.benchmark.evaluation.reference.reference_of`), or None;
        it is called after the detector has sampled. Without it samples are drawn and not measured.
    others : callable, optional
        Returns images of other datasets to probe with (see `oodbench.benchmark.evaluation.other_datasets`); it is
        called last.
    trace : bool
        Whether to score and reconstruct test images after every epoch. It changes no other figure.
    gallery : bool
        Whether to collect the images that the pictures of a run folder show.

    Returns
    -------
    Evaluation
        The figures, with the trained detector, its scores and samples.

    Raises
    ------
    ValueError
        The split is malformed, or a method of the detector returned what it must not: no tensor, a wrong shape, NaN;
        or the detector failed on a probe, which is an ordinary image.
    """
    split = checked_split(split)
    with one_thread():
        watch = Trace(detector, split) if trace else None
        recorder = _Recorder(as_float(split.validation), monitor, watch)
        figures, scores = _measure(detector, split, recorder)
        if watch is not None:
            figures["oracle"] = watch.oracle()
        samples = Samples.draw(detector, split, seed, reference) if can_sample(type(detector)) else None
        if samples is not None:
            figures |= samples.measures()
        shown = Gallery.collect(detector, split, scores, samples, watch) if gallery else None
        normal = ~split.is_ood
        # last, so that no other figure can depend on it
        figures["probes"] = probe(detector, split.test[normal], scores[normal], others() if others else None)
        return Evaluation(
            **figures,
            detector=detector,
            scores=scores.numpy(),
            is_ood=split.is_ood.numpy(),
            labels=split.test_labels.numpy(),
            history=recorder.history,
            samples=None if samples is None else samples.images.numpy(),
            trace=None if watch is None else watch.rows,
            gallery=shown,
        )


def _measure(detector: Detector, split: Split, recorder: _Recorder) -> tuple[dict[str, Any], Tensor]:
    """Fit, diagnose and score; return the figures and the scores of the test images."""
    reset_peak_memory()
    train = as_float(split.train)
    start = time.perf_counter()
    detector.fit(train, monitor=recorder)
    fit_seconds = time.perf_counter() - start - recorder.seconds_watching
    diagnostics = diagnostics_of(detector, recorder.validation if recorder.validation is not None else train)
    del train  # images as floats take up much of a worker's memory
    scores, score_seconds = _score(detector, split.test)
    ties = lost_to_ties(scores.numpy(), split.test.numpy())
    figures = {
        **detection_metrics(scores.numpy(), split.is_ood.numpy()),
        **_at_threshold(detector, recorder.validation, scores, split.is_ood),
        "fit_seconds": round(fit_seconds, 3),
        "score_images_per_second": round(len(split.test) / score_seconds, 1),
        "parameters": detector.parameter_count(),
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "train_images": len(split.train),
        "test_images": len(split.test),
        "diagnostics": diagnostics,
        "unhealthy": (*type(detector).unhealthy(diagnostics), *([ties] if ties else [])),
    }
    return figures, scores


def _score(detector: Detector, images: Tensor) -> tuple[Tensor, float]:
    """Return the scores of uint8 images, and the seconds that the detector took for them."""
    scores, seconds = [], 0.0
    for batch in map(as_float, images.split(SCORED_AT_ONCE)):
        start = time.perf_counter()
        scores.append(scores_of(detector, batch))
        seconds += time.perf_counter() - start
    return torch.cat(scores), seconds


def _at_threshold(detector: Detector, validation: Tensor | None, scores: Tensor, is_ood: Tensor) -> dict[str, Any]:
    """Return what a threshold achieves that is set with held-out normal images alone."""
    if validation is None:
        return {}
    threshold = conformal_threshold(scores_of(detector, validation))
    out = scores > threshold.value
    return {
        "threshold": threshold,
        "normal_kept": 1 - float(out[~is_ood].double().mean()),
        "ood_caught": float(out[is_ood].double().mean()),
    }
