"""The one-vs-rest split: one class is normal, the other classes are out of distribution.

This is the test protocol of Deep SVDD (Ruff et al., ICML 2018, §4.1): train on the normal class's training images, test
on the whole official test part.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from oodbench.datasets.base import Part

VALIDATION_SHARE = 0.1
VALIDATION_SEED = 0


@dataclass(frozen=True)
class Split:
    """What one trial trains and tests on.

    Attributes
    ----------
    train : Tensor
        uint8 (N, C, H, W), normal training images.
    validation : Tensor
        uint8 (M, C, H, W), normal training images that are held out: a tenth, the same for every detector and seed.
    test : Tensor
        uint8 (T, C, H, W), the whole test part.
    test_labels : Tensor
        int64 (T,), the classes of the test images.
    is_ood : Tensor
        bool (T,), True where a test image is not of the normal class.
    """

    train: Tensor
    validation: Tensor
    test: Tensor
    test_labels: Tensor
    is_ood: Tensor


def one_vs_rest(train: Part, test: Part, normal_class: int) -> Split:
    """Split a dataset for one normal class.

    Parameters
    ----------
    train, test : Part
        The dataset's two parts.
    normal_class : int
        The label of the normal class.

    Returns
    -------
    Split
    """
    normal = (train.labels == normal_class).nonzero().squeeze(1)
    shuffled = normal[torch.randperm(len(normal), generator=torch.Generator().manual_seed(VALIDATION_SEED))]
    held_out = int(len(shuffled) * VALIDATION_SHARE)
    return Split(
        train=train.images[shuffled[held_out:]],
        validation=train.images[shuffled[:held_out]],
        test=test.images,
        test_labels=test.labels,
        is_ood=test.labels != normal_class,
    )


def as_float(images: Tensor) -> Tensor:
    """Bring images to the form that detectors take.

    Parameters
    ----------
    images : Tensor
        uint8 (N, C, H, W).

    Returns
    -------
    Tensor
        float32 (N, C, H, W) in [0, 1].
    """
    return images.to(torch.float32) / 255
