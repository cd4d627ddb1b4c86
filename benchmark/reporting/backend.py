"""Matplotlib can be imported whatever ``MPLBACKEND`` says: none of its backends that show something is used here."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def any_backend() -> Iterator[None]:
    """Import matplotlib in the block without ``MPLBACKEND``; then use what that names, if it is there.

    Notebooks set it for all that they start, where their backend may not be installed: matplotlib would not be
    imported.
    """
    backend = os.environ.pop("MPLBACKEND", None) if "matplotlib" not in sys.modules else None
    try:
        yield
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend:
        with suppress(ValueError):
            sys.modules["matplotlib"].rcParams["backend"] = backend
