"""Computes with the detectors of whatever checkout is importable as oodbench; `restamp` runs it in its own process.

Usage: ``python recompute.py CASES.json IMAGES.pt OUTCOME.pt``
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.fingerprint import fingerprint

STEPS = 60
"""Of training, at least, where a method trains by steps; enough to show a difference."""
SAMPLES = 20


def outcome(cls: Any, changes: dict[str, Any], images: dict[str, torch.Tensor]) -> dict[str, Any]:
    """Return everything that a detector computes of a few images."""
    accepted = cls().get_params(deep=False)
    given = {key: value for key, value in {"min_steps": STEPS, **changes, "seed": 3}.items() if key in accepted}
    detector = cls(**given)
    detector.fit(images["train"])
    found = {"scores": detector.score(images["test"]), "count": detector.parameter_count()}
    found["diagnostics"] = detector.diagnostics(images["validation"])
    optional: dict[str, Callable[[], torch.Tensor]] = {
        "samples": lambda: detector.sample(SAMPLES, generator=torch.Generator().manual_seed(5)),
        "reconstructions": lambda: detector.reconstruct(images["test"]),
    }
    for name, compute in optional.items():
        try:
            found[name] = compute()
        except ValueError as error:  # it cannot
            found[name] = type(error).__name__
    return found


def main(cases: Path, images: Path, to: Path) -> None:
    """Compute the outcome of each case, and the fingerprints."""
    torch.set_num_threads(1)
    plugins, given = Plugins.load(), torch.load(images)
    fingerprints: dict[str, str] = {}
    found: dict[str, Any] = {"fingerprints": fingerprints}
    for key, (dataset, detector, changes) in json.loads(cases.read_text()).items():
        try:
            cls = plugins.detectors[detector]
            found[key] = outcome(cls, changes, given[dataset])
            fingerprints[detector] = fingerprint(cls)
        except Exception as error:
            found[key] = {"error": f"{type(error).__name__}: {error}"}
        print(key, flush=True)
    torch.save(found, to)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
