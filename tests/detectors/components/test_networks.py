from __future__ import annotations

import pytest
import torch

from oodbench.detectors.base import Shape
from oodbench.detectors.components.networks import Decoder, Encoder, Encoding, encoding_shape, pyramid


def test_pyramid_halves_and_rounds_up() -> None:
    assert pyramid((1, 28, 20), 3) == [(28, 20), (14, 10), (7, 5), (4, 3)]


@pytest.mark.parametrize("encoding", ["map", "vector"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 17, 30), (2, 1, 1)])
def test_decoder_gives_back_the_image_s_shape(shape: Shape, encoding: Encoding) -> None:
    images = torch.rand(2, *shape)
    latents = Encoder(shape, (4, 8), 5, encoding)(images)
    assert latents.shape[1:] == encoding_shape(shape, (4, 8), 5, encoding)
    assert Decoder(shape, (4, 8), 5, encoding)(latents).shape == images.shape


def test_a_vector_has_one_position_and_a_map_keeps_them() -> None:
    assert encoding_shape((1, 28, 28), (16, 32, 64), 4, "map") == (4, 2, 2)
    assert encoding_shape((1, 28, 28), (16, 32, 64), 4, "vector") == (4, 1, 1)
