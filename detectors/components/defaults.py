"""Default hyperparameters that depend on the kind of image; they lie in ``NAME.json`` beside a method's ``NAME.py``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oodbench.detectors.base import DetectorError, Shape

Defaults = Mapping[str, Mapping[str, Any]]
"""For each kind of image (see `kind_of`) the values of hyperparameters by name."""


def kind_of(shape: Shape) -> str:
    """Return the kind of image that defaults are chosen for.

    Parameters
    ----------
    shape : tuple of int
        (C, H, W).

    Returns
    -------
    str
        ``tiny`` (at most 16 × 16 pixels), ``grey`` or ``colour``.
    """
    channels, height, width = shape
    if height * width <= 16 * 16:
        return "tiny"
    return "grey" if channels == 1 else "colour"


def defaults_file(module: str) -> Path:
    """Return the path of a module's defaults: ``memae.json`` beside ``memae.py``."""
    return Path(module).with_suffix(".json")


def read_defaults(module: str) -> Defaults:
    """Read the defaults beside a module.

    Parameters
    ----------
    module : str
        The module's ``__file__``.

    Returns
    -------
    mapping
        See `Defaults`.
    """
    defaults: Defaults = json.loads(defaults_file(module).read_text(encoding="utf-8"))
    return defaults


def filled_in(given: Mapping[str, Any], defaults: Defaults, shape: Shape) -> dict[str, Any]:
    """Return hyperparameters with defaults in place of None.

    Parameters
    ----------
    given : mapping of str to Any
        Hyperparameters by name.
    defaults : mapping
        See `Defaults`.
    shape : tuple of int
        (C, H, W) of the images.

    Returns
    -------
    dict of str to Any
        JSON values only: tuples become lists.
    """
    of_kind = defaults[kind_of(shape)]
    filled = {key: of_kind.get(key) if value is None else value for key, value in given.items()}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in filled.items()}


def check_choice(parameter: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a value that is none of the choices.

    Parameters
    ----------
    parameter : str
        The hyperparameter's name.
    value : str
        What was given.
    choices : tuple of str
        What is allowed.

    Raises
    ------
    DetectorError
        Names the choices.
    """
    if value not in choices:
        raise DetectorError(f"{parameter} is {' or '.join(map(repr, choices))}, not {value!r}.")
