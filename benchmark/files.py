"""Files that are written atomically, names that are fit for files, the user's cache folder and the one digest."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_path

PARTIAL = f".partial-{re.sub(r'[^A-Za-z0-9]+', '_', platform.node())}-"
"""Begins the names of unfinished files; it names the machine, since process ids mean nothing on another."""


def cache_folder() -> Path:
    """Return the user's cache folder for this project; it need not exist."""
    return user_cache_path("oodbench")


def digest(*parts: str | bytes) -> str:
    """Return a short hash, 12 hexadecimal digits: the beginning of the SHA-256 of all parts, joined by line feeds."""
    joined = b"\n".join(part.encode() if isinstance(part, str) else part for part in parts)
    return hashlib.sha256(joined).hexdigest()[:12]


def file_name(name: str) -> str:
    """Return the name of a dataset or the label of a detector without what file names cannot hold."""
    return re.sub(r"[^\w@=,.+-]", "", re.sub(r"[/:\\]+", "-", name))


@contextmanager
def partial(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path` to write to; what is left under it is removed when the block ends.

    The name holds the process id, by which `Store.clear` recognises files that nobody will finish.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{PARTIAL}{os.getpid()}-{path.name}")
    try:
        yield temporary
    finally:
        remove(temporary)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name to write to; the file replaces `path` when the block ends without an error."""
    with partial(path) as temporary:
        yield temporary
        temporary.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically; its folder is made if needed."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill; it replaces `path` when the block ends without an error."""
    with partial(path) as temporary, partial(path.with_name(f"old-{path.name}")) as old:
        temporary.mkdir()
        yield temporary
        if path.exists():
            path.replace(old)
        temporary.replace(path)


def remove(path: Path) -> None:
    """Remove a file or a folder if it exists."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def is_running(process: int) -> bool:
    """Return whether a process with this id runs on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
