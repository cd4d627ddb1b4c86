"""Files that are written atomically, and names that are fit for files."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = f".partial-{re.sub(r'[^A-Za-z0-9]+', '_', platform.node())}-"
"""Begins the names of what is not finished. Process numbers mean nothing on other machines of a shared file system."""


def file_name(name: str) -> str:
    """Make the name of a dataset or the label of a detector fit for a file's name."""
    return re.sub(r"[^\w@=,.+-]", "", re.sub(r"[/:\\]+", "-", name))


@contextmanager
def partial(path: Path) -> Iterator[Path]:
    """Lend a name beside `path` to write to; what is left under it in the end is removed.

    The name holds the process's number, by which `Store.clear` knows what nobody will finish.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{PARTIAL}{os.getpid()}-{path.name}")
    try:
        yield temporary
    finally:
        remove(temporary)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Lend a name beside `path` to write to; the file takes its place when the block ends without an error."""
    with partial(path) as temporary:
        yield temporary
        temporary.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, making its folder if need be."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Lend a folder to fill; it takes the place of `path` when the block ends without an error."""
    with partial(path) as temporary, partial(path.with_name(f"old-{path.name}")) as old:
        temporary.mkdir()
        yield temporary
        if path.exists():
            path.replace(old)
        temporary.replace(path)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def is_running(process: int) -> bool:
    """Whether there is a process of this number on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
