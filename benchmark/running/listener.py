"""What hears of a run's progress: the terminal's displays, or nothing."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from oodbench.benchmark.results.result import TrialResult
from oodbench.benchmark.trials import Trial


class Display:
    """Shows nothing; the base of those that do."""

    def begin(self, total: int, todo: int, stale: int, jobs: int) -> None:
        """Take note of the plan.

        Parameters
        ----------
        total, todo, stale : int
            How many trials there are; how many of them are to be run; how many of those have a stale result.
        jobs : int
            How many run at a time; 0 if none is to be run.
        """

    def warn(self, text: str) -> None:
        """Take note of what users should know about the data or the workers, in a sentence."""

    def progress(self, trial: Trial, step: int, steps: int) -> None:
        """Take note that a running trial has made `step` of `steps` steps; step 0 is its beginning."""

    def finished(self, trial: Trial, result: TrialResult) -> None:
        """Take note of a trial's result, which is stored."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop showing."""
