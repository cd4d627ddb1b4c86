"""Probes: images that no method should call normal, or of which one wants to know whether it does.

A trained detector scores them beside the normal test images. They are bytes like any image, and the same ones whatever
the trial's seed. An AUROC under 0.5 means that a probe is more normal to the detector than normal images are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn.functional import interpolate

from oodbench.benchmark.evaluation.outputs import scores_of
from oodbench.datasets.components.split import as_float
from oodbench.detectors.base import Detector

IMAGES = 300
"""Of each probe, at most: as many normal test images are changed."""
SEED = 0
BLUR = 1 / 14
"""Standard deviation of the blur, as a share of the shorter side: 2 pixels of 28."""
SLIGHT = 0.05
"""Standard deviation of slight noise; 0 is black and 1 is white."""
LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R BT.601)."""

Make = Callable[[Tensor, torch.Generator], Tensor]
"""Makes a probe of normal images, uint8 (N, C, H, W) to the same."""


def noise(images: Tensor, generator: torch.Generator) -> Tensor:
    """Draw every value uniformly."""
    return torch.randint(256, images.shape, generator=generator, dtype=torch.uint8)


def one_colour(images: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one colour (one level of grey) for each image, uniformly."""
    colours = torch.randint(256, (*images.shape[:2], 1, 1), generator=generator, dtype=torch.uint8)
    return colours.expand_as(images).contiguous()


def shuffled(images: Tensor, generator: torch.Generator) -> Tensor:
    """Permute the pixels of each image in its own way; a pixel's channels stay together."""
    pixels = images.flatten(2)
    order = torch.rand(len(pixels), 1, pixels.shape[2], generator=generator).argsort(2)
    return pixels.gather(2, order.expand_as(pixels)).view_as(images)


def blurred(images: Tensor, generator: torch.Generator) -> Tensor:
    """Blur with a Gaussian, `BLUR` of the shorter side wide; the border is continued."""
    del generator
    sigma = BLUR * min(images.shape[2:])
    soft = gaussian_filter(images.numpy().astype(np.float32), (0, 0, sigma, sigma), mode="nearest")
    return _bytes(torch.from_numpy(soft))


def inverted(images: Tensor, generator: torch.Generator) -> Tensor:
    """Make black white."""
    del generator
    return 255 - images


def noisy(images: Tensor, generator: torch.Generator) -> Tensor:
    """Add Gaussian noise, `SLIGHT` wide."""
    return _bytes(images + 255 * SLIGHT * torch.randn(images.shape, generator=generator))


PROBES: Final[Mapping[str, Make]] = {
    "noise": noise,
    "one_colour": one_colour,
    "shuffled": shuffled,
    "blurred": blurred,
    "inverted": inverted,
    "noisy": noisy,
}
"""By the names that `oodbench.benchmark.evaluation.measures.PROBES` lists."""


def as_shape(images: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Return images in another shape.

    Parameters
    ----------
    images : Tensor
        uint8 (N, C, H, W).
    shape : tuple of int
        (C, H, W) to convert to.

    Returns
    -------
    Tensor
        uint8 (N, *shape): grey is repeated, of colour the luminance is taken; resized bilinearly.
    """
    values = images.float()
    if values.shape[1] != shape[0]:
        if values.shape[1] == len(LUMINANCE):
            values = (values * torch.tensor(LUMINANCE).view(1, -1, 1, 1)).sum(1, keepdim=True)
        values = values.mean(1, keepdim=True).expand(-1, shape[0], -1, -1)
    return _bytes(interpolate(values, shape[1:], mode="bilinear", antialias=True))


def probe(
    detector: Detector, normal: Tensor, scores: Tensor, others: Mapping[str, Tensor] | None = None
) -> dict[str, float]:
    """Compare the scores of normal test images with those of each probe.

    Parameters
    ----------
    detector : Detector
        Trained.
    normal : Tensor
        uint8 (N, C, H, W), the normal test images; at least one.
    scores : Tensor
        float32 (N,), their scores.
    others : mapping of str to Tensor, optional
        Images of other datasets by name, uint8 (n, C', H', W').

    Returns
    -------
    dict of str to float
        AUROC in [0, 1] for each of `PROBES` and of `others`: the probe is out of distribution, ties count half.

    Raises
    ------
    ValueError
        The detector raised an error on a probe, which the message names, or gave no finite scores.
    """
    chosen = normal[torch.randperm(len(normal), generator=torch.Generator().manual_seed(SEED))[:IMAGES]]
    aurocs = {}
    for name, make in PROBES.items():
        aurocs[name] = _auroc(detector, name, make(chosen, torch.Generator().manual_seed(SEED)), scores)
    for name, images in (others or {}).items():
        _, *shape = normal.shape
        aurocs[name] = _auroc(detector, name, as_shape(images[:IMAGES], (shape[0], shape[1], shape[2])), scores)
    return aurocs


def _auroc(detector: Detector, name: str, images: Tensor, normal: Tensor) -> float:
    try:
        scores = scores_of(detector, as_float(images))
    except Exception as error:  # whatever a detector raises
        raise ValueError(f"The probe {name} could not be scored: {type(error).__name__}: {error}") from error
    is_ood = np.repeat([False, True], [len(normal), len(scores)])
    return min(float(roc_auc_score(is_ood, torch.cat([normal, scores]).numpy())), 1.0)


def _bytes(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)
