"""What has to hold for every dataset."""

from __future__ import annotations

import re
from functools import cache
from typing import Literal

import torch

from oodbench.benchmark.checks.check import Check, adds_to, demand
from oodbench.datasets.base import Dataset, DatasetError, Part

CHECKS: list[Check[Dataset]] = []
check, fatal = adds_to(CHECKS), adds_to(CHECKS, fatal=True)


@cache
def _part(dataset: Dataset, part: Literal["train", "test"]) -> Part:
    return dataset.load(part)


def _parts(dataset: Dataset) -> dict[str, Part]:
    return {"train": _part(dataset, "train"), "test": _part(dataset, "test")}


@check
def has_a_proper_name(dataset: Dataset) -> None:
    """The class is registered under a name of lower-case letters, digits and hyphens."""
    demand(
        re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*(:.+)?", dataset.name),
        f"its name is {dataset.name!r}: register it under lower-case letters, digits and single hyphens.",
    )


@check
def has_a_summary(dataset: Dataset) -> None:
    """The first line of the class's docstring says what it is."""
    demand(
        (vars(type(dataset)).get("__doc__") or "").strip(),
        "the class has no docstring: write one, whose first line `bench list` shows.",
    )


@check
def class_names_are_distinct(dataset: Dataset) -> None:
    """There are two classes at least, with different names, and one of them can be normal."""
    names = [name.lower() for name in dataset.class_names]
    demand(len(names) >= 2, f"it has {len(names)} classes: one is normal and the others are not, so name two at least.")
    demand(len(set(names)) == len(names), f"two of its class names are the same: {', '.join(dataset.class_names)}.")
    demand(dataset.normal_classes(), "all of its classes are abnormal: leave one out of `abnormal`.")


@check
def knows_its_shape_unloaded(dataset: Dataset) -> None:
    """The class itself declares the images' shape (C, H, W), before anything is loaded."""
    shape = type(dataset).shape
    demand(
        len(shape) == 3 and all(isinstance(size, int) and size > 0 for size in shape),
        f"shape is {shape!r}: set it to (channels, height, width).",
    )


@fatal
def prepares_itself(dataset: Dataset) -> None:
    """``prepare`` succeeds, after which no file is missing."""
    try:
        dataset.prepare()
    except DatasetError as error:
        demand(False, f"it cannot be had: {error}")
    demand(not dataset.missing(), f"after prepare, {dataset.missing()[:1]} is still missing: download it there.")


@fatal
def images_are_bytes_of_the_shape(dataset: Dataset) -> None:
    """Both parts hold uint8 images (N, C, H, W) of the shape that the class declares."""
    for name, part in _parts(dataset).items():
        images = part.images
        demand(
            images.dtype == torch.uint8 and tuple(images.shape[1:]) == tuple(dataset.shape),
            f"the {name} part holds {images.dtype} images {tuple(images.shape)}: return uint8 (N, "
            f"{', '.join(map(str, dataset.shape))}).",
        )


@check
def images_use_the_whole_range(dataset: Dataset) -> None:
    """Pixels reach from dark to bright, as bytes do; images in [0, 1] that were cut to bytes would be black."""
    for name, part in _parts(dataset).items():
        low, high = (int(value) for value in part.images.aminmax())
        demand(high - low > 32, f"the {name} part's pixels span only {low} to {high}: scale them to 0 to 255.")


@fatal
def labels_are_indices_of_classes(dataset: Dataset) -> None:
    """Each image has one int64 label, an index into ``class_names``."""
    for name, part in _parts(dataset).items():
        labels = part.labels
        demand(
            labels.dtype == torch.int64 and labels.shape == (len(part.images),),
            f"the {name} part has {labels.dtype} labels {tuple(labels.shape)} for {len(part.images)} images: return "
            f"int64 ({len(part.images)},).",
        )
        demand(
            labels.min() >= 0 and labels.max() < len(dataset.class_names),
            f"the {name} part's labels span {int(labels.min())} to {int(labels.max())}, but there are "
            f"{len(dataset.class_names)} class names.",
        )


@check
def normal_classes_are_in_both_parts(dataset: Dataset) -> None:
    """Each class that can be normal has training images and test images."""
    for name, part in _parts(dataset).items():
        present = set(part.labels.tolist())
        lost = [dataset.class_names[label] for label in dataset.normal_classes() if label not in present]
        demand(not lost, f"the {name} part has no image of {', '.join(lost)}: list it in `abnormal`, or add images.")


@check
def test_part_has_other_classes(dataset: Dataset) -> None:
    """The test part holds out-of-distribution images for each normal class."""
    present = set(_part(dataset, "test").labels.tolist())
    demand(len(present) >= 2, "the test part holds one class only, so that nothing in it is out of distribution.")


@check
def loads_the_same_again(dataset: Dataset) -> None:
    """Loaded again, the parts are the same, in the same order."""
    for name, part in _parts(dataset).items():
        again = dataset.load("train" if name == "train" else "test")
        demand(
            torch.equal(again.images, part.images) and torch.equal(again.labels, part.labels),
            f"the {name} part differs from one load to the next: fix the order, and the seed of every draw.",
        )


@check
def parts_do_not_overlap(dataset: Dataset) -> None:
    """Hardly any test image is also a training image; real datasets repeat a few."""
    train, test = (part.images.flatten(1).numpy() for part in _parts(dataset).values())
    known = {image.tobytes() for image in train}
    repeated = sum(image.tobytes() in known for image in test)
    demand(
        repeated <= 0.05 * len(test),
        f"{repeated} of {len(test)} test images are training images too: split them without overlap.",
    )
