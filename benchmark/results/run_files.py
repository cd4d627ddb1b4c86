"""What run folders hold as arrays. They may be damaged: a cut-off file must end no table and no page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCORES, SAMPLES = "scores.npz", "samples.npy"


@dataclass(frozen=True)
class Scores:
    """Scores of a trial's test images.

    Attributes
    ----------
    score : array
        Floating-point (N,), finite.
    is_ood : array
        bool (N,), with at least one of each.
    """

    score: NDArray[Any]
    is_ood: NDArray[np.bool_]


def read_scores(folder: Path) -> Scores | None:
    """Read the scores in a run folder; None where there are none, or their file is damaged."""
    try:
        with np.load(folder / SCORES) as stored:
            score, is_ood = stored["score"], stored["is_ood"]
        sound = score.dtype.kind == "f" and is_ood.dtype == bool and score.ndim == 1 and score.shape == is_ood.shape
        both = sound and np.isfinite(score).all() and is_ood.any() and not is_ood.all()
    except Exception:  # zip, zlib and numpy have a dozen errors for what was cut off or changed
        return None
    return Scores(score, is_ood) if both else None


def read_samples(folder: Path) -> NDArray[np.uint8] | None:
    """Read the samples in a run folder, (n, C, H, W); None where there are none, or their file is damaged."""
    try:
        samples = np.load(folder / SAMPLES)
        sound = samples.dtype == np.uint8 and samples.ndim == 4 and samples.size and samples.shape[1] in (1, 3)
    except Exception:  # as for scores
        return None
    return samples if sound else None
