"""What the engine asks of a place where trials run: worker processes of this machine, or a cluster."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.store import Result, Store
from oodbench.benchmark.running.trial import Options
from oodbench.benchmark.trials import Trial


@dataclass(frozen=True)
class Order:
    """What all trials of a run have in common.

    Attributes
    ----------
    plugins : Plugins
        Where their detectors and datasets are found.
    store : Store
        Where results and run folders go.
    data : Path
        Where datasets lie.
    options : Options
        How they are run.
    since : float
        When the run began, in seconds since 1970.
    together : bool
        Whether all classes of a detector are trained as one batched model, where it can be.
    """

    plugins: Plugins
    store: Store
    data: Path
    options: Options
    since: float
    together: bool = False


class WorkerLostError(RuntimeError):
    """A trial's worker died, or the connection to it, before the trial was done.

    Parameters
    ----------
    message : str
        What happened.
    begun : bool
        Whether the trial may have had a part in it.
    """

    def __init__(self, message: str, *, begun: bool = True) -> None:
        super().__init__(message)
        self.begun = begun


class Session(ABC):
    """A run's stay at such a place.

    Parameters
    ----------
    remarks : iterable of str
        What users should know as it begins.

    Attributes
    ----------
    attempts : int
        How often a trial is handed in whose worker dies.
    died : str
        What is said of a trial that was lost every time.
    """

    attempts: int
    died: str

    def __init__(self, remarks: Iterable[str] = ()) -> None:
        self._remarks = list(remarks)

    @abstractmethod
    def executor(self) -> AbstractContextManager[Executor]:
        """Lend an executor of the standard interface; what it has not done is given up when the block ends."""

    @abstractmethod
    def submit(self, executor: Executor, trial: Trial) -> Future[Any]:
        """Hand in a trial."""

    @abstractmethod
    def outcome(self, trial: Trial, future: Future[Any]) -> Result:
        """Give the result of a finished trial, which is stored.

        Raises
        ------
        WorkerLostError
            Its worker is lost.
        RunError
            The run cannot go on.
        OSError
            The result cannot be stored.
        """

    @abstractmethod
    def reports(self) -> Iterator[tuple[Trial, int, int]]:
        """Give what workers have reported since the last call: a trial, how many steps it has made, and of how many."""

    def remarks(self) -> list[str]:
        """Give what users should know that has come up since the last call, a sentence each."""
        remarks, self._remarks = self._remarks, []
        return remarks


class Backend(ABC):
    """A place where trials run."""

    @abstractmethod
    def places(self, trials: int) -> int:
        """Give how many of `trials` trials run at a time."""

    @abstractmethod
    def session(self, order: Order, trials: Sequence[Trial]) -> AbstractContextManager[Session]:
        """Make everything ready for trials.

        Raises
        ------
        DatasetError
            A dataset cannot be had.
        UsageError
            The device is not there.
        """
