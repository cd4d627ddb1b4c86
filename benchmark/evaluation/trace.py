"""``--trace``: what happens to the test images while a detector trains. It is shown, and chooses nothing."""

from __future__ import annotations

from pathlib import Path

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from oodbench.benchmark.reporting import pictures
from oodbench.datasets.components.split import Split, as_float
from oodbench.detectors.base import Detector, can_reconstruct

SHOWN = 8


class Trace:
    """Watches a detector after every epoch.

    It uses nothing random, so that a traced trial gives the same scores as any other.

    Parameters
    ----------
    detector : Detector
        What is being fitted.
    split : Split
        Whose images are watched.

    Attributes
    ----------
    rows : list of dict
        For each epoch: test AUROC, and the mean reconstruction error (squared, a pixel) and the mean score of training,
        normal test and OOD test images.
    """

    def __init__(self, detector: Detector, split: Split) -> None:
        self.detector = detector
        test = as_float(split.test)
        self.images = {
            "train": as_float(split.train[:1000]),
            "test_normal": test[~split.is_ood],
            "test_ood": test[split.is_ood],
        }
        self.rows: list[dict[str, float]] = []
        self.reconstructions: list[Tensor] = []

    def record(self, step: int) -> None:
        """Measure, and keep some reconstructions.

        Parameters
        ----------
        step : int
            The epoch that has just finished.
        """
        row: dict[str, float] = {"step": step}
        # at once: a detector may have to prepare itself to score in the midst of a fit
        together = self.detector.score(torch.cat(list(self.images.values())))
        scores = dict(zip(self.images, together.split([len(images) for images in self.images.values()]), strict=True))
        is_ood = [False] * len(scores["test_normal"]) + [True] * len(scores["test_ood"])
        row["auroc"] = float(roc_auc_score(is_ood, torch.cat([scores["test_normal"], scores["test_ood"]])))
        row |= {f"score_{name}": float(values.mean()) for name, values in scores.items()}
        if can_reconstruct(type(self.detector)):
            shown = []
            for name, images in self.images.items():
                reconstructions = self.detector.reconstruct(images)
                row[f"error_{name}"] = float((reconstructions - images).square().mean())
                shown.append(torch.cat([images[:SHOWN], reconstructions[:SHOWN]]))
            self.reconstructions.append(torch.cat(shown))
        self.rows.append(row)

    def oracle(self) -> dict[str, float]:
        """Say what choosing the epoch on the test images would have given.

        Returns
        -------
        dict of str to float
            ``auroc``: the best test AUROC over epochs, in [0, 1]; ``epoch``: the first that has it; ``last``: the AUROC
            after the last epoch.

        Raises
        ------
        ValueError
            Nothing was recorded.
        """
        best = max(self.rows, key=lambda row: row["auroc"])
        return {"auroc": best["auroc"], "epoch": best["step"], "last": self.rows[-1]["auroc"]}

    def save(self, folder: Path, title: str) -> None:
        """Write the plot over epochs, and for each epoch inputs over reconstructions of the three kinds of images."""
        folder.mkdir()
        pictures.draw_trace(folder / "trace.png", self.rows, title)
        for row, images in zip(self.rows, self.reconstructions, strict=False):
            pictures.save_grid(folder / f"epoch-{int(row['step']):03d}.png", images, columns=SHOWN)
