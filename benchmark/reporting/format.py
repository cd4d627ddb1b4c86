"""Figures as text."""

from __future__ import annotations

import math

DASH = "—"
"""Stands where there is nothing to show."""


def or_dash(value: float | None, form: str) -> str:
    """Return a figure as text, or a dash where there is none.

    Parameters
    ----------
    value : float or None
        None or NaN where nothing was measured.
    form : str
        For `str.format`: ``"{:.3f}"``.

    Returns
    -------
    str
    """
    return DASH if value is None or math.isnan(value) else form.format(value)


def duration(seconds: float) -> str:
    """Return a time, given in seconds, in the unit that suits it: ``9.8 s``, ``64 s``, ``3 min``, ``1.7 h``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
