"""Manners: a detector changes nothing that belongs to everybody."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from oodbench.benchmark.checks.check import Check, adds_to, demand
from oodbench.benchmark.checks.detector.images import FEW, toy_images
from oodbench.benchmark.checks.detector.sampling import draw, sampling
from oodbench.benchmark.checks.detector.specimen import Specimen

CHECKS: list[Check[Specimen]] = []
check = adds_to(CHECKS)


def _global_state() -> dict[str, object]:
    """Return everything global that a plugin might change."""
    python, numpy = random.getstate(), np.random.get_state(legacy=True)  # noqa: NPY002
    return {
        "torch's random state": torch.get_rng_state().tolist(),
        "numpy's random state": [str(part) if isinstance(part, str) else np.asarray(part).tolist() for part in numpy],
        "Python's random state": python,
        "torch's number of threads": torch.get_num_threads(),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's gradient mode": torch.is_grad_enabled(),
        "torch's deterministic mode": torch.are_deterministic_algorithms_enabled(),
    }


@contextmanager
def _unchanged_by(what: str) -> Iterator[None]:
    before, threads, dtype = _global_state(), torch.get_num_threads(), torch.get_default_dtype()
    yield
    changed = [name for name, value in _global_state().items() if value != before[name]]
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)
    torch.set_grad_enabled(True)
    torch.use_deterministic_algorithms(False)
    demand(
        not changed,
        f"{what} changes {', '.join(changed)} for everybody: draw from a generator of its own (or inside "
        "torch.random.fork_rng), and put settings back.",
    )


@check
def fit_leaves_global_state_alone(specimen: Specimen) -> None:
    """Fitting leaves random states, threads and other settings as they were."""
    with _unchanged_by("fit"):
        specimen.fit(toy_images(FEW))


@check
def score_leaves_global_state_alone(specimen: Specimen) -> None:
    """Scoring leaves random states, threads and other settings as they were."""
    detector = specimen.fitted
    with _unchanged_by("score"):
        detector.score(specimen.new_images)


@check
def sample_leaves_global_state_alone(specimen: Specimen) -> None:
    """Sampling with a generator leaves random states, threads and other settings as they were."""
    detector = sampling(specimen)
    with _unchanged_by("sample"):
        draw(detector, 3)
