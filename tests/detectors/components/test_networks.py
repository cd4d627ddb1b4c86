from __future__ import annotations

import pytest
import torch

from oodbench.detectors.base import Shape
from oodbench.detectors.components.networks import Decoder, Encoder, pyramid


def test_pyramid_halves_and_rounds_up() -> None:
    assert pyramid((1, 28, 20), 3) == [(28, 20), (14, 10), (7, 5), (4, 3)]


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 17, 30), (2, 1, 1)])
def test_decoder_gives_back_the_image_s_shape(shape: Shape) -> None:
    images = torch.rand(2, *shape)
    latents = Encoder(shape, (4, 8, 16), 5)(images)
    assert latents.shape == (2, 5)
    assert Decoder(shape, (4, 8, 16), 5)(latents).shape == images.shape
