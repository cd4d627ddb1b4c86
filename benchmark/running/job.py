"""A job: one trial with everything that a worker needs to run it, here or on another machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oodbench.benchmark.files import digest
from oodbench.benchmark.results.identity import Identity
from oodbench.benchmark.results.provenance import commit, environment
from oodbench.benchmark.results.result import TrialResult
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.trials import Trial


@dataclass(frozen=True)
class Options:
    """How trials are run; no part of what they are.

    Attributes
    ----------
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    trace : bool
        Whether to score the test images after every epoch.
    keep : bool
        Whether to keep run folders: weights, scores, pictures.
    """

    device: str = "auto"
    trace: bool = False
    keep: bool = True


@dataclass(frozen=True)
class Job:
    """A trial and its settings, made once in the command.

    Attributes
    ----------
    number : int
        Place in the run, from 0; also the row in which its progress is reported.
    trial : Trial
        What is run.
    identity : Identity
        The code, data and hyperparameters that the result will be of.
    class_name : str
        Name of the normal class.
    classes : int
        How many classes of the dataset can be the normal one.
    can_sample : bool
        Whether the detector can generate images.
    command : str
        Runs this trial again, with the options as they were given.
    store : Store
        Where the result and the run folder go.
    data : Path
        Folder in which datasets lie.
    options : Options
        How it is run.
    extra_data : str
        What the detector has seen beyond the training images; empty for nothing.
    plugin_files : tuple of Path
        Local Python files with more detectors or datasets.
    plugin_classes : bytes
        Detector classes that were given as objects, pickled by cloudpickle; empty if there are none.
    before : str or None
        `stored_digest` of the trial when the run began: by what a file holds another run's result is told from an
        earlier one, as clocks may differ.
    together : tuple of (int, Trial)
        Numbers and trials, this one among them, whose networks are trained as one batched model; empty for one that is
        trained alone.
    arrays : Path or None
        Folder in which the datasets' arrays lie, once they have been written.
    """

    number: int
    trial: Trial
    identity: Identity
    class_name: str
    classes: int
    can_sample: bool
    command: str
    store: Store
    data: Path
    options: Options = field(default=Options())
    extra_data: str = ""
    plugin_files: tuple[Path, ...] = ()
    plugin_classes: bytes = b""
    before: str | None = None
    together: tuple[tuple[int, Trial], ...] = ()
    arrays: Path | None = None

    def is_done_by(self, result: TrialResult) -> bool:
        """Return whether a stored result of the trial is of today's code and has all that the options ask for."""
        return result.status == "done" and self.identity.matches(result) and self._was_traced(result)

    def _was_traced(self, result: TrialResult) -> bool:
        """Return whether there is a trace, if one is asked for; a clone has the results alone, without run folders."""
        traced = result.oracle is not None or (self.store.run_folder(self.trial) / "trace").exists()
        return traced or not self.options.trace

    def result(self, device: str, **measured: Any) -> TrialResult:
        """Return the trial's result.

        Parameters
        ----------
        device : str
            ``cpu`` or ``cuda``: where it was computed.
        **measured
            Status, measures or error, and whatever else `TrialResult` has.

        Returns
        -------
        TrialResult

        Raises
        ------
        ValidationError
            A figure is out of its range, or not finite.
        """
        trial, identity = self.trial, self.identity
        about = {
            "dataset": trial.dataset,
            "detector": trial.detector,
            "label": trial.label,
            "normal_class": trial.normal_class,
            "class_name": self.class_name,
            "classes": self.classes,
            "seed": trial.seed,
            "protocol": trial.protocol,
            "changes": dict(trial.changes),
            "can_sample": self.can_sample,
            "extra_data": self.extra_data,
            "command": self.command,
            "fingerprint": identity.fingerprint,
            "data_version": identity.data_version,
            "classifier": identity.classifier,
            "hyperparameters": dict(identity.hyperparameters or {}),
            "environment": environment(device),
            "commit": commit(),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        return TrialResult(**{**about, **measured})

    def failure(self, error: str, traceback: str | None = None) -> TrialResult:
        """Return the result of the trial where it failed, given the cause in a sentence, and Python's account of it."""
        return self.result("cpu", status="failed", error=error, traceback=traceback)


def stored_digest(store: Store, trial: Trial) -> str | None:
    """Return a digest of the file that holds a trial's result; None where there is none."""
    try:
        return digest(store.result_path(trial).read_bytes())
    except FileNotFoundError:
        return None
