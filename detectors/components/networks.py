"""The encoder and the decoder that the autoencoders share, sized by the images' shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import nn

from oodbench.detectors.base import Shape


def pyramid(shape: Shape, levels: int) -> list[tuple[int, int]]:
    """Return heights and widths after each halving, from the image down.

    Parameters
    ----------
    shape : tuple of int
        (C, H, W).
    levels : int
        Number of halvings.

    Returns
    -------
    list of (int, int)
        ``levels + 1`` sizes; a half is rounded up, as a convolution with stride 2 and padding 1 does.
    """
    sizes = [shape[1:]]
    for _ in range(levels):
        height, width = sizes[-1]
        sizes.append(((height + 1) // 2, (width + 1) // 2))
    return sizes


Encoding = Literal["map", "vector"]
"""What an encoder ends in: one more convolution of stride 2, or a fully connected layer, which leaves one position."""


class Encoder(nn.Sequential):
    """Strided convolutions: images (N, C, H, W) to an encoding (N, F, h, w).

    Each is followed by batch normalisation and a rectifier, the layer that makes the encoding by nothing.

    Parameters
    ----------
    shape : tuple of int
        (C, H, W) of the images.
    channels : sequence of int
        Channels of the convolutions; each halves the image.
    features : int
        F, the channels of the encoding.
    encoding : {"map", "vector"}
        See `Encoding`.
    """

    def __init__(self, shape: Shape, channels: Sequence[int], features: int, encoding: Encoding) -> None:
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((shape[0], *channels)):
            convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
        last = (shape[0], *channels)[-1]
        if encoding == "map":
            layers.append(nn.Conv2d(last, features, 3, stride=2, padding=1))
        else:
            height, width = pyramid(shape, len(channels))[-1]
            layers += [nn.Flatten(), nn.Linear(last * height * width, features), nn.Unflatten(1, (features, 1, 1))]
        super().__init__(*layers)


class Decoder(nn.Sequential):
    """The encoder's mirror image: encodings (N, F, h, w) to the logits of pixels (N, C, H, W).

    Parameters
    ----------
    shape : tuple of int
        (C, H, W) of the images.
    channels : sequence of int
        The encoder's channels; they are walked backwards.
    features : int
        F.
    encoding : {"map", "vector"}
        See `Encoding`.
    """

    def __init__(self, shape: Shape, channels: Sequence[int], features: int, encoding: Encoding) -> None:
        sizes = pyramid(shape, len(channels) + 1)[::-1]
        widths = (features, *channels[::-1], shape[0])
        layers: list[nn.Module] = []
        if encoding == "vector":
            sizes, widths = sizes[1:], widths[1:]
            first = (widths[0], *sizes[0])
            layers += [nn.Flatten(), nn.Linear(features, flat_size(first)), nn.Unflatten(1, first)]
        for (inputs, outputs), (small, large) in zip(pairwise(widths), pairwise(sizes), strict=True):
            # a transposed convolution of stride 2 gives 2s - 1 pixels, and one more where the size was even
            padding = (large[0] - 2 * small[0] + 1, large[1] - 2 * small[1] + 1)
            last = large == shape[1:]  # it gives the pixels themselves
            layers.append(
                nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=padding, bias=last)
            )
            if not last:
                layers += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
        super().__init__(*layers)


def encoding_shape(shape: Shape, channels: Sequence[int], features: int, encoding: Encoding) -> Shape:
    """Return (F, h, w) of the encoding; see `Encoder`."""
    return (features, *(pyramid(shape, len(channels) + 1)[-1] if encoding == "map" else (1, 1)))


def flat_size(shape: Shape) -> int:
    """Return the number of values of one image or encoding of a shape."""
    return math.prod(shape)
