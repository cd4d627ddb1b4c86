"""The file of a study: a journal of Optuna's, a JSON object a line, mended where it was torn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.files import file_name, replacing
from oodbench.benchmark.results.store import Store
from oodbench.datasets.base import Dataset
from oodbench.detectors.base import Detector

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

DAMAGED = "move it away, which begins the study anew, or take it from a backup"


def study_path(store: Store, dataset: type[Dataset], detector: type[Detector]) -> Path:
    """Return the path of a study."""
    return store.leaderboard / "studies" / file_name(dataset.name) / f"{file_name(detector.name)}.jsonl"


def open_journal(path: Path) -> BaseStorage:
    """Open a journal for Optuna; what is not there begins empty.

    Raises
    ------
    UsageError
        It is damaged.
    OSError
        It cannot be written.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path = path.absolute()  # Optuna waits for ever for a lock that a killed process left under a relative path
    try:
        return JournalStorage(JournalFileBackend(str(path)))
    except OSError:
        raise
    except Exception as error:  # whatever Optuna comes across in lines of another kind
        cause = f"{type(error).__name__}: {error}"
        raise UsageError(f"{path} is no journal of a study ({' '.join(cause.split())}): {DAMAGED}.") from error


def repair(path: Path) -> str | None:
    """Cut off the torn end of a journal, as a full disk or a power cut leaves it, and the lock of a killed process.

    What is cut off is one entry or a few: the study goes on from the one before. The torn journal is kept beside it.

    Parameters
    ----------
    path : Path
        The journal, which no other process has open; it need not exist.

    Returns
    -------
    str or None
        What was done, in a sentence; None if the journal is whole.

    Raises
    ------
    UsageError
        It is damaged elsewhere.
    OSError
        It cannot be written.
    """
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
    if not path.is_file():
        return None
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    whole = next((number for number, line in enumerate(lines) if not _is_entry(line)), len(lines))
    if whole == len(lines):
        return None
    if any(_is_entry(line) for line in lines[whole:]):
        raise UsageError(f"{path} is damaged in line {whole + 1}: {DAMAGED}.")
    copy = path.with_name(f"{path.name}.torn")
    for target, text in ((copy, content), (path, b"".join(lines[:whole]))):
        with replacing(target) as temporary:
            temporary.write_bytes(text)
    return f"{path} was torn in line {whole + 1}: the study goes on from the line before; a copy is {copy}."


def _is_entry(line: bytes) -> bool:
    """Return whether a line is a whole entry; one without a line break may have lost some of its end."""
    try:
        return line.endswith(b"\n") and isinstance(json.loads(line), dict)
    except ValueError:
        return False
