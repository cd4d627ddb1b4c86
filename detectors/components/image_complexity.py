"""How much there is to reconstruct in an image, and what error is to be expected of it.

Errors and likelihoods of generative models follow the complexity of an image: a plain one scores normal whatever it
shows. Serrà et al. ("Input complexity and out-of-distribution detection with likelihood-based generative models", ICLR
2020, equation 4) therefore subtract from the negative log-likelihood the length of the image's code under a compressor
that knows nothing of the data.

Here the compressor predicts each pixel from its neighbours. With Gaussian residuals its code length is D/2 log c(x),
where c(x) are the squared differences of neighbours, as the model's negative log-likelihood is D/2 log d(x) at the best
variance. Their difference takes log d(x) to rise as fast as log c(x), which holds for some classes and not for others.
How fast it rises is therefore learnt from the normal images, by least squares; what counts is the excess over the error
that a normal image of the same complexity would have.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

MIN_COMPLEXITY = 1e-3
"""Keeps the complexity of an image of one colour above 0."""
MIN_ERROR = 1e-6
"""Keeps the logarithm of an error finite."""


def complexity(images: Tensor, *, blur: float = 0.0) -> Tensor:
    """Return the sum of squared differences of neighbouring pixels.

    Parameters
    ----------
    images : Tensor
        float32 (N, C, H, W) in [0, 1].
    blur : float
        Standard deviation, in pixels, of a Gaussian that smooths the images first, so that noise and fine texture do
        not count; 0 leaves them as they are.

    Returns
    -------
    Tensor
        float32 (N,), positive.
    """
    images = _blurred(images, blur)
    across = (images[..., 1:] - images[..., :-1]).square().flatten(1).sum(1)
    down = (images[..., 1:, :] - images[..., :-1, :]).square().flatten(1).sum(1)
    total: Tensor = across + down + MIN_COMPLEXITY
    return total


def fit_expectation(errors: Tensor, complexities: Tensor) -> Tensor:
    """Fit the error that a normal image of a given complexity has.

    Least squares: ``log d = a + b z`` with ``z = (log c − m) / s``.

    Parameters
    ----------
    errors, complexities : Tensor
        (N,) of normal images, not negative.

    Returns
    -------
    Tensor
        float32 (5,): m, s, a, b and the standard deviation of the residuals.
    """
    x, y = _log(complexities).double(), _log(errors).double()
    z = (x - x.mean()) / spread(x)
    slope = (z * (y - y.mean())).mean()
    residuals = y - y.mean() - slope * z
    return torch.stack([x.mean(), spread(x), y.mean(), slope, spread(residuals)]).float()


def excess(errors: Tensor, complexities: Tensor, expectation: Tensor, complexity_weight: float) -> Tensor:
    """Return by how much errors exceed those of normal images of the same complexity.

    Parameters
    ----------
    errors, complexities : Tensor
        (N,), not negative.
    expectation : Tensor
        From `fit_expectation`.
    complexity_weight : float
        Weight of z², by which a complexity counts that is unlike that of normal images.

    Returns
    -------
    Tensor
        (N,), in standard deviations of the normal images' residuals.
    """
    mean, spread, level, slope, deviation = expectation.to(errors.device)
    z = (_log(complexities) - mean) / spread
    total: Tensor = (_log(errors) - level - slope * z) / deviation + complexity_weight * z.square()
    return total


def _log(values: Tensor) -> Tensor:
    return values.clamp_min(MIN_ERROR).log()


def spread(values: Tensor) -> Tensor:
    """Return the standard deviation of values (N,), but 1 where all are the same."""
    deviation = values.std(correction=0)
    return torch.where(deviation > MIN_ERROR, deviation, torch.ones_like(deviation))


def _blurred(images: Tensor, sigma: float) -> Tensor:
    """Smooth images (N, C, H, W) by a Gaussian; the edges are continued."""
    if sigma <= 0:
        return images
    reach = math.ceil(3 * sigma)
    offsets = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    kernel = (-0.5 * (offsets / sigma).square()).exp()
    kernel = kernel / kernel.sum()
    channels = images.shape[1]
    row = kernel.expand(channels, 1, 1, -1)
    images = functional.conv2d(functional.pad(images, (reach, reach, 0, 0), mode="replicate"), row, groups=channels)
    images = functional.pad(images, (0, 0, reach, reach), mode="replicate")
    return functional.conv2d(images, row.transpose(2, 3), groups=channels)
