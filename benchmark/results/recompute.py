"""Computes with the detectors of whatever checkout is importable as oodbench; `restamp` runs it in its own process.

Usage: ``python recompute.py CASES.json IMAGES.pt OUTCOME.pt``
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

STEPS = 60
"""Of training, at least, where a method trains by steps; enough to show a difference."""
SAMPLES = 20


def detectors() -> dict[str, Any]:
    """Return the registered classes by name."""
    import oodbench.detectors

    found = {}
    for module in pkgutil.iter_modules(oodbench.detectors.__path__):
        for value in vars(importlib.import_module(f"oodbench.detectors.{module.name}")).values():
            if isinstance(value, type) and isinstance(vars(value).get("name"), str):
                found[vars(value)["name"]] = value
    return found


def fingerprints(classes: dict[str, Any]) -> dict[str, str]:
    """Return the fingerprint of each detector, as the checkout computes it."""
    import oodbench.benchmark

    # by what the checkout holds: an editable install of another one may answer for what is missing
    (folder,) = map(Path, oodbench.benchmark.__path__)
    where = "results.fingerprint" if (folder / "results").is_dir() else "fingerprint"
    module = importlib.import_module(f"oodbench.benchmark.{where}")
    return {name: module.fingerprint(cls) for name, cls in classes.items() if name}


def outcome(cls: Any, changes: dict[str, Any], images: dict[str, torch.Tensor]) -> dict[str, Any]:
    """Return everything that a detector computes of a few images."""
    accepted = cls().get_params(deep=False)
    quick = {name: STEPS for name in ("min_steps", "least_steps") if name in accepted}
    given = {key: value for key, value in {**quick, **changes, "seed": 3}.items() if key in accepted}
    detector = cls(**given)
    detector.fit(images["train"])
    found = {"scores": detector.score(images["test"]), "count": detector.parameter_count()}
    found["diagnostics"] = (getattr(detector, "diagnostics", None) or detector.health)(images["validation"])
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
    classes, given = detectors(), torch.load(images)
    found: dict[str, Any] = {"fingerprints": fingerprints(classes)}
    for key, (dataset, detector, changes) in json.loads(cases.read_text()).items():
        try:
            found[key] = outcome(classes[detector], changes, given[dataset])
        except Exception as error:
            found[key] = {"error": f"{type(error).__name__}: {error}"}
        print(key, flush=True)
    torch.save(found, to)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
