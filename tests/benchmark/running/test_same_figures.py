"""A detector that is evaluated in this process has the figures that a run stores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from oodbench.benchmark.evaluation.evaluate import evaluate
from oodbench.benchmark.evaluation.measures import DETECTION, GENERATION, Measures
from oodbench.benchmark.evaluation.reference import reference_of
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.running import engine
from oodbench.benchmark.trials import Trial
from oodbench.datasets.components.split import one_vs_rest
from oodbench.datasets.digits import Digits
from oodbench.detectors.memvae import MemVAE

MEASURED_ANEW = ("fit_seconds", "score_images_per_second", "peak_memory_mb")


def figures(measures: Measures) -> dict[str, Any]:
    """All that was measured, but for times and memory."""
    chosen = json.loads(measures.model_dump_json(include=set(Measures.model_fields)))
    return {name: value for name, value in chosen.items() if name not in MEASURED_ANEW}


def test_evaluate_gives_the_figures_of_a_run(plugins: Plugins, tmp_path: Path) -> None:
    """Also where this process computes in several threads."""
    trial, store = Trial("digits", "memvae", 3, 2, (("epochs", 2),)), Store.at(tmp_path)
    engine.run([trial], plugins, store, data=tmp_path, jobs=1)
    stored = store.read(trial)
    assert stored is not None
    dataset = Digits(tmp_path)
    split = one_vs_rest(dataset.load("train"), dataset.load("test"), 3)
    torch.set_num_threads(2)
    try:
        evaluation = evaluate(
            MemVAE(epochs=2, seed=2), split, seed=2, reference=lambda: reference_of(Digits, 3, lambda: split)
        )
    finally:
        torch.set_num_threads(1)
    assert figures(evaluation) == figures(stored)
    assert {*DETECTION, *GENERATION, "controls", "diagnostics", "threshold"} <= set(figures(evaluation))
