"""One-vs-rest splits: one class is normal, the other classes are out of distribution.

Which of them a trial uses is up to its protocol; see `oodbench.datasets.components.protocols`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from oodbench.datasets.base import DatasetError, Part

VALIDATION_SHARE = 0.1
VALIDATION_SEED = 0
OOD_SHARE = 0.3
"""Share of the test images that are out of distribution in MemAE's protocol."""
SELECTION_IMAGES = 200
"""Images of each other class against which hyperparameters are chosen."""


@dataclass(frozen=True)
class Split:
    """The images that one trial trains and tests on.

    Attributes
    ----------
    train : Tensor
        uint8 (N, C, H, W), normal training images.
    validation : Tensor
        uint8 (M, C, H, W), normal training images held out from training: a tenth, the same for every detector.
    test : Tensor
        uint8 (T, C, H, W), normal images and others.
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
    """Split a dataset for one normal class as Deep SVDD does (Ruff et al., ICML 2018, §4.1).

    Training images are those of the normal class in the training part, less a tenth held out for validation; test
    images are the whole test part.

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
    generator = torch.Generator().manual_seed(VALIDATION_SEED)
    fitted, held_out = _hold_out(_shuffled(train.labels == normal_class, generator))
    return Split(
        train=train.images[fitted],
        validation=train.images[held_out],
        test=test.images,
        test_labels=test.labels,
        is_ood=test.labels != normal_class,
    )


def memae_split(train: Part, test: Part, normal_class: int, seed: int) -> Split:
    """Split a dataset for one normal class as MemAE does (Gong et al., ICCV 2019, §4.1).

    Both parts are pooled. The images of the normal class are split at random, 2:1, into training and testing; images
    drawn at random from the other classes make up 30 % of the test images.

    Parameters
    ----------
    train, test : Part
        The dataset's two parts.
    normal_class : int
        The label of the normal class.
    seed : int
        Seeds the draw of training and test images.

    Returns
    -------
    Split

    Raises
    ------
    DatasetError
        There are too few images of the normal class or of the others.
    """
    images, labels = torch.cat([train.images, test.images]), torch.cat([train.labels, test.labels])
    generator = torch.Generator().manual_seed(seed)
    normal, others = _shuffled(labels == normal_class, generator), _shuffled(labels != normal_class, generator)
    kept = len(normal) // 3
    drawn = round(kept * OOD_SHARE / (1 - OOD_SHARE))
    if not 0 < drawn <= len(others):
        raise DatasetError(
            f"There are too few images for the protocol memae, which tests a third of the normal class's {len(normal)} "
            f"images and, to every seven of these, three of the {len(others)} others: take the default protocol."
        )
    tested = torch.cat([normal[:kept], others[:drawn]])
    fitted, held_out = _hold_out(normal[kept:])
    return Split(
        train=images[fitted],
        validation=images[held_out],
        test=images[tested],
        test_labels=labels[tested],
        is_ood=labels[tested] != normal_class,
    )


def selection_split(train: Part, normal_class: int) -> Split:
    """Split a dataset's training part alone, to choose hyperparameters by.

    Training images are those of `one_vs_rest`; test images are the normal images held out there and some training
    images of each other class.

    Parameters
    ----------
    train : Part
        The dataset's training part.
    normal_class : int
        The label of the normal class.

    Returns
    -------
    Split

    Raises
    ------
    DatasetError
        No image can be held out, or there is no other class.
    """
    split = one_vs_rest(train, train, normal_class)
    generator = torch.Generator().manual_seed(VALIDATION_SEED)
    others = [
        _shuffled(train.labels == label, generator)[:SELECTION_IMAGES]
        for label in train.labels.unique().tolist()
        if label != normal_class
    ]
    if not others or not len(split.validation):
        raise DatasetError(
            f"The training part has {len(split.validation)} images of class {normal_class} to hold out and "
            f"{len(others)} other classes: choosing hyperparameters takes some of both."
        )
    ood = torch.cat(others)
    tested = torch.full((len(split.validation),), normal_class)
    return replace(
        split,
        test=torch.cat([split.validation, train.images[ood]]),
        test_labels=torch.cat([tested, train.labels[ood]]),
        is_ood=torch.cat([tested, train.labels[ood]]) != normal_class,
    )


def as_float(images: Tensor) -> Tensor:
    """Convert images to the form that detectors take.

    Parameters
    ----------
    images : Tensor
        uint8 (N, C, H, W).

    Returns
    -------
    Tensor
        float32 (N, C, H, W) in [0, 1].
    """
    return images.to(torch.float32).div_(255)


def _shuffled(chosen: Tensor, generator: torch.Generator) -> Tensor:
    """Return the indices at which a bool tensor is True, in random order."""
    indices = chosen.nonzero().squeeze(1)
    return indices[torch.randperm(len(indices), generator=generator)]


def _hold_out(indices: Tensor) -> tuple[Tensor, Tensor]:
    """Divide indices into those to fit and a tenth to hold out."""
    held_out = int(len(indices) * VALIDATION_SHARE)
    return indices[held_out:], indices[:held_out]
