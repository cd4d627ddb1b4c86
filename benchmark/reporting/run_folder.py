"""The pictures and tables of a trial's run folder, from NumPy arrays alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from oodbench.benchmark.reporting import pictures
from oodbench.benchmark.reporting.table import as_csv

if TYPE_CHECKING:  # it imports torch
    from oodbench.benchmark.evaluation.evaluate import Evaluation
    from oodbench.benchmark.evaluation.gallery import Gallery

TRACE_COLUMNS = 8


def fill(folder: Path, evaluation: Evaluation, title: str) -> None:
    """Write scores, samples, history and pictures of an evaluation.

    ``scores.npz`` holds ``score``, ``is_ood`` and ``label`` of the test images, ``samples.npy`` the first samples as
    uint8 (n, C, H, W).

    Parameters
    ----------
    folder : Path
        An existing folder.
    evaluation : Evaluation
        Made with ``gallery=True``.
    title : str
        Stands over the plots.

    Raises
    ------
    ValueError
        The evaluation has no gallery.
    OSError
        A file cannot be written.
    """
    if evaluation.gallery is None:
        raise ValueError("The evaluation has no gallery: evaluate with gallery=True.")
    scores, is_ood = evaluation.scores, evaluation.is_ood
    np.savez_compressed(folder / "scores.npz", score=scores, is_ood=is_ood, label=evaluation.labels)
    pictures.draw_roc(folder / "roc.png", scores, is_ood, title)
    pictures.draw_histogram(folder / "scores.png", scores, is_ood, title)
    if evaluation.history:
        _write_csv(folder / "history.csv", evaluation.history)
        pictures.draw_history(folder / "history.png", evaluation.history, title)
    _draw_images(folder, evaluation.gallery)
    if evaluation.trace is not None:
        _write_trace(folder / "trace", evaluation.trace, evaluation.gallery.trace, title)


def _draw_images(folder: Path, gallery: Gallery) -> None:
    pictures.draw_extremes(folder / "extremes.png", gallery.most_normal, gallery.most_ood)
    if gallery.normal is not None and gallery.ood is not None:
        pictures.draw_reconstructions(folder / "reconstructions.png", gallery.normal, gallery.ood)
    if gallery.samples is not None:
        np.save(folder / "samples.npy", gallery.samples)
        pictures.save_grid(folder / "samples.png", gallery.samples)
        if gallery.nearest is not None:
            pictures.draw_pairs(folder / "nearest.png", gallery.samples, gallery.nearest)
    if gallery.doubtful is not None:
        pictures.save_grid(folder / "doubtful.png", gallery.doubtful)


def _write_trace(
    folder: Path, rows: list[dict[str, float]], reconstructions: Sequence[pictures.Images], title: str
) -> None:
    """Write the measures over epochs, and for each epoch inputs over reconstructions of three kinds of images."""
    folder.mkdir()
    _write_csv(folder / "trace.csv", rows)
    pictures.draw_trace(folder / "trace.png", rows, title)
    for row, images in zip(rows, reconstructions, strict=False):
        pictures.save_grid(folder / f"epoch-{int(row['step']):03d}.png", images, columns=TRACE_COLUMNS)


def _write_csv(path: Path, rows: list[dict[str, float]]) -> None:
    path.write_text(as_csv(pd.DataFrame(rows)), encoding="utf-8")
