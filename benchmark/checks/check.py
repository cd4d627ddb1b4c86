"""Conformance checks: named, each with a sentence that says what is wrong and how to mend it.

They serve the command (``bench check``, ``bench check-dataset``), scripts (`check_detector`, `check_dataset`) and
pytest (`parametrize_with_checks`), in the manner of scikit-learn's ``check_estimator``.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from oodbench.benchmark.plugins import first_line
from oodbench.detectors.base import Detector

if TYPE_CHECKING:
    import pytest

Subject = TypeVar("Subject")


class CheckFailed(AssertionError):  # noqa: N818
    """What is checked does not hold; the message says what is wrong and how to mend it."""


class CheckSkipped(Exception):  # noqa: N818
    """There is nothing to check; the message says why."""


@dataclass(frozen=True)
class Check(Generic[Subject]):
    """One thing that has to hold.

    Attributes
    ----------
    name : str
        Short, of lower-case letters, digits and underscores.
    run : callable
        Takes the subject; raises CheckFailed or CheckSkipped.
    """

    name: str
    run: Callable[[Subject], None]

    @property
    def summary(self) -> str:
        """What has to hold, in one line."""
        function = self.run.func if isinstance(self.run, partial) else self.run
        return first_line(function)

    def outcome(self, subject: Subject) -> Outcome:
        """Run it; whatever is raised becomes an outcome."""
        try:
            self.run(subject)
        except CheckSkipped as reason:
            return Outcome(self.name, "skipped", str(reason))
        except CheckFailed as fault:
            return Outcome(self.name, "failed", str(fault))
        except Exception as error:  # whatever a plugin raises
            return Outcome(self.name, "failed", f"it raised {_cause(error)}")
        return Outcome(self.name, "passed", self.summary)


@dataclass(frozen=True)
class Outcome:
    """What came of a check; `message` says what is wrong, why it was skipped, or what holds."""

    name: str
    status: Literal["passed", "failed", "skipped"]
    message: str


def outcomes(subject: Subject, checks: Sequence[Check[Subject]]) -> Iterator[Outcome]:
    """Run checks one after the other.

    Parameters
    ----------
    subject : object
        What they take.
    checks : sequence of Check
        Which.

    Yields
    ------
    Outcome
        As soon as it is known.
    """
    for check in checks:
        yield check.outcome(subject)


def check_detector(detector: Detector | type[Detector]) -> None:
    """Check a detector: raise AssertionError with everything that is wrong with it.

    Parameters
    ----------
    detector : Detector or type
        A class, or an object with the hyperparameters to check it with.

    Raises
    ------
    AssertionError
        A line for each check that failed.
    """
    from oodbench.benchmark.checks.detector import CHECKS, Specimen

    _raise_all(outcomes(Specimen(detector), CHECKS))


def check_dataset(dataset: Any) -> None:
    """Check a dataset: raise AssertionError with everything that is wrong with it.

    Parameters
    ----------
    dataset : Dataset
        Made with the folder where its files lie.

    Raises
    ------
    AssertionError
        A line for each check that failed.
    """
    from oodbench.benchmark.checks.dataset import CHECKS

    _raise_all(outcomes(dataset, CHECKS))


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
        For checks by name the reason why they are known to fail.

    Returns
    -------
    MarkDecorator
        Of a test with one argument, ``check``.
    """
    import pytest

    from oodbench.benchmark.checks.detector import CHECKS, Specimen

    cases = []
    for detector in detectors:
        specimen = Specimen(detector)
        for check in CHECKS:
            reason = (expected_failures or {}).get(check.name)
            marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
            cases.append(pytest.param(partial(_test, check, specimen), id=f"{specimen.name}-{check.name}", marks=marks))
    return pytest.mark.parametrize("check", cases)


def _test(check: Check[Subject], subject: Subject) -> None:
    import pytest

    outcome = check.outcome(subject)
    if outcome.status == "skipped":
        pytest.skip(outcome.message)
    if outcome.status == "failed":
        raise CheckFailed(outcome.message)


def _raise_all(found: Iterator[Outcome]) -> None:
    failed = [f"{outcome.name}: {outcome.message}" for outcome in found if outcome.status == "failed"]
    if failed:
        raise CheckFailed("\n".join(failed))


def _cause(error: Exception) -> str:
    """Give an error with the line of the plugin that it comes from, or else the last line."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "oodbench/benchmark/" not in Path(frame.filename).as_posix()] or list(frames)
    theirs = [frame for frame in own if "site-packages" not in frame.filename] or own
    where = f" ({Path(theirs[-1].filename).name}, line {theirs[-1].lineno})" if theirs else ""
    return f"{type(error).__name__}: {error}{where}"
