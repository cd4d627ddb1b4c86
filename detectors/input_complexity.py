"""How much there is to reconstruct in an image.

Errors and likelihoods of generative models follow the complexity of an image: a plain one scores normal whatever it
shows. Serrà et al. ("Input complexity and out-of-distribution detection with likelihood-based generative models", ICLR
2020, equation 4) therefore subtract from the negative log-likelihood the length of the image's code under a compressor
that knows nothing of the data.

Here the compressor predicts each pixel from its neighbours. With Gaussian residuals its code length is D/2 log c(x),
where c(x) are the squared differences of neighbours, as the model's negative log-likelihood is D/2 log d(x) at the best
variance. The difference of the two orders images as the ratio d(x) / c(x) does. That ratio forgives noise, though,
whose c(x) is large too: dividing by a power of c(x) below 1 corrects less, and does not.
"""

from __future__ import annotations

from torch import Tensor

LEAST = 1e-3
"""Keeps the complexity of an image of one colour above 0."""


def complexity(images: Tensor) -> Tensor:
    """Sum the squared differences of neighbouring pixels.

    Parameters
    ----------
    images : Tensor
        float32 (N, C, H, W) in [0, 1].

    Returns
    -------
    Tensor
        float32 (N,), positive.
    """
    across = (images[..., 1:] - images[..., :-1]).square().flatten(1).sum(1)
    down = (images[..., 1:, :] - images[..., :-1, :]).square().flatten(1).sum(1)
    total: Tensor = across + down + LEAST
    return total
