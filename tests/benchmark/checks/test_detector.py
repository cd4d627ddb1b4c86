"""Every check can fail, and a whole detector passes them all; so do the built-in ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

import pytest
import torch
from sklearn.base import clone
from torch import Tensor

from oodbench.benchmark.checks import CheckFailed, check_detector, detector_outcomes, parametrize_with_checks, totals
from oodbench.benchmark.checks.detector import CHECKS, Specimen
from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.plugins import Plugins
from oodbench.detectors import Detector
from oodbench.detectors.components.neural import Neural
from oodbench.detectors.memvae import MemVAE
from tests.benchmark.broken_detectors import BROKEN, Whole

BY_NAME = {check.name: check for check in CHECKS}
BUILT_IN = [
    plugin.cls(min_steps=60) if issubclass(plugin.cls, Neural) else plugin.cls  # fast enough for a test
    for plugin in Plugins.load().detectors.plugins.values()
    if plugin.source == "built in"
]


LONG = ("deepsvdd", "rotnet")
"""Take seconds to train at the shapes of MNIST and CIFAR-10."""


@parametrize_with_checks([detector for detector in BUILT_IN if detector.name not in LONG])
def test_built_in(check: object) -> None:
    check()  # type: ignore[operator]


@pytest.mark.slow
@parametrize_with_checks([detector for detector in BUILT_IN if detector.name in LONG])
def test_built_in_that_takes_long(check: object) -> None:
    check()  # type: ignore[operator]


def test_a_whole_detector_passes_everything() -> None:
    found = list(detector_outcomes(Whole))
    assert [outcome for outcome in found if outcome.status != "passed"] == []
    assert len(found) == len(BY_NAME) >= 50
    check_detector(Whole(epochs=10))


def test_there_is_a_broken_detector_for_each_check() -> None:
    assert set(BROKEN) == set(BY_NAME)


@pytest.mark.parametrize(
    ("check", "cls"),
    [pytest.param(check, cls, id=f"{check}-{cls.__name__}") for check, classes in BROKEN.items() for cls in classes],
)
def test_each_check_can_fail(check: str, cls: type[Detector]) -> None:
    outcome = BY_NAME[check].outcome(Specimen(cls))
    assert outcome.status == "failed", outcome.message
    assert len(outcome.message) > 20


def broken(name: str) -> type[Detector]:
    return next(cls for classes in BROKEN.values() for cls in classes if cls.__name__ == name)


@pytest.mark.parametrize(
    ("cls", "check", "sentence"),
    [
        ("Plain", "is_a_detector", "Plain is not a detector: let it derive from oodbench.detectors.Detector"),
        ("Scoreless", "is_a_detector", r"Scoreless has no method score: write `def score\(self, images\)`"),
        ("Stars", "parameters_have_defaults", r"takes \*args, which hides the hyperparameters: name each"),
        ("Keywords", "parameters_have_defaults", r"takes \*\*kwargs, which hides the hyperparameters: name each"),
        ("NeedsArgument", "parameters_have_defaults", "'size' has no default, and a benchmark runs defaults: give it"),
        ("Computes", "constructor_only_keeps_parameters", "changes 'size', from 3 to 6: write self.size = size, and"),
        ("Prepares", "constructor_only_keeps_parameters", "sets network_ besides its parameters: do that in fit"),
        ("Drops", "constructor_only_keeps_parameters", "does not keep 'size': write self.size = size"),
        (
            "Labelled",
            "methods_take_what_they_are_given",
            "fit needs labels besides images: write .*; detectors see no lab",
        ),
        ("Unwatched", "methods_take_what_they_are_given", r"fit does not take monitor: write `def fit\(self, images"),
        ("Nothing", "fit_returns_itself", r"fit raised RuntimeError: no fit today \(broken_detectors.py, line \d+\)"),
        ("ReturnsNone", "fit_returns_itself", "fit does not return the detector: end it with `return self`"),
        ("Arrays", "scores_are_one_number_an_image", r"a NumPy array: return a torch.Tensor, for example torch.as_"),
        ("Column", "scores_are_one_number_an_image", r"\(40, 1\) for 40 images: return \(40,\), .* by .squeeze\(1\)"),
        ("Doubles", "scores_are_one_number_an_image", r"returns torch.float64: return float32, by .float\(\)"),
    ],
)
def test_a_fatal_fault_is_reported_alone(cls: str, check: str, sentence: str) -> None:
    found = list(detector_outcomes(broken(cls)))
    (fault,) = (outcome for outcome in found if outcome.status == "failed")
    assert fault.name == check
    assert re.search(sentence, fault.message), fault.message
    after = found[found.index(fault) + 1 :]
    assert {outcome.status for outcome in after} == {"not run"}
    assert {outcome.message for outcome in after} == {f"{check} failed: fix that first"}
    assert len(found) == len(CHECKS)
    passed = found.index(fault)
    passes = f"{passed} check passed" if passed == 1 else f"{passed} checks passed"
    assert totals(found) == f"{passes}, 1 failed, {len(after)} further checks were not run."


def test_an_object_that_computes_in_its_constructor() -> None:
    """Scikit-learn's clone, which would say so in its own words, is not called before."""
    with pytest.raises(
        CheckFailed, match=r"^constructor_only_keeps_parameters: the constructor changes 'size', from 6"
    ):
        check_detector(broken("Computes")())


def test_all_faults_are_raised_together() -> None:
    with pytest.raises(CheckFailed) as raised:
        check_detector(broken("Upside"))
    names = [line.partition(":")[0] for line in str(raised.value).splitlines()]
    assert names == [
        "noise_scores_higher",
        "constant_images_score_higher",
        "noise_scores_higher_1x28x28",
        "noise_scores_higher_3x32x32",
    ]
    with pytest.raises(CheckFailed, match=r"^scores_are_one_number_an_image: .*\n52 further checks were not run\.$"):
        check_detector(broken("Column"))


def test_the_parameters_of_an_object_are_used() -> None:
    given = MemVAE(memory_size=7)
    made = Specimen(given).new()
    assert made.get_params() == clone(given).get_params()
    assert made.get_params()["memory_size"] == 7


class Repeating(Whole):
    """Draws one image again and again, and says so."""

    EXPECTED_FAILURES: ClassVar[Mapping[str, str]] = {"samples_differ": "it has only one idea"}

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        return super().sample(1, generator=generator).repeat(n, 1, 1, 1)


def test_a_class_declares_its_expected_failures() -> None:
    check_detector(Repeating)
    found = {outcome.name: outcome for outcome in detector_outcomes(Repeating)}
    assert found["samples_differ"].status == "expected"
    assert found["samples_differ"].message.startswith("it has only one idea (samples are all alike: draw a new latent")
    assert totals(found.values()) == f"{len(CHECKS) - 1} checks passed, 0 failed, 1 failed as expected."


def test_expected_failures_can_be_given() -> None:
    check_detector(broken("Repeats"), expected_failures={"samples_differ": "it has only one idea"})


def test_an_expected_failure_that_passes_is_reported() -> None:
    with pytest.raises(
        CheckFailed, match=r"^samples_differ: it passes, although its failure is expected \(so I thought"
    ):
        check_detector(Whole, expected_failures={"samples_differ": "so I thought"})


def test_an_expected_failure_of_the_contract_stops_nothing() -> None:
    found = {
        outcome.name: outcome.status
        for outcome in detector_outcomes(
            broken("Prepares"), expected_failures={"constructor_only_keeps_parameters": ""}
        )
    }
    assert found["constructor_only_keeps_parameters"] == "expected"
    assert "not run" not in found.values()


def test_unknown_expected_failures_are_refused() -> None:
    sentence = "Unknown check among the expected failures 'sample_differ': did you mean samples_differ"
    with pytest.raises(UsageError, match=sentence):
        check_detector(Whole, expected_failures={"sample_differ": "a typo"})
    with pytest.raises(UsageError, match=sentence):
        parametrize_with_checks([Whole], expected_failures={"sample_differ": "a typo"})


def test_expected_failures_are_marked() -> None:
    mark = parametrize_with_checks([Repeating], expected_failures={"score_refuses_nan": "never seen"})
    cases = {case.id.partition("-")[2]: case for case in mark.args[1]}
    assert len(cases) == len(CHECKS)
    marked = {name: case.marks for name, case in cases.items() if case.marks}
    assert {name: mark.kwargs for name, (mark,) in marked.items()} == {
        "samples_differ": {"reason": "it has only one idea", "strict": True},
        "score_refuses_nan": {"reason": "never seen", "strict": True},
    }
    with pytest.raises(CheckFailed, match="samples are all alike"):
        cases["samples_differ"].values[0]()
    cases["samples_are_images"].values[0]()


def test_pytest_skips_what_comes_after_a_fatal_fault() -> None:
    cases = {case.id: case.values[0] for case in parametrize_with_checks([broken("Column")]).args[1]}
    with pytest.raises(CheckFailed, match=r"score returns shape \(40, 1\)"):
        cases["broken-scores_are_one_number_an_image"]()
    with pytest.raises(pytest.skip.Exception, match="scores_are_one_number_an_image failed: fix that first"):
        cases["broken-noise_scores_higher"]()
    cases["broken-is_a_detector"]()


def test_a_class_that_is_not_registered() -> None:
    """As in a notebook: nothing is wrong with it, but `bench` does not find it."""
    nameless = type("Nameless", (Whole,), {"__doc__": "Has no name.", "name": ""})
    outcome = BY_NAME["has_a_proper_name"].outcome(Specimen(nameless))
    assert (outcome.status, "@register" in outcome.message) == ("skipped", True)
