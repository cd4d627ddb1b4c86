from __future__ import annotations

import pytest
import torch

from oodbench.detectors.ae import AE
from oodbench.detectors.input_complexity import LEAST, complexity
from tests.conftest import blobs


def test_by_hand() -> None:
    image = torch.tensor([[[[0.0, 1.0], [0.5, 0.5]]]])
    # across: 1 and 0; down: 0.5² twice
    assert complexity(image).tolist() == pytest.approx([1.5 + LEAST])


def test_one_colour_is_least_complex() -> None:
    assert complexity(torch.full((2, 3, 5, 4), 0.7)).tolist() == pytest.approx([LEAST, LEAST])


def test_scores_are_relative_to_it_unless_told_otherwise() -> None:
    images = blobs(20)
    plain = AE(epochs=2, complexity_power=0).fit(images)
    relative = AE(epochs=2, complexity_power=1).fit(images)
    assert torch.allclose(relative.score(images), plain.score(images) / complexity(images))
