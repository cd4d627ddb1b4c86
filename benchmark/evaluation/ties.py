"""Whether scores are equal only because a number cannot hold their difference."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FEW = 0.5
"""Fewer different scores than this share of the different images are few."""
NEIGHBOURS = 2
"""Two float32 are neighbours if so many steps, the smallest there are, lead from one to the other."""


def lost_to_ties(scores: NDArray[np.float32], images: NDArray[np.uint8]) -> str | None:
    """Judge whether the order of images is lost in equal scores.

    A method may count (as `complexity` counts bytes), and has few different scores by its nature. The order is lost
    where scores are few and some are neighbours among the numbers of their type, so that others between them were
    rounded away, or where one score, as a limit, is that of more than half of the images.

    Parameters
    ----------
    scores : array
        float32 (N,), finite.
    images : array
        uint8 (N, C, H, W).

    Returns
    -------
    str or None
        A phrase as in `Measures.unhealthy`; None if there is no such sign.
    """
    values, counts = np.unique(scores, return_counts=True)
    if len(values) >= FEW * len(images):
        return None
    different = len({image.tobytes() for image in images})
    neighbours = np.diff(values) <= NEIGHBOURS * np.spacing(np.abs(values[1:]))
    if len(values) >= FEW * different or not (neighbours.any() or counts.max() > len(images) / 2):
        return None
    return (
        f"only {len(values):,} different score{'s' * (len(values) != 1)} for {different:,} different test images: "
        "rounding or a limit makes ties, which count half"
    )
