"""What a detector can do besides scoring: what its class has a method of its own for."""

from __future__ import annotations

from oodbench.detectors.base import Detector


def can_sample(detector: type[Detector]) -> bool:
    """Whether a class generates images."""
    return detector.sample is not Detector.sample


def can_reconstruct(detector: type[Detector]) -> bool:
    """Whether a class reconstructs images."""
    return detector.reconstruct is not Detector.reconstruct
