"""``--trace``: what happens to the test images while a detector trains. It is shown, and chooses nothing."""

from __future__ import annotations

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from oodbench.benchmark.evaluation.measures import Oracle
from oodbench.benchmark.evaluation.outputs import reconstructions_of, scores_of
from oodbench.datasets.components.split import Split, as_float
from oodbench.detectors.base import Detector, can_reconstruct

SHOWN = 8
TRAINING_IMAGES = 1000


class Trace:
    """Watches a detector after every epoch.

    It uses nothing random, so that a traced trial gives the same scores as any other.

    Parameters
    ----------
    detector : Detector
        The detector that is being fitted.
    split : Split
        Its images are watched.

    Attributes
    ----------
    rows : list of dict
        For each epoch: test AUROC, and the mean reconstruction error (squared, a pixel) and the mean score of training,
        normal test and OOD test images.
    reconstructions : list of Tensor
        For each epoch float32 (48, C, H, W) in [0, 1]: for each of these three kinds of images, eight images and then
        their reconstructions. Empty for a detector that does not reconstruct.
    """

    def __init__(self, detector: Detector, split: Split) -> None:
        self.detector = detector
        test = as_float(split.test)
        self.images = {
            "train": as_float(split.train[:TRAINING_IMAGES]),
            "test_normal": test[~split.is_ood],
            "test_ood": test[split.is_ood],
        }
        self.rows: list[dict[str, float]] = []
        self.reconstructions: list[Tensor] = []

    def record(self, step: int) -> None:
        """Measure the detector as it is, and keep some reconstructions.

        Parameters
        ----------
        step : int
            The epoch that has just finished.
        """
        row: dict[str, float] = {"step": step}
        # at once: a detector may have to prepare itself to score in the midst of a fit
        together = scores_of(self.detector, torch.cat(list(self.images.values())))
        scores = dict(zip(self.images, together.split([len(images) for images in self.images.values()]), strict=True))
        is_ood = [False] * len(scores["test_normal"]) + [True] * len(scores["test_ood"])
        row["auroc"] = float(roc_auc_score(is_ood, torch.cat([scores["test_normal"], scores["test_ood"]])))
        row |= {f"score_{name}": float(values.mean()) for name, values in scores.items()}
        if can_reconstruct(type(self.detector)):
            shown = []
            for name, images in self.images.items():
                reconstructions = reconstructions_of(self.detector, images)
                row[f"error_{name}"] = float((reconstructions - images).square().mean())
                shown.append(torch.cat([images[:SHOWN], reconstructions[:SHOWN]]))
            self.reconstructions.append(torch.cat(shown))
        self.rows.append(row)

    def oracle(self) -> Oracle | None:
        """Return what choosing the epoch on the test images would have given; None if nothing was recorded."""
        if not self.rows:
            return None
        best = max(self.rows, key=lambda row: row["auroc"])
        return Oracle(auroc=best["auroc"], epoch=int(best["step"]), last=self.rows[-1]["auroc"])
