from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from oodbench.benchmark.evaluation.evaluate import evaluate
from oodbench.benchmark.evaluation.reference import reference_of
from oodbench.benchmark.reporting.run_folder import fill
from oodbench.datasets.components.split import Split, one_vs_rest
from oodbench.datasets.digits import Digits
from oodbench.detectors.mean import Mean
from oodbench.detectors.memvae import MemVAE

EVERY = {"scores.npz", "roc.png", "scores.png", "extremes.png"}


@pytest.fixture(scope="module")
def digits() -> Split:
    dataset = Digits(Path())
    return one_vs_rest(dataset.load("train"), dataset.load("test"), 3)


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_folder_holds_what_was_measured(digits: Split, tmp_path: Path) -> None:
    evaluation = evaluate(
        MemVAE(epochs=2), digits, reference=lambda: reference_of(Digits, 3, lambda: digits), trace=True, gallery=True
    )
    fill(tmp_path, evaluation, "memvae on digits")
    assert names(tmp_path) == EVERY | {
        *("history.csv", "history.png", "reconstructions.png"),
        *("samples.npy", "samples.png", "nearest.png", "doubtful.png"),
        *("trace/trace.csv", "trace/trace.png", "trace/epoch-001.png", "trace/epoch-002.png"),
    }
    with np.load(tmp_path / "scores.npz") as stored:
        assert np.array_equal(stored["score"], evaluation.scores)
        assert np.array_equal(stored["is_ood"], digits.is_ood)
        assert np.array_equal(stored["label"], digits.test_labels)
    samples = np.load(tmp_path / "samples.npy")
    assert (samples.shape, samples.dtype) == ((64, 1, 8, 8), np.uint8)
    assert pd.read_csv(tmp_path / "history.csv").to_dict("records") == evaluation.history
    assert list(pd.read_csv(tmp_path / "trace" / "trace.csv")["step"]) == [1, 2]
    for path in tmp_path.rglob("*.png"):
        Image.open(path).verify()


def test_what_a_detector_cannot_do_has_no_picture(digits: Split, tmp_path: Path) -> None:
    fill(tmp_path, evaluate(Mean(), digits, gallery=True), "mean on digits")
    assert names(tmp_path) == EVERY


def test_pictures_need_images(digits: Split, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="gallery=True"):
        fill(tmp_path, evaluate(Mean(), digits), "mean on digits")


def test_it_imports_no_torch() -> None:
    code = "import oodbench.benchmark.reporting.run_folder, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
