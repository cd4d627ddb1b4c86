"""What a user can do wrong."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UsageError(ValueError):
    """A request that cannot be met; the message is one sentence that says what is wrong and what to do."""


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
