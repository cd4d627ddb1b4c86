from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional
from torchvision.utils import make_grid

from oodbench.benchmark.reporting.pictures import magnified_grid


@pytest.mark.parametrize(
    ("shape", "columns"), [((32, 1, 8, 8), 8), ((7, 3, 32, 32), 5), ((3, 1, 28, 28), 8), ((5, 3, 10, 14), 2)]
)
def test_a_grid_is_laid_out_as_torchvision_does(shape: tuple[int, ...], columns: int) -> None:
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    large = functional.interpolate(images, scale_factor=round(64 / shape[-1]), mode="nearest")
    expected = (make_grid(large, nrow=columns, padding=2, pad_value=1.0) * 255).round().to(torch.uint8)
    assert np.array_equal(magnified_grid(images, columns=columns), expected.permute(1, 2, 0).numpy())
