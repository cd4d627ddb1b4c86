from __future__ import annotations

import torch

from oodbench.datasets import Part, as_float, one_vs_rest


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


def test_as_float_spans_0_to_1() -> None:
    values = as_float(torch.tensor([0, 51, 255], dtype=torch.uint8))
    assert values.dtype == torch.float32
    assert values.tolist() == [0.0, torch.tensor(0.2).item(), 1.0]
