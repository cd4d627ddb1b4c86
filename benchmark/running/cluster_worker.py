"""What a Dask worker does with a job. Its folders are its own: it sends the result and, packed, the run folder back."""

from __future__ import annotations

import io
import os
import platform
import shutil
import tarfile
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path

from filelock import FileLock

from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.files import file_name, write_text
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.identity import Identity, identity_of
from oodbench.benchmark.results.result import TrialResult
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.running.arrays import write_arrays
from oodbench.benchmark.running.job import Job
from oodbench.benchmark.running.leftovers import Watch
from oodbench.benchmark.running.worker import failure, plugins_of, run_job

Source = tuple[str, str]
"""Name and text of a local plugin file."""

_turn = threading.Lock()
_ended: set[str] = set()
"""Runs whose results nobody waits for any more."""


@dataclass(frozen=True)
class Answer:
    """What a worker sends back.

    Attributes
    ----------
    result : TrialResult
        The trial's result.
    folder : bytes or None
        The run folder as a tar archive, if there is one.
    warnings : tuple of str
        What the dataset has to say, from the worker that loads it for those on its machine, and what was left running.
    """

    result: TrialResult
    folder: bytes | None = None
    warnings: tuple[str, ...] = ()


def run_here(job: Job, run: str, sources: Sequence[Source], *, away: bool) -> Answer:
    """Run a trial in this worker.

    A worker may have several threads, but its trials wait for each other: they share random states and processors.

    Parameters
    ----------
    job : Job
        The trial and its settings; its store and plugin files are elsewhere.
    run : str
        Names the run, and the topic under which progress is reported.
    sources : sequence of (str, str)
        Names and texts of the plugin files.
    away : bool
        Whether the worker may be on another machine, whose environment says where datasets lie there.

    Returns
    -------
    Answer

    Raises
    ------
    CancelledError
        The run has ended.
    """
    with _turn:
        if run in _ended:
            raise CancelledError("The run has ended.")
        try:
            here = folder_of(run)
            here.mkdir(exist_ok=True)
            return _run(job, run, sources, here, away=away)
        except BaseException as error:  # what is wrong with one worker is no reason to end the run
            failed = failure(job, error)
            return Answer(failed.model_copy(update={"error": f"on {platform.node()}: {failed.error}"}))
        finally:
            if run in _ended:
                clear(run)


def _run(job: Job, run: str, sources: Sequence[Source], here: Path, *, away: bool) -> Answer:
    """Run a trial, with `here` for what the run's trials on this machine share."""
    files = _unpack_plugins(sources, here)
    plugins = _plugins(job, files)
    other = _difference(job, plugins)
    if other:
        cause = f"its worker has another {other} than here: install the same oodbench and data there"
        return Answer(job.failure(cause))
    data = Path(os.environ.get("OODBENCH_DATA", job.data)) if away else job.data
    dataset = plugins.datasets[job.trial.dataset](data)
    with FileLock(here / f"{file_name(job.trial.dataset)}.lock"):
        dataset.prepare()
        write_arrays(dataset, here)
    with tempfile.TemporaryDirectory(dir=here) as own:
        store, watch = Store.at(Path(own), job.trial.protocol), Watch()
        result = run_job(replace(job, store=store, data=data, plugin_files=files, arrays=here), Topic(run))
        folder = store.run_folder(job.trial)
        warnings = (*dataset.warnings(), *_warnings(job, watch))
        return Answer(result, pack(folder) if folder.exists() else None, warnings)


def _warnings(job: Job, watch: Watch) -> Iterator[str]:
    """Yield what a trial has left running in this worker, which cannot be replaced from within."""
    if watch.finds_busy_threads():
        yield (
            f"{job.trial.label} has left threads behind that go on computing in a worker on {platform.node()}, and "
            "slow down the trials after it: end that worker, and start another."
        )


def _plugins(job: Job, files: tuple[Path, ...]) -> Plugins:
    """Load the plugins; raises UsageError with all causes if the detector is not among them."""
    plugins = plugins_of(files, job.plugin_classes)
    try:
        plugins.detectors[job.trial.detector]
    except UsageError as error:  # it may be in what cannot be loaded here
        causes = [str(error), *(f"{broken.source}: {broken.cause}" for broken in plugins.broken)]
        raise UsageError("; ".join(causes)) from error
    return plugins


def _difference(job: Job, plugins: Plugins) -> str:
    """Return in what the trial would have another identity here than in the command; empty if in nothing."""
    here = identity_of(job.trial, plugins)
    names = {item.name for item in fields(Identity)}
    if job.plugin_classes:  # their code has come with the job, but there is no file to read it from
        names.discard("fingerprint")
    return ", ".join(sorted(name for name in names if getattr(here, name) != getattr(job.identity, name)))


def folder_of(run: str) -> Path:
    """Return the folder of a run on a worker's machine; the workers on one machine share the datasets in it."""
    return Path(tempfile.gettempdir(), f"oodbench-{run}")


def clear(run: str) -> None:
    """Begin no further trial of a run in this worker, and remove its folder."""
    _ended.add(run)
    shutil.rmtree(folder_of(run), ignore_errors=True)


def _unpack_plugins(sources: Sequence[Source], folder: Path) -> tuple[Path, ...]:
    paths = tuple(folder / "plugins" / str(number) / name for number, (name, _) in enumerate(sources))
    for path, (_, text) in zip(paths, sources, strict=True):
        if not path.is_file():
            write_text(path, text)
    return paths


class Topic:
    """Sends reports of progress to whoever listens to a topic."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, number: int, step: int, steps: int) -> None:
        """Send a report of a job."""
        from distributed import get_worker

        with suppress(TypeError, ValueError, OverflowError):  # a trial does not fail for what it reports
            event = number, int(step), int(steps)  # NumPy's and torch's would not arrive
            get_worker().log_event(self.name, event)


def pack(folder: Path) -> bytes:
    """Pack the files of a folder into a tar archive."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.add(folder, arcname=".")
    return stream.getvalue()


def unpack(archive: bytes, folder: Path) -> None:
    """Unpack what `pack` made into a folder; nothing gets outside it."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        packed.extractall(folder, filter="data")
