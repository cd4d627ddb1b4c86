"""Detectors: one file a method, and what the methods share.

A detector is a class with ``fit``, ``score`` and ``sample`` (`oodbench.detectors.base.Detector`), registered by a
decorator. Nothing in here knows of datasets or of the benchmark.
"""

from oodbench.detectors.base import (
    Detector,
    DetectorError,
    FitDivergedError,
    Monitor,
    check_images,
    register,
    register_family,
)

__all__ = ["Detector", "DetectorError", "FitDivergedError", "Monitor", "check_images", "register", "register_family"]

FAMILIES = ("pyod",)
"""Files in here that make detectors on demand: users type ``pyod:NAME``."""
