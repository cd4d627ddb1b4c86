"""Errors that end a command with one sentence, and the means to word them."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class UsageError(ValueError):
    """A request that cannot be met; the message says in one sentence what is wrong and what to do."""


class RunError(RuntimeError):
    """A run that cannot go on although its command is right; finished trials are stored."""


NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers of a full disk, of a user's share of it, and of a limit on the size of files (``ulimit -f``)."""
CANNOT_WRITE = (*NO_ROOM, errno.EROFS, errno.EACCES, errno.EPERM)
"""Error numbers of files that cannot be written."""
LEAST_ROOM = 16_000_000
"""Bytes; with less free space, any failure is put down to a full disk."""


def check_room(folder: Path, error: Exception) -> None:
    """Raise OSError if an error was caused by a full disk, or by a limit on the size of files.

    Libraries wrap that cause in errors of their own or hide it, and half-written files may be gone by now.

    Parameters
    ----------
    folder : Path
        Where files were to be written.
    error : Exception
        The error that was raised.

    Raises
    ------
    OSError
        With the number ENOSPC or EFBIG.
    """
    while not folder.exists():
        folder = folder.parent
    if _is(error, errno.EFBIG) or (_is_half_written(error) and _files_are_limited()):
        raise OSError(errno.EFBIG, f"{os.strerror(errno.EFBIG)}, see `ulimit -f`", str(folder)) from error
    if any(_is(error, number) for number in NO_ROOM) or shutil.disk_usage(folder).free < LEAST_ROOM:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error


def _is(error: Exception, number: int) -> bool:
    return getattr(error, "errno", None) == number or os.strerror(number) in str(error)


def _is_half_written(error: Exception) -> bool:
    """Return whether NumPy has said so of an array, for which it gives no number."""
    return isinstance(error, OSError) and error.errno is None and str(error).endswith(" written")


def _files_are_limited() -> bool:
    try:
        import resource
    except ImportError:  # not on Windows
        return False
    return resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a name that does not exist, with the nearest names that do.

    Parameters
    ----------
    kind : str
        What should have the name, for example "detector".
    name : str
        The name asked for.
    known : iterable of str
        The names that exist.

    Returns
    -------
    UsageError
    """
    names = sorted(set(known))
    matches = get_close_matches(name.lower(), {other.lower() for other in names}, n=3, cutoff=0.5)
    near = [other for match in matches for other in names if other.lower() == match]
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names) or 'none'}."
    return UsageError(f"Unknown {kind} {name!r}: {hint}")
