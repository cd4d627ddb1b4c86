"""Every check can fail, and a whole detector passes them all; so do the built-in ones."""

from __future__ import annotations

import pytest
from sklearn.base import clone

from oodbench.benchmark.checks.check import CheckFailed, check_detector, outcomes, parametrize_with_checks
from oodbench.benchmark.checks.detector import CHECKS, Specimen
from oodbench.benchmark.plugins import Plugins
from oodbench.detectors import Detector
from oodbench.detectors.components.neural import Neural
from oodbench.detectors.memvae import MemVAE
from tests.benchmark.broken_detectors import BROKEN, Nothing, Whole

BY_NAME = {check.name: check for check in CHECKS}
BUILT_IN = [
    plugin.cls(min_steps=60) if issubclass(plugin.cls, Neural) else plugin.cls  # fast enough for a test
    for plugin in Plugins.load().detectors.plugins.values()
    if plugin.source == "built in"
]


@parametrize_with_checks(BUILT_IN)
def test_built_in(check: object) -> None:
    check()  # type: ignore[operator]


def test_a_whole_detector_passes_everything() -> None:
    found = list(outcomes(Specimen(Whole), CHECKS))
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


def test_one_fault_is_reported_with_its_mending() -> None:
    (scores,) = (cls for cls in BROKEN["scores_are_one_number_an_image"] if cls.__name__ == "Column")
    with pytest.raises(CheckFailed, match=r"score gives shape \(40, 1\) for 40 images: give \(40,\), for example by"):
        check_detector(scores)


def test_what_cannot_be_fitted_is_said_once() -> None:
    found = {outcome.name: outcome for outcome in outcomes(Specimen(Nothing), CHECKS)}
    failed = [outcome.name for outcome in found.values() if outcome.status == "failed"]
    assert "RuntimeError: no fit today (broken_detectors.py, line " in found["fit_returns_itself"].message
    assert set(failed) <= {"fit_returns_itself", "scoring_before_fitting_is_refused", "fit_refuses_nan"}
    assert "see fit_returns_itself" in found["noise_scores_higher"].message


def test_the_parameters_of_an_object_are_used() -> None:
    given = MemVAE(memory_size=7)
    made = Specimen(given).new()
    assert made.get_params() == clone(given).get_params()
    assert made.get_params()["memory_size"] == 7


def test_expected_failures_are_marked() -> None:
    mark = parametrize_with_checks([Whole], expected_failures={"samples_differ": "it has only one idea"})
    cases = {case.id: case for case in mark.args[1]}
    assert len(cases) == len(CHECKS)
    (xfail,) = cases["whole-samples_differ"].marks
    assert xfail.kwargs == {"reason": "it has only one idea", "strict": True}
