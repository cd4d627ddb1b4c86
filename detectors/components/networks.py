"""The encoder and the decoder that the autoencoders share, sized by the images' shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

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


SLOPE = 0.2
"""Slope of the leaky rectifiers for negative values."""


def initialise(network: nn.Module) -> None:
    """Draw weights so that signals keep their size from layer to layer (He et al., ICCV 2015).

    With torch's own initial weights they shrink, and training starts on a plateau: on MNIST and CIFAR-10 eight epochs
    then reach a higher loss.

    Parameters
    ----------
    network : Module
        Whose convolutions and linear layers are changed in place.
    """
    for layer in network.modules():
        if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            continue
        inputs = layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels * layer.weight[0, 0].numel()
        if isinstance(layer, nn.ConvTranspose2d):  # each pixel gets only some of the kernel
            inputs = inputs // math.prod(layer.stride)
        gain = 1.0 if isinstance(layer, nn.Linear) else nn.init.calculate_gain("leaky_relu", SLOPE)
        nn.init.normal_(layer.weight, std=gain / math.sqrt(inputs))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


class Encoder(nn.Sequential):
    """Strided convolutions and one linear layer: images (N, C, H, W) to features (N, F).

    Parameters
    ----------
    shape : tuple of int
        (C, H, W) of the images.
    channels : sequence of int
        Channels of each convolution; each halves the image.
    features : int
        F, the length of the feature vector.
    """

    def __init__(self, shape: Shape, channels: Sequence[int], features: int) -> None:
        height, width = pyramid(shape, len(channels))[-1]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((shape[0], *channels)):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.LeakyReLU(SLOPE, inplace=True)]
        super().__init__(*layers, nn.Flatten(), nn.Linear(channels[-1] * height * width, features))
        initialise(self)


class Decoder(nn.Module):
    """The encoder's mirror image: latent vectors (N, L) to logits of pixels (N, C, H, W).

    Parameters
    ----------
    shape : tuple of int
        (C, H, W) of the images.
    channels : sequence of int
        The encoder's channels; they are walked backwards.
    latent_size : int
        L.
    """

    def __init__(self, shape: Shape, channels: Sequence[int], latent_size: int) -> None:
        super().__init__()
        sizes = pyramid(shape, len(channels))[::-1]
        self.seed_shape = (channels[-1], *sizes[0])
        self.expand = nn.Linear(latent_size, channels[-1] * sizes[0][0] * sizes[0][1])
        layers: list[nn.Module] = []
        for (inputs, outputs), (small, large) in zip(
            pairwise((*channels[::-1], shape[0])), pairwise(sizes), strict=True
        ):
            # a transposed convolution of stride 2 gives 2s - 1 pixels, and one more where the size was even
            padding = (large[0] - 2 * small[0] + 1, large[1] - 2 * small[1] + 1)
            layers += [
                nn.LeakyReLU(SLOPE, inplace=True),
                nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=padding),
            ]
        self.layers = nn.Sequential(*layers)
        initialise(self)

    def forward(self, latents: Tensor) -> Tensor:
        """Return the logits of the pixels that latents are decoded to.

        Parameters
        ----------
        latents : Tensor
            (N, L).

        Returns
        -------
        Tensor
            (N, C, H, W); their sigmoid is the image.
        """
        logits: Tensor = self.layers(self.expand(latents).unflatten(1, self.seed_shape))
        return logits
