"""Conformance checks of detectors and datasets, each with a sentence that says how to fix what fails.

They serve the command (``bench check``, ``bench check-dataset``), scripts (`check_detector`, `check_dataset`) and
pytest (`parametrize_with_checks`), in the manner of scikit-learn's ``check_estimator``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from oodbench.benchmark.checks.check import (
    Check,
    CheckFailed,
    CheckSkipped,
    Examination,
    Outcome,
    not_run,
    outcomes,
    totals,
)
from oodbench.benchmark.checks.dataset import CHECKS as DATASET_CHECKS
from oodbench.benchmark.checks.detector import CHECKS as DETECTOR_CHECKS
from oodbench.benchmark.checks.detector import Specimen
from oodbench.datasets.base import Dataset
from oodbench.detectors.base import Detector

if TYPE_CHECKING:
    import pytest

__all__ = [
    "Check",
    "CheckFailed",
    "CheckSkipped",
    "Examination",
    "Outcome",
    "check_dataset",
    "check_detector",
    "dataset_outcomes",
    "detector_outcomes",
    "parametrize_with_checks",
    "totals",
]


def check_detector(detector: Detector | type[Detector], *, expected_failures: Mapping[str, str] | None = None) -> None:
    """Check that a detector does what the benchmark asks of it.

    Parameters
    ----------
    detector : Detector or type
        A class, or an object with the hyperparameters to check it with.
    expected_failures : mapping of str to str, optional
        Names of checks that are known to fail, with the reason; besides those that the class declares as
        ``EXPECTED_FAILURES``.

    Raises
    ------
    CheckFailed
        An AssertionError with a line for each check that failed: what is wrong, and how to fix it.
    UsageError
        There is no check of a name among the expected failures.

    Examples
    --------
    >>> import oodbench as ob
    >>> from oodbench.detectors import Mean
    >>> ob.check_detector(Mean())
    """
    _raise_all(detector_outcomes(detector, expected_failures=expected_failures))


def check_dataset(dataset: Dataset) -> None:
    """Check that a dataset does what the benchmark asks of it.

    Parameters
    ----------
    dataset : Dataset
        Constructed with the folder that holds its files.

    Raises
    ------
    CheckFailed
        An AssertionError with a line for each check that failed: what is wrong, and how to fix it.
    """
    _raise_all(dataset_outcomes(dataset))


def detector_outcomes(
    detector: Detector | type[Detector], *, expected_failures: Mapping[str, str] | None = None
) -> Iterator[Outcome]:
    """Run the checks of a detector; yield each outcome as soon as it is known. See `check_detector`."""
    return iter(_examination(detector, expected_failures))


def dataset_outcomes(dataset: Dataset) -> Iterator[Outcome]:
    """Run the checks of a dataset; yield each outcome as soon as it is known. See `check_dataset`."""
    return outcomes(dataset, DATASET_CHECKS)


def parametrize_with_checks(
    detectors: Sequence[Detector | type[Detector]], *, expected_failures: Mapping[str, str] | None = None
) -> pytest.MarkDecorator:
    """Make a pytest test of each check of each detector.

    ::

        @parametrize_with_checks([MyDetector()])
        def test_my_detector(check):
            check()

    Parameters
    ----------
    detectors : sequence of Detector or type
        Classes, or objects with the hyperparameters to check them with.
    expected_failures : mapping of str to str, optional
        Names of checks that are known to fail, with the reason; besides those that a class declares as
        ``EXPECTED_FAILURES``. Their tests are marked as ``xfail``, strictly.

    Returns
    -------
    MarkDecorator
        Of a test with one argument, ``check``.

    Raises
    ------
    UsageError
        There is no check of a name among the expected failures.
    """
    import pytest

    cases = []
    for detector in detectors:
        examination = _examination(detector, expected_failures)
        for check in examination.checks:
            reason = examination.expected_failures.get(check.name)
            marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason is not None else []
            case = f"{examination.subject.name}-{check.name}"
            cases.append(pytest.param(partial(_test, check, examination), id=case, marks=marks))
    return pytest.mark.parametrize("check", cases)


def _examination(
    detector: Detector | type[Detector], expected_failures: Mapping[str, str] | None
) -> Examination[Specimen]:
    specimen = Specimen(detector)
    declared = getattr(specimen.cls, "EXPECTED_FAILURES", {})
    return Examination(specimen, DETECTOR_CHECKS, {**declared, **(expected_failures or {})})


def _test(check: Check[Specimen], examination: Examination[Specimen]) -> None:
    import pytest

    outcome = examination.outcome(check)
    if outcome.status in ("skipped", "not run"):
        pytest.skip(outcome.message)
    if outcome.status == "failed":
        raise CheckFailed(outcome.message)


def _raise_all(found: Iterable[Outcome]) -> None:
    every = list(found)
    lines = [f"{outcome.name}: {outcome.message}" for outcome in every if outcome.status == "failed"]
    left = sum(outcome.status == "not run" for outcome in every)
    if lines and left:
        lines.append(f"{not_run(left)}.")
    if lines:
        raise CheckFailed("\n".join(lines))
