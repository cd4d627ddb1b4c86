from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_info
from torch import Tensor

from oodbench.benchmark.evaluation import evaluate as module
from oodbench.benchmark.evaluation.evaluate import Evaluation, evaluate
from oodbench.benchmark.evaluation.generation import generation_metrics
from oodbench.benchmark.evaluation.measures import GENERATION, Measures
from oodbench.benchmark.evaluation.reference import reference_of
from oodbench.datasets.components.split import Split, as_float, one_vs_rest
from oodbench.datasets.digits import Digits
from oodbench.detectors.ae import AE
from oodbench.detectors.base import Detector, Monitor
from oodbench.detectors.gmm import GMM
from oodbench.detectors.mean import Mean

MEASURED_ANEW = ("fit_seconds", "score_images_per_second", "peak_memory_mb")


@pytest.fixture(scope="module")
def digits() -> Split:
    dataset = Digits(Path())
    return one_vs_rest(dataset.load("train"), dataset.load("test"), 3)


def figures(measures: Measures) -> dict[str, Any]:
    """All that was measured, but for times and memory."""
    chosen = json.loads(measures.model_dump_json(include=set(Measures.model_fields)))
    return {name: value for name, value in chosen.items() if name not in MEASURED_ANEW}


def test_the_figures_are_those_of_scores_samples_and_images(digits: Split) -> None:
    detector = GMM()
    evaluation = evaluate(detector, digits, seed=4)
    expected = detector.score(as_float(digits.test)).numpy()
    assert evaluation.detector is detector
    assert np.array_equal(evaluation.scores, expected)
    assert evaluation.scores.dtype == np.float32
    assert evaluation.auroc == roc_auc_score(digits.is_ood, expected)
    assert np.array_equal(evaluation.is_ood, digits.is_ood)
    assert np.array_equal(evaluation.labels, digits.test_labels)
    assert evaluation.threshold is not None
    assert evaluation.threshold.images == len(digits.validation)
    assert evaluation.normal_kept == np.mean(expected[~digits.is_ood] <= evaluation.threshold.value)
    assert evaluation.ood_caught == np.mean(expected[digits.is_ood] > evaluation.threshold.value)
    assert (evaluation.train_images, evaluation.test_images) == (len(digits.train), len(digits.test))
    drawn = detector.sample(64, generator=torch.Generator().manual_seed(4))
    assert evaluation.samples is not None
    assert np.array_equal(evaluation.samples, drawn)
    assert np.isnan(evaluation.frechet)  # there is nothing to compare samples with


def test_samples_are_measured_against_reference_features(digits: Split) -> None:
    evaluation = evaluate(GMM(), digits, reference=lambda: reference_of(Digits, 3, lambda: digits))
    reference = reference_of(Digits, 3, lambda: digits)
    assert reference is not None
    assert evaluation.samples is not None
    measured = torch.from_numpy(evaluation.samples[: (~digits.is_ood).sum()])  # as many as normal test images: 55
    expected = generation_metrics(*reference.classifier.classify(measured), reference.real)
    found = figures(evaluation)
    assert {name: found[name] for name in GENERATION} == pytest.approx(expected, rel=1e-4)
    assert found["controls"] == reference.controls


def test_only_figures_are_serialised(digits: Split) -> None:
    evaluation = evaluate(GMM(), digits, gallery=True)
    alone = evaluation.measures()
    assert type(alone) is Measures
    assert alone.model_dump() == evaluation.model_dump()
    assert Measures.model_validate_json(evaluation.model_dump_json()).auroc == evaluation.auroc
    assert "scores" not in repr(evaluation)


def test_a_split_may_be_of_numpy_arrays(digits: Split) -> None:
    arrays = Split(**{field.name: getattr(digits, field.name).numpy() for field in fields(Split)})
    arrays.train.flags.writeable = False  # type: ignore[attr-defined]
    assert figures(evaluate(GMM(), arrays)) == figures(evaluate(GMM(), digits))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": torch.rand(5, 1, 8, 8)}, r"train images are float32 \(5, 1, 8, 8\): they must be uint8"),
        ({"test": np.zeros((540, 8, 8), np.uint8)}, r"test images are uint8 \(540, 8, 8\): they must be uint8 \(N, C"),
        ({"train": torch.zeros(0, 1, 8, 8, dtype=torch.uint8)}, "train has no images"),
        ({"train": torch.zeros(5, 3, 8, 8, dtype=torch.uint8)}, r"\(1, 8, 8\), but those of train have \(3, 8, 8\)"),
        ({"test_labels": torch.zeros(3)}, r"test_labels has shape \(3,\): it must be \(540,\)"),
        ({"is_ood": torch.zeros(540, dtype=torch.long)}, "is_ood has dtype int64: it must be bool"),
        ({"train": np.array([[["a"]]])}, "train is a numpy.ndarray that makes no tensor"),
        ({"is_ood": torch.ones(540, dtype=torch.bool)}, "both normal and out-of-distribution"),
    ],
)
def test_a_malformed_split_is_refused(digits: Split, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(Mean(), replace(digits, **change))


def test_without_held_out_images_there_is_no_threshold(digits: Split) -> None:
    evaluation = evaluate(Mean(), replace(digits, validation=digits.validation[:0]))
    assert evaluation.threshold is None
    assert np.isnan(evaluation.normal_kept)
    assert evaluation.auroc == evaluate(Mean(), digits).auroc


class Careless(Mean):
    """Returns what it is told to."""

    def __init__(self, found: Any = None, diagnosed: Any = None) -> None:
        self.found = found
        self.diagnosed = diagnosed

    def score(self, images: Tensor) -> Tensor:
        scores: Tensor = super().score(images) if self.found is None else self.found(super().score(images))
        return scores

    def diagnostics(self, images: Tensor) -> dict[str, float]:
        found: dict[str, float] = {} if self.diagnosed is None else self.diagnosed
        return found

    @classmethod
    def unhealthy(cls, diagnostics: Mapping[str, float]) -> list[str]:
        return ["nothing is learnt"] if diagnostics.get("learnt") == 0 else []


class CarelessSampler(Careless):
    """Also samples and reconstructs."""

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        samples: Tensor = self.found(self.mean_.expand(n, -1, -1, -1))
        return samples

    def reconstruct(self, images: Tensor) -> Tensor:
        reconstructions: Tensor = self.found(images)
        return reconstructions

    def score(self, images: Tensor) -> Tensor:
        return Mean.score(self, images)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (lambda scores: scores.unsqueeze(1), r"score gave shape \(540, 1\) for 540 images; it must be \(540,\)\."),
        (lambda scores: scores.mean(), r"score gave shape \(\) for 540 images"),
        (lambda scores: scores * torch.nan, "score gave NaN or infinity for 540 of 540 images"),
        (lambda scores: scores.numpy(), r"score gave a numpy.ndarray; .* torch.from_numpy makes one of it\."),
        (lambda scores: scores.tolist(), r"score gave a list; it must be a torch.Tensor, float32 \(540,\)\."),
    ],
)
def test_scores_that_are_none(digits: Split, found: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(Careless(found), digits)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (lambda images: images.flatten(1), r"sample gave shape \(64, 64\) where \(64, 1, 8, 8\) was asked for"),
        (lambda images: images * 255, r"sample gave values that are NaN or outside \[0, 1\]"),
        (lambda images: images.numpy(), "sample gave a numpy.ndarray"),
    ],
)
def test_samples_that_are_none(digits: Split, found: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(CarelessSampler(found), digits)


def test_reconstructions_that_are_none(digits: Split) -> None:
    with pytest.raises(ValueError, match=r"reconstruct gave shape \(32, 1, 7, 8\) for images \(32, 1, 8, 8\)"):
        evaluate(
            CarelessSampler(lambda images: images[:, :, 1:] if len(images) == 32 else images), digits, gallery=True
        )


def test_scores_of_another_type_are_taken_as_float32(digits: Split) -> None:
    double = evaluate(Careless(lambda scores: scores.double().requires_grad_()), digits)
    assert double.scores.dtype == np.float32
    assert figures(double) == figures(evaluate(Careless(), digits))


def test_diagnostics_are_plain_numbers_and_judged_by_the_detector(digits: Split) -> None:
    found = {"learnt": torch.zeros(()), "epochs": np.int64(3), "share": np.float32(0.5)}
    evaluation = evaluate(Careless(diagnosed=found), digits)
    assert evaluation.diagnostics == {"learnt": 0.0, "epochs": 3.0, "share": 0.5}
    assert all(type(value) is float for value in evaluation.diagnostics.values())
    assert evaluation.unhealthy == ("nothing is learnt",)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"slots": "many"}, "diagnostics gave 'slots' as a str; it must be a number"),
        ({"slots": torch.ones(3)}, "diagnostics gave 'slots' as a torch.Tensor"),
        ({"slots": float("nan")}, "diagnostics gave 'slots' as nan; it must be a finite number"),
        ([1.0], "diagnostics gave a list; it must be a dict"),
    ],
)
def test_diagnostics_that_are_none(digits: Split, found: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(Careless(diagnosed=found), digits)


class Counts(Mean):
    """Notes how many threads it was given."""

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        self.threads = {torch.get_num_threads(), *(pool["num_threads"] for pool in threadpool_info())}
        return super().fit(images, monitor=monitor)


@pytest.mark.parametrize("fails", [False, True])
def test_it_computes_in_one_thread_and_leaves_threads_as_they_were(digits: Split, fails: bool) -> None:
    torch.set_num_threads(2)
    try:
        before = [pool["num_threads"] for pool in threadpool_info()]
        detector = Counts()
        if fails:
            digits = replace(digits, is_ood=torch.ones_like(digits.is_ood))
            with pytest.raises(ValueError, match="both normal"):
                evaluate(detector, digits)
        else:
            evaluate(detector, digits)
        assert detector.threads == {1}
        assert torch.get_num_threads() == 2
        assert [pool["num_threads"] for pool in threadpool_info()] == before
    finally:
        torch.set_num_threads(1)


class Hears(Monitor):
    """Remembers the steps."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int]] = []

    def report(self, step: int, steps: int, measures: Mapping[str, float]) -> None:
        self.steps.append((step, steps))


def test_a_trace_changes_nothing_else(digits: Split) -> None:
    monitor = Hears()
    traced = evaluate(AE(epochs=3), digits, trace=True, monitor=monitor)
    plain = evaluate(AE(epochs=3), digits)
    assert monitor.steps == [(1, 3), (2, 3), (3, 3)]
    assert [row["step"] for row in traced.history] == [1, 2, 3]
    assert {"loss", "validation_loss"} <= set(traced.history[0])
    assert np.array_equal(traced.scores, plain.scores)
    assert traced.trace is not None
    assert traced.oracle is not None
    aurocs = [row["auroc"] for row in traced.trace]
    assert traced.oracle.auroc == max(aurocs)
    assert traced.oracle.epoch == 1 + aurocs.index(max(aurocs))
    assert traced.oracle.last == aurocs[-1] == pytest.approx(traced.auroc)
    assert (plain.trace, plain.oracle) == (None, None)


def test_what_has_no_epochs_has_no_oracle_epoch(digits: Split) -> None:
    evaluation = evaluate(Mean(), digits, trace=True)
    assert (evaluation.trace, evaluation.oracle) == ([], None)


def test_scores_do_not_depend_on_how_many_images_are_scored_at_once(
    digits: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    """540 test images: a worker has memory for a part of a large dataset's."""
    given: list[int] = []

    class Notes(GMM):
        def score(self, images: Tensor) -> Tensor:
            given.append(len(images))
            return super().score(images)

    found: dict[int, Evaluation] = {}
    for at_once in (540, 100):
        monkeypatch.setattr(module, "SCORED_AT_ONCE", at_once)
        found[at_once] = evaluate(Notes(), digits)
    held_out = len(digits.validation)
    assert given == [540, held_out, *[100] * 5, 40, held_out]
    assert found[100].auroc == pytest.approx(found[540].auroc, abs=1e-3)
    assert found[100].fpr95 == pytest.approx(found[540].fpr95, abs=1e-3)
    assert found[100].scores == pytest.approx(found[540].scores, rel=1e-4)


def test_a_gallery_shows_what_was_measured(digits: Split) -> None:
    evaluation = evaluate(
        GMM(), digits, reference=lambda: reference_of(Digits, 3, lambda: digits), gallery=True, trace=True
    )
    gallery = evaluation.gallery
    assert gallery is not None
    images, is_ood = gallery.most_ood
    highest = np.argsort(evaluation.scores, kind="stable")[::-1][:32]
    assert np.array_equal(images, digits.test.numpy()[highest])
    assert np.array_equal(is_ood, evaluation.is_ood[highest])
    assert gallery.normal is not None
    shown, reconstructed = gallery.normal
    assert np.array_equal(shown, digits.test[~digits.is_ood][:32])
    assert evaluation.detector.reconstruct(as_float(torch.from_numpy(shown))) == pytest.approx(
        reconstructed / 255, abs=0.5 / 255 + 1e-6
    )
    assert evaluation.samples is not None
    assert gallery.samples == pytest.approx(evaluation.samples[:64] * 255, abs=0.5)
    assert gallery.nearest is not None
    assert gallery.doubtful is not None
    assert len(gallery.nearest) == len(gallery.doubtful) == 64
    assert evaluate(Mean(), digits).gallery is None


def test_a_detector_is_fitted_anew(digits: Split) -> None:
    """Whatever it was fitted on before."""
    detector: Detector = Mean().fit(torch.zeros(2, 3, 5, 5))
    assert figures(evaluate(detector, digits)) == figures(evaluate(Mean(), digits))
