from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.running import trial as trials
from oodbench.benchmark.trials import Trial
from oodbench.detectors.ppca import PPCA


def test_scores_do_not_depend_on_how_many_images_are_scored_at_once(
    plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """540 test images: a worker has memory for a part of a large dataset's."""
    trial, digits = Trial("digits", "ppca", 3, 0), plugins.datasets["digits"](tmp_path)
    parts = digits.load("train"), digits.load("test")
    given: list[int] = []

    def score(detector: PPCA, images: Tensor) -> Tensor:
        given.append(len(images))
        return scored(detector, images)

    scored = PPCA.score
    monkeypatch.setattr(PPCA, "score", score)
    found = {}
    for at_once in (540, 100):
        monkeypatch.setattr(trials, "SCORED_AT_ONCE", at_once)
        store = Store.at(tmp_path / str(at_once))
        result = trials.run_trial(trial, plugins, parts, store)
        with np.load(store.run_folder(trial) / "scores.npz") as stored:
            found[at_once] = result["auroc"], result["fpr95"], stored["score"]
    held_out = given[1]
    assert given == [540, held_out, *[100] * 5, 40, held_out]
    assert found[100][:2] == pytest.approx(found[540][:2], abs=1e-3)
    assert found[100][2] == pytest.approx(found[540][2], rel=1e-4)
