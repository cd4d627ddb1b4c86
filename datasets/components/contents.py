"""What files hold, kept in the user's cache: a file is read again once its size, times or inode have changed."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import PIL
from platformdirs import user_cache_path

from oodbench.datasets.components.images import Look, look_at

FOLDER = "folders"
FORMAT = f"1, Pillow {PIL.__version__}"
"""Of the cache; raise the number whenever a file is looked at in another way."""
SETTLED = 2 * 10**9
"""Nanoseconds after which a change shows in a file's time; what is younger is read again the next time."""


class Content(NamedTuple):
    """What a file holds.

    Attributes
    ----------
    digest : str
        Of all bytes; empty if the file cannot be opened.
    look : Look
        What kind of image it is.
    """

    digest: str
    look: Look


def contents(root: Path, files: Sequence[Path]) -> dict[Path, Content]:
    """Return what files hold; those that have not changed since the last call are not opened.

    Parameters
    ----------
    root : Path
        The folder in which all of them lie.
    files : sequence of Path
        Below the root.

    Returns
    -------
    dict
        In the same order.
    """
    cache = (
        user_cache_path("oodbench") / FOLDER / f"{hashlib.sha256(os.fsencode(root.absolute())).hexdigest()[:16]}.json"
    )
    known = _read(cache)
    found: dict[Path, Content] = {}
    kept: dict[str, list[Any]] = {}
    for path in files:
        name, state, now = str(path), _state(path), time.time_ns()
        stored = known.get(name)
        if stored is not None and stored[0] == state:
            found[path] = Content(stored[1], Look(*stored[2]))
        else:
            found[path] = Content(_digest(path), look_at(path))
        if state and found[path].digest and now - state[2] > SETTLED:
            kept[name] = [state, found[path].digest, list(found[path].look)]
    if kept != known:
        _write(cache, kept)
    return found


def _state(path: Path) -> list[int]:
    """Return what changes whenever a file is written to, replaced or set back; nothing if it is gone."""
    try:
        about = path.stat()
    except OSError:
        return []
    return [about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino]


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()[:32]
    except OSError:
        return ""


def _read(cache: Path) -> dict[str, list[Any]]:
    """Return the files' states, digests and looks; nothing if there is no cache, or a damaged one."""
    with suppress(OSError, ValueError, TypeError, LookupError):
        stored = json.loads(cache.read_bytes())
        files = stored["files"]
        if stored["format"] == FORMAT and all(
            len(entry) == 3 and isinstance(entry[1], str) and len(entry[2]) == len(Look._fields)
            for entry in files.values()
        ):
            return dict(files)
    return {}


def _write(cache: Path, files: dict[str, list[Any]]) -> None:
    """Replace the cache; where it cannot be written, files are read again the next time."""
    with suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=cache.parent, prefix=".partial-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                json.dump({"format": FORMAT, "files": files}, stream)
            Path(temporary).replace(cache)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
