from __future__ import annotations

import pytest
import torch

from oodbench.benchmark.evaluation.samples import margins


def test_the_boundary_of_a_class_is_where_another_one_is_as_likely() -> None:
    probabilities = torch.tensor([[0.9, 0.06, 0.04], [0.45, 0.1, 0.45], [0.2, 0.3, 0.5], [0.0, 1.0, 0.0]])
    assert margins(probabilities, 0).tolist() == pytest.approx([0.84, 0.0, 0.3, 1.0])
    assert margins(probabilities, 2).tolist() == pytest.approx([0.86, 0.0, 0.2, 1.0])
