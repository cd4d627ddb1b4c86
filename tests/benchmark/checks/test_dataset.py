from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from oodbench.benchmark.checks import CheckFailed, check_dataset
from oodbench.benchmark.checks.dataset import CHECKS
from oodbench.benchmark.plugins import Plugins
from oodbench.datasets import Dataset, DatasetError, Part, register
from oodbench.datasets.digits import Digits

BY_NAME = {check.name: check for check in CHECKS}


@register("whole")
class Whole(Dataset):
    """Two classes of noise, dark and bright."""

    class_names = ("dark", "bright")
    shape = (1, 6, 6)

    def load(self, part: Literal["train", "test"]) -> Part:
        generator = torch.Generator().manual_seed(len(part))
        images = torch.randint(0, 100, (20, *self.shape), generator=generator, dtype=torch.uint8)
        images[10:] += 100
        return Part(images, torch.arange(20) // 10)


def broken(**changes: Any) -> Dataset:
    """A dataset that is whole but for some attributes, or for what `change` makes of a part."""
    change = changes.pop("change", None)
    if change is not None:
        changes["load"] = lambda self, part: change(Whole.load(self, part), part)
    return type("Broken", (Whole,), {"__doc__": "Broken.", **changes})(Path())  # type: ignore[no-any-return]


def unprepared(_: Dataset) -> None:
    raise DatasetError("The disk is full.")


BROKEN: dict[str, list[Dataset]] = {
    "has_a_proper_name": [broken(name="My Data")],
    "has_a_summary": [broken(__doc__="")],
    "class_names_are_distinct": [
        broken(class_names=("one",)),
        broken(class_names=("A", "a")),
        broken(abnormal=(0, 1)),
    ],
    "knows_its_shape_unloaded": [broken(shape=(6, 6)), broken(shape=(1.0, 6, 6))],
    "prepares_itself": [broken(prepare=unprepared), broken(missing=lambda _: [Path("gone")], download=lambda _: None)],
    "images_are_bytes_of_the_shape": [
        broken(change=lambda part, _: Part(part.images.float(), part.labels)),
        broken(change=lambda part, _: Part(part.images.movedim(1, -1), part.labels)),
    ],
    "images_use_the_whole_range": [broken(change=lambda part, _: Part(part.images // 255, part.labels))],
    "labels_are_indices_of_classes": [
        broken(change=lambda part, _: Part(part.images, part.labels + 1)),
        broken(change=lambda part, _: Part(part.images, part.labels.int())),
        broken(change=lambda part, _: Part(part.images, part.labels[1:])),
    ],
    "normal_classes_are_in_both_parts": [
        broken(change=lambda part, name: part if name == "test" else Part(part.images[:10], part.labels[:10]))
    ],
    "test_part_has_other_classes": [broken(change=lambda part, _: Part(part.images[:10], part.labels[:10]))],
    "loads_the_same_again": [
        broken(change=lambda part, _: Part(torch.randint(0, 255, part.images.shape).byte(), part.labels))
    ],
    "parts_do_not_overlap": [broken(load=lambda self, _: Whole.load(self, "train"))],
}


def test_there_is_a_broken_dataset_for_each_check() -> None:
    assert set(BROKEN) == set(BY_NAME)


@pytest.mark.parametrize(
    ("check", "dataset"), [(check, dataset) for check, datasets in BROKEN.items() for dataset in datasets]
)
def test_each_check_can_fail(check: str, dataset: Dataset) -> None:
    outcome = BY_NAME[check].outcome(dataset)
    assert outcome.status == "failed", outcome.message
    assert not outcome.message.startswith("it raised")


@pytest.mark.parametrize("cls", [Whole, Digits])
def test_whole_datasets_pass(cls: type[Dataset]) -> None:
    check_dataset(cls(Path()))


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_real_datasets_pass(name: str, plugins: Plugins, data_dir: Path) -> None:
    check_dataset(plugins.datasets[name](data_dir))


def test_all_faults_are_reported_with_their_fix() -> None:
    with pytest.raises(
        CheckFailed, match=r"has_a_proper_name: its name is 'My Data'[^\n]*\nclass_names_are_distinct: it"
    ):
        check_dataset(broken(name="My Data", class_names=("one",)))
