"""What a check is, and how the checks of one subject are run."""

from __future__ import annotations

import inspect
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, Literal, TypeVar

from oodbench.benchmark.errors import unknown

Subject = TypeVar("Subject")
Status = Literal["passed", "failed", "expected", "skipped", "not run"]


class CheckFailed(AssertionError):  # noqa: N818
    """What is checked does not hold; the message says what is wrong and how to fix it."""


class CheckSkipped(Exception):  # noqa: N818
    """There is nothing to check; the message says why."""


@dataclass(frozen=True)
class Outcome:
    """The result of one check.

    Attributes
    ----------
    name : str
        The check's name.
    status : str
        "passed"; "failed"; "expected" for a failure that its author declared; "skipped" where there is nothing to
        check; "not run" after a fatal failure.
    message : str
        What is wrong and how to fix it, why it was skipped or not run, or what holds.
    """

    name: str
    status: Status
    message: str


@dataclass(frozen=True)
class Check(Generic[Subject]):
    """One thing that has to hold.

    Attributes
    ----------
    name : str
        Lower-case letters, digits and underscores.
    run : callable
        Takes the subject; raises CheckFailed or CheckSkipped.
    fatal : bool
        Whether a failure makes the checks after it meaningless: they would only repeat it.
    """

    name: str
    run: Callable[[Subject], None]
    fatal: bool = False

    @property
    def summary(self) -> str:
        """What has to hold, in one line."""
        function = self.run.func if isinstance(self.run, partial) else self.run
        return (inspect.getdoc(function) or "").partition("\n")[0].replace("``", "")

    def outcome(self, subject: Subject) -> Outcome:
        """Run the check; whatever it raises becomes an outcome."""
        try:
            self.run(subject)
        except CheckSkipped as reason:
            return Outcome(self.name, "skipped", str(reason))
        except CheckFailed as fault:
            return Outcome(self.name, "failed", str(fault))
        except Exception as error:  # whatever a plugin raises
            return Outcome(self.name, "failed", f"it raised {cause(error)}")
        return Outcome(self.name, "passed", self.summary)


class Examination(Generic[Subject]):
    """The checks of one subject, each run at most once, and none after a fatal failure.

    Parameters
    ----------
    subject : object
        What the checks take.
    checks : sequence of Check
        In the order in which they run.
    expected_failures : mapping of str to str, optional
        Names of checks that are known to fail, with the reason. A fatal check among them stops nothing.

    Raises
    ------
    UsageError
        There is no check of a name among the expected failures.
    """

    def __init__(
        self, subject: Subject, checks: Sequence[Check[Subject]], expected_failures: Mapping[str, str] | None = None
    ) -> None:
        self.subject = subject
        self.checks = checks
        self.expected_failures = dict(expected_failures or {})
        self._outcomes: dict[str, Outcome] = {}
        known = {check.name for check in checks}
        for name in self.expected_failures:
            if name not in known:
                raise unknown("check among the expected failures", name, known)

    def outcome(self, check: Check[Subject]) -> Outcome:
        """Run one check, and the fatal ones before it; an expected failure is a failure here."""
        fault = self._fatal_fault_before(check)
        if fault is not None:
            return Outcome(check.name, "not run", f"{fault} failed: fix that first")
        if check.name not in self._outcomes:
            self._outcomes[check.name] = check.outcome(self.subject)
        return self._outcomes[check.name]

    def __iter__(self) -> Iterator[Outcome]:
        """Run all checks; yield each outcome as soon as it is known, measured against the expected failures."""
        for check in self.checks:
            outcome = self.outcome(check)
            reason = self.expected_failures.get(check.name)
            yield outcome if reason is None else _measured(outcome, reason)

    def _fatal_fault_before(self, check: Check[Subject]) -> str | None:
        for earlier in self.checks[: self.checks.index(check)]:
            if earlier.fatal and earlier.name not in self.expected_failures:
                outcome = self.outcome(earlier)
                if outcome.status == "failed":
                    return earlier.name
        return None


def outcomes(
    subject: Subject, checks: Sequence[Check[Subject]], expected_failures: Mapping[str, str] | None = None
) -> Iterator[Outcome]:
    """Run checks one after the other; see `Examination`."""
    return iter(Examination(subject, checks, expected_failures))


def totals(found: Iterable[Outcome]) -> str:
    """Return how many checks passed and failed, as one sentence: ``50 checks passed, 0 failed (6 do not apply).``."""
    count = Counter(outcome.status for outcome in found)
    parts = [f"{_checks(count['passed'])} passed", f"{count['failed']} failed"]
    parts += [f"{count['expected']} failed as expected"] * bool(count["expected"])
    parts += [not_run(count["not run"])] * bool(count["not run"])
    return ", ".join(parts) + f" ({count['skipped']} do not apply)" * bool(count["skipped"]) + "."


def not_run(count: int) -> str:
    """Return that so many checks were not run, after a fatal failure."""
    return f"{_checks(count, 'further ')} {'was' if count == 1 else 'were'} not run"


def _checks(count: int, further: str = "") -> str:
    return f"{count} {further}check{'s' * (count != 1)}"


def demand(holds: object, sentence: str) -> None:
    """Raise CheckFailed with the sentence unless something holds."""
    if not holds:
        raise CheckFailed(sentence)


def adds_to(
    checks: list[Check[Subject]], *, fatal: bool = False
) -> Callable[[Callable[[Subject], None]], Callable[[Subject], None]]:
    """Return a decorator that adds a function to a list of checks under the function's name."""

    def add(function: Callable[[Subject], None]) -> Callable[[Subject], None]:
        checks.append(Check(function.__name__, function, fatal))
        return function

    return add


def cause(error: Exception) -> str:
    """Return an error's type and message, with the line of the plugin that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = Path(__file__).parent
    others = [frame for frame in frames if ours not in Path(frame.filename).parents] or list(frames)
    theirs = [frame for frame in others if "site-packages" not in frame.filename] or others
    where = f" ({Path(theirs[-1].filename).name}, line {theirs[-1].lineno})" if theirs else ""
    return f"{type(error).__name__}: {error}{where}"


def _measured(outcome: Outcome, reason: str) -> Outcome:
    if outcome.status == "failed":
        return Outcome(outcome.name, "expected", f"{reason} ({outcome.message})")
    if outcome.status == "passed":
        sentence = f"it passes, although its failure is expected ({reason}): remove it from the expected failures."
        return Outcome(outcome.name, "failed", sentence)
    return outcome
