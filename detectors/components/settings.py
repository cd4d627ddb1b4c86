"""Default hyperparameters in a file beside the detector's module: what tuning writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def settings_file(module: str) -> Path:
    """Where the defaults of a detector's module lie: ``memae.json`` beside ``memae.py``."""
    return Path(module).with_suffix(".json")


def defaults_beside(module: str) -> Mapping[str, Mapping[str, Any]]:
    """Read them.

    Parameters
    ----------
    module : str
        The module's ``__file__``.

    Returns
    -------
    mapping
        For each kind of image (see `oodbench.detectors.components.presets.kind_of`) the values by name.
    """
    defaults: dict[str, dict[str, Any]] = json.loads(settings_file(module).read_text(encoding="utf-8"))
    return defaults
