"""Results that no run produced, for tests of what is made of results."""

from __future__ import annotations

from typing import Any

from oodbench.benchmark.results.result import TrialResult
from oodbench.benchmark.trials import Trial


def result(
    dataset: str = "mnist",
    detector: str = "vae",
    normal_class: int = 3,
    seed: int = 0,
    auroc: float = 0.9,
    *,
    classes: int = 10,
    changes: dict[str, Any] | None = None,
    **more: Any,
) -> TrialResult:
    """Make a result; anything in it can be given, and what is None is left out. A failed one has no measures."""
    measures: dict[str, Any] = {
        "auroc": auroc,
        "aupr_out": 0.99,
        "aupr_in": 0.5,
        "fpr95": 0.25,
        "normal_kept": 0.95,
        "ood_caught": 0.5,
        "fit_seconds": 10.0,
        "score_images_per_second": 5000.0,
        "parameters": 1234,
        "peak_memory_mb": 500.0,
    }
    given: dict[str, Any] = {
        "dataset": dataset,
        "detector": detector,
        "label": Trial(dataset, detector, normal_class, seed, tuple(sorted((changes or {}).items()))).label,
        "normal_class": normal_class,
        "class_name": str(normal_class),
        "classes": classes,
        "seed": seed,
        "protocol": "deep-svdd",
        "changes": changes or {},
        "can_sample": True,
        "command": f"bench run --dataset {dataset} --class {normal_class} --detector {detector} --seed {seed}",
        "environment": {"oodbench": "0", "device": "cpu"},
        "fingerprint": "abc",
        "hyperparameters": {},
        "status": "done",
        "finished": "2026-01-02T03:04:05+00:00",
        **({"error": "ValueError: boom"} if more.get("status") == "failed" else measures),
        **more,
    }
    return TrialResult(**{key: value for key, value in given.items() if value is not None})


def row(detector: str, aurocs: list[float], dataset: str = "mnist", seed: int = 0, **more: Any) -> list[TrialResult]:
    """Make the results of one detector, class by class."""
    return [
        result(dataset, detector, normal_class, seed, auroc, classes=len(aurocs), **more)
        for normal_class, auroc in enumerate(aurocs)
    ]
