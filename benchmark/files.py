"""Files that are written atomically, names that are fit for files, the user's cache folder and the one digest."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

PARTIAL = ".partial-"
"""Begins the names of unfinished files, and of the locks of those who write them."""
SAFE = re.compile(r"[a-z0-9_][a-z0-9_@=,.+-]*(?<!\.)")
"""Names that every file system keeps as they are, and tells apart."""
WITH_DIGEST = re.compile("-[0-9a-f]{8}$")
LONGEST = 80
"""Bytes of a name in a file name: file systems take 255, and a picture's name holds two."""


def cache_folder() -> Path:
    """Return the user's cache folder for this project; it need not exist."""
    return user_cache_path("oodbench")


def digest(*parts: str | bytes) -> str:
    """Return a short hash, 12 hexadecimal digits: the beginning of the SHA-256 of all parts, joined by line feeds."""
    joined = b"\n".join(part.encode() if isinstance(part, str) else part for part in parts)
    return hashlib.sha256(joined).hexdigest()[:12]


def file_name(name: str) -> str:
    """Return the file name that stands for a name, and for no other; file systems may ignore case.

    Parameters
    ----------
    name : str
        The name of a dataset or a detector, or a label.

    Returns
    -------
    str
        The name itself if it is short, in lower case and of letters, digits and ``_@=,.+-`` alone. Otherwise what is
        readable of it, with a digest of the whole: ``folder:photos@24`` becomes ``folder-photos@24-99ddcd3c``.
    """
    if len(name) <= LONGEST and SAFE.fullmatch(name) and not WITH_DIGEST.search(name):
        return name
    readable = re.sub(r"[^\w@=,.+-]", "", re.sub(r"[/:\\]+", "-", name)).lstrip(".")
    shortened = readable.encode()[:LONGEST].decode(errors="ignore")
    return f"{shortened}-{digest(name.encode(errors='surrogatepass'))[:8]}"


@contextmanager
def partial(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path` to write to; what is left under it is removed when the block ends.

    Whoever writes holds a lock beside it until then, by which `remove_leftovers` tells, on this machine and on others
    that share the disk, what nobody will finish.
    """
    _make_folder(path.parent)
    temporary = path.with_name(f"{PARTIAL}{secrets.token_hex(8)}{path.suffix}")
    lock = _lock_of(temporary)
    try:
        with FileLock(lock):
            try:
                yield temporary
            finally:
                remove(temporary)
    finally:
        with suppress(OSError):  # on Windows, while somebody looks at it
            lock.unlink()


def remove_leftovers(folder: Path) -> None:
    """Remove from a folder, and from folders in it, what interrupted writes of ended processes left behind."""
    for parent, folders, files in os.walk(folder):  # which minds nothing that vanishes meanwhile
        for name in [name for name in (*folders, *files) if name.startswith(PARTIAL)]:
            lock = _lock_of(Path(parent, name))
            with suppress(OSError), FileLock(lock, timeout=0):  # Timeout, of a lock that is held, is one
                remove(Path(parent, name))
                lock.unlink(missing_ok=True)
        folders[:] = [name for name in folders if not name.startswith(PARTIAL)]


def _lock_of(temporary: Path) -> Path:
    return temporary.with_suffix(".lock")


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary name to write to; the file replaces `path` when the block ends without an error.

    A power cut leaves the old file or the whole new one, unless `durable` is False: for what is gone with its process.
    """
    with partial(path) as temporary:
        yield temporary
        if durable:
            _flush(temporary)
        temporary.replace(path)
        if durable:
            _flush(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically; its folder is made if needed."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill; it replaces `path`, whole, when the block ends without an error."""
    with partial(path) as temporary, partial(path.with_name(f"old-{path.name}")) as old:
        temporary.mkdir()
        yield temporary
        with ThreadPoolExecutor(16) as threads:  # all at once takes the disk a tenth of the time
            list(threads.map(_flush, [temporary, *temporary.rglob("*")]))
        if path.exists():
            path.replace(old)
        temporary.replace(path)
        _flush(path.parent)


def _make_folder(folder: Path) -> None:
    """Make a folder, and those that it lies in, so that they outlast a power cut."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _flush(folder.parent)


def _flush(path: Path) -> None:
    """Have what was written to a file, or the names in a folder, on the disk itself.

    Raises
    ------
    OSError
        The disk is full, or fails; not for a folder, which some systems cannot flush.
    """
    if path.is_dir():
        with suppress(OSError):
            _fsync(path, os.O_RDONLY)
    else:
        _fsync(path, os.O_RDWR)


def _fsync(path: Path, flags: int) -> None:
    file = os.open(path, flags)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def remove(path: Path) -> None:
    """Remove a file or a folder if it exists."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
