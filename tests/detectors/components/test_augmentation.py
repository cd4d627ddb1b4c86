from __future__ import annotations

import torch

from oodbench.detectors.components.augmentation import shifted


def test_shifts_are_parts_of_the_reflected_image() -> None:
    images = torch.arange(2 * 64.0).view(2, 1, 8, 8)
    moved = shifted(images, mirror=False, generator=torch.Generator().manual_seed(0))
    for image, result in zip(images, moved, strict=True):
        padded = torch.nn.functional.pad(image.unsqueeze(0), (1, 1, 1, 1), mode="reflect")[0]
        views = [padded[:, y : y + 8, x : x + 8] for y in range(3) for x in range(3)]
        assert any(torch.equal(result, view) for view in views)
