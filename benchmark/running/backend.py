"""What the engine asks of a place where jobs run: worker processes of this machine, or a Dask cluster."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager

from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.result import TrialResult
from oodbench.benchmark.running.job import Job

Progress = tuple[Job, int, int]
"""A job, how many steps it has made, and of how many; step 0 is its beginning."""


class Workers(ABC):
    """Workers, as long as a run has them."""

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Hand in a job."""

    @abstractmethod
    def outcomes(self) -> list[tuple[Job, TrialResult]]:
        """Wait a moment for results; return those that have arrived since the last call, which are stored.

        A trial whose workers died again and again has a failed result.

        Raises
        ------
        RunError
            The run cannot go on.
        OSError
            A result cannot be stored.
        """

    @abstractmethod
    def progress(self) -> Iterable[Progress]:
        """Return what jobs have reported since the last call."""

    @abstractmethod
    def warnings(self) -> list[str]:
        """Return what users should know that has come up since the last call, a sentence each."""


class Backend(ABC):
    """A place where jobs run."""

    @abstractmethod
    def slots(self, trials: int) -> int:
        """Return how many of a number of trials run at a time."""

    @abstractmethod
    def open(self, jobs: Sequence[Job], plugins: Plugins) -> AbstractContextManager[Workers]:
        """Get workers ready for jobs, and stop whatever they do when the block ends.

        Parameters
        ----------
        jobs : sequence of Job
            What will be handed in.
        plugins : Plugins
            Where their detectors and datasets are found.

        Raises
        ------
        DatasetError
            A dataset cannot be read.
        UsageError
            The device is not there.
        """
