"""What a user can do wrong."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class UsageError(ValueError):
    """A request that cannot be met; the message is one sentence that says what is wrong and what to do."""


class RunError(RuntimeError):
    """A run that cannot go on, through no fault of its command; what had finished is stored."""


NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
CANNOT_WRITE = (*NO_ROOM, errno.EROFS, errno.EACCES, errno.EPERM)
"""What the system says where files cannot be written."""
LEAST_ROOM = 16_000_000
"""Bytes; with fewer left, whatever fails is taken to fail for lack of room."""


def check_room(folder: Path, error: Exception) -> None:
    """Raise OSError if an error came of a full disk.

    Libraries wrap that cause in errors of their own, or say nothing of it; what was half-written may be removed by now.

    Parameters
    ----------
    folder : Path
        Where files were written.
    error : Exception
        What was raised.

    Raises
    ------
    OSError
        With the number ENOSPC.
    """
    while not folder.exists():
        folder = folder.parent
    said = any(reason in str(error) for reason in map(os.strerror, NO_ROOM))
    if said or getattr(error, "errno", None) in NO_ROOM or shutil.disk_usage(folder).free < LEAST_ROOM:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Make the error for a name that does not exist, with the nearest names that do.

    Parameters
    ----------
    kind : str
        What the name should be of, for example "detector".
    name : str
        What was asked for.
    known : iterable of str
        What there is.

    Returns
    -------
    UsageError
    """
    names = sorted(known)
    near = get_close_matches(name.lower(), names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names) or 'none'}."
    return UsageError(f"Unknown {kind} {name!r}: {hint}")
