"""What a detector can do besides scoring."""

from __future__ import annotations

from oodbench.detectors.base import Detector


def can_sample(detector: type[Detector]) -> bool:
    """Whether a class generates images: it has a ``sample`` of its own, and does not deny it by ``can_sample``."""
    return detector.can_sample and detector.sample is not Detector.sample


def can_reconstruct(detector: type[Detector]) -> bool:
    """Whether a class reconstructs images: it has a ``reconstruct`` of its own."""
    return detector.reconstruct is not Detector.reconstruct
