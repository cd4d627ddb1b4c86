from __future__ import annotations

import pytest
import torch

from oodbench.datasets import DatasetError, Part, as_float, one_vs_rest
from oodbench.datasets.components.protocols import DEFAULT_PROTOCOL, PROTOCOLS
from oodbench.datasets.components.split import Split, memae_split, selection_split


def part(labels: list[int]) -> Part:
    """Images that hold their own index in every pixel."""
    images = torch.arange(len(labels), dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    return Part(images, torch.tensor(labels))


TRAIN, TEST = part([0, 1] * 50), part([0, 1, 2, 0])


def test_trains_on_the_normal_class_only_and_holds_a_tenth_out() -> None:
    split = one_vs_rest(TRAIN, TEST, 1)
    trained = set(split.train[:, 0, 0, 0].tolist())
    held_out = set(split.validation[:, 0, 0, 0].tolist())
    assert len(trained) == 45
    assert len(held_out) == 5
    assert trained | held_out == set(range(1, 100, 2))


def test_tests_on_the_whole_test_part_with_all_other_classes_ood() -> None:
    split = one_vs_rest(TRAIN, TEST, 0)
    assert torch.equal(split.test, TEST.images)
    assert split.is_ood.tolist() == [False, True, True, False]


def test_holds_the_same_images_out_every_time() -> None:
    assert torch.equal(one_vs_rest(TRAIN, TEST, 1).validation, one_vs_rest(TRAIN, TEST, 1).validation)


def halves(normal: int, others: int) -> tuple[Part, Part]:
    """Images that are all different, half of them in each part: class 0, then as many of 1 and 2 in turn."""
    labels = [0] * normal + [1 + k % 2 for k in range(others)]
    both = part(labels)
    return Part(both.images[::2], both.labels[::2]), Part(both.images[1::2], both.labels[1::2])


def members(split: Split) -> tuple[list[int], list[int], list[int]]:
    """Which images are in training, validation and test, by what they hold."""
    train, validation, test = (images[:, 0, 0, 0].tolist() for images in (split.train, split.validation, split.test))
    return train, validation, test


def test_the_default_protocol_is_that_of_deep_svdd_whatever_the_seed() -> None:
    """Which images are held out is pinned: stored results are of this split."""
    assert DEFAULT_PROTOCOL == "deep-svdd"
    for seed in (0, 7):
        split = PROTOCOLS["deep-svdd"].split(TRAIN, TEST, 1, seed)
        assert split.validation[:, 0, 0, 0].tolist() == [89, 79, 15, 13, 35]
        assert split.train[:5, 0, 0, 0].tolist() == [59, 43, 75, 67, 21]
        assert torch.equal(split.test, TEST.images)


def test_memae_splits_the_normal_class_2_to_1_and_tests_30_percent_others() -> None:
    split = PROTOCOLS["memae"].split(*halves(105, 140), 0, 0)
    train, validation, test = members(split)
    assert (len(train), len(validation), len(test)) == (63, 7, 50)  # 70 normal ones to train, 35 to test
    assert split.is_ood.sum() == 15
    assert torch.equal(split.is_ood, split.test_labels != 0)
    assert set(split.test_labels[split.is_ood].tolist()) == {1, 2}
    assert (split.test[split.is_ood, 0, 0, 0] >= 105).all()  # labels are those of the images
    assert {image % 2 for image in train} == {image % 2 for image in test} == {0, 1}  # of both parts


def test_memae_uses_each_normal_image_once_and_each_other_at_most_once() -> None:
    train, validation, test = members(memae_split(*halves(105, 140), 0, 0))
    used = [*train, *validation, *test]
    assert len(used) == len(set(used))
    assert {image for image in used if image < 105} == set(range(105))


def test_memae_draws_by_the_seed() -> None:
    first, again, other = (members(memae_split(*halves(105, 140), 0, seed)) for seed in (3, 3, 4))
    assert first == again
    assert all(set(mine) != set(another) for mine, another in zip(first, other, strict=True))


@pytest.mark.parametrize(("normal", "others"), [(105, 14), (5, 100), (0, 100)])
def test_memae_needs_enough_images(normal: int, others: int) -> None:
    message = (
        f"a third of the normal class's {normal} images and, to every seven of these, three of the {others} others"
    )
    with pytest.raises(DatasetError, match=message):
        memae_split(*halves(normal, others), 0, 0)


def test_memae_with_just_enough_images() -> None:
    assert memae_split(*halves(105, 15), 0, 0).is_ood.sum() == 15


def test_as_float_spans_0_to_1() -> None:
    values = as_float(torch.tensor([0, 51, 255], dtype=torch.uint8))
    assert values.dtype == torch.float32
    assert values.tolist() == [0.0, torch.tensor(0.2).item(), 1.0]


def test_hyperparameters_are_chosen_on_training_images_of_all_classes() -> None:
    split, ordinary = selection_split(TRAIN, 1), one_vs_rest(TRAIN, TEST, 1)
    assert torch.equal(split.train, ordinary.train)
    assert torch.equal(split.test[~split.is_ood], ordinary.validation)
    others = split.test[split.is_ood][:, 0, 0, 0].tolist()
    assert sorted(others) == list(range(0, 100, 2))  # all that there are: fewer than are drawn of each class
    assert split.test_labels.tolist() == [1] * 5 + [0] * 50


def test_choosing_takes_other_classes() -> None:
    with pytest.raises(DatasetError, match="0 other classes: choosing hyperparameters takes some of both"):
        selection_split(part([1] * 50), 1)
