"""typical: oodbench's own score, on top of any detector that offers an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from oodbench.detectors.base import (
    Detector,
    DetectorError,
    Shape,
    can_measure_error,
    can_represent,
    check_images,
    register_family,
)
from oodbench.detectors.components.defaults import Defaults, filled_in, read_defaults
from oodbench.detectors.components.gaussian_mixture import fit_mixture, log_density
from oodbench.detectors.components.image_complexity import complexity, excess, fit_expectation, spread
from oodbench.detectors.components.types import NonNegativeFloat, NonNegativeInt, PositiveInt
from oodbench.detectors.components.wrapper import Wrapper

OWN = ("complexity_blur", "complexity_weight", "latent_weight", "n_gaussians")


@register_family("typical", members=("ae", "vae", "memae", "memvae", "pca", "knn"), wraps=True)
def typical(base: type[Detector]) -> type[Detector]:
    """Our own score on top of a detector's error: what the image's complexity explains of it counts as normal.

    Parameters
    ----------
    base : type
        The class of the detector.

    Returns
    -------
    type
        A detector with that class's parameters, and those of `Typicality`.

    Raises
    ------
    DetectorError
        The class offers no error.
    """
    if not can_measure_error(base):
        raise DetectorError(f"typical:{base.name} needs an error to build on, and {base.name} offers none.")
    about = {
        "__doc__": f"Our own score on top of the error of {base.name}.",
        "__module__": __name__,
        "name": f"typical:{base.name}",
        "wrapped": base,
        "EXTRA_DATA": base.EXTRA_DATA,
    }
    return type(f"Typical{base.__name__}", (Typicality,), about)


class Typicality(Wrapper):
    """How atypical an image is in three respects; the combination is oodbench's own, and in no paper.

    A sum of three parts, each in standard deviations over the training images, with z the logarithm of the image's
    complexity, standardised:

    1. the logarithm of the detector's error, beyond what is expected of a normal image as complex;
    2. ``complexity_weight · z²``, how unlike that of normal images the complexity is;
    3. ``latent_weight · (s − mean s) / deviation of s``, where s is the negative log-density of the detector's
       representation under a Gaussian mixture. Without a representation this part is left out.

    The parts come from others. Serrà et al. ("Input complexity and out-of-distribution detection with likelihood-based
    generative models", ICLR 2020, equation 4) subtract an image's complexity from its negative log-likelihood (see
    `components.image_complexity` for what is done here). Morningstar et al. ("Density of states estimation for
    out-of-distribution detection", AISTATS 2021) ask for typicality under several statistics at once. Denouden et al.
    ("Improving reconstruction autoencoder out-of-distribution detection with Mahalanobis distance", 2018,
    arXiv:1812.02765) add to the reconstruction error the Mahalanobis distance of the latent.

    It neither samples nor reconstructs: the detector underneath does.

    Parameters
    ----------
    complexity_blur : float, optional
        Standard deviation in pixels of the blur before an image's complexity is measured.
    complexity_weight : float, optional
        Weight of the second part.
    latent_weight : float, optional
        Weight of the third part.
    n_gaussians : int, optional
        Number of Gaussians in the mixture of the third part. A parameter of this name that the detector underneath has
        keeps its default there.
    seed : int
        Seeds the mixture, and the detector underneath.
    **parameters
        Those of the detector underneath.
    """

    DEFAULTS: ClassVar[Defaults] = read_defaults(__file__)
    SEARCH: ClassVar[Mapping[str, Sequence[Any]]] = {
        "complexity_blur": (0.0, 0.5, 1.0),
        "complexity_weight": (0.0, 0.1, 0.25),
        "latent_weight": (0.0, 0.1, 0.25, 0.5),
    }
    ABLATIONS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "typicality of the complexity": {"complexity_weight": 0.0},
        "typicality of the latent": {"latent_weight": 0.0},
        "both typicalities": {"complexity_weight": 0.0, "latent_weight": 0.0},
        "blur before the complexity": {"complexity_blur": 0.0},
    }
    SCORE_ONLY: ClassVar[frozenset[str]] = frozenset({"complexity_weight", "latent_weight"})

    expectation_: Tensor
    surprise_: Tensor
    weights_: Tensor
    means_: Tensor
    factors_: Tensor

    def __init__(
        self,
        *,
        complexity_blur: NonNegativeFloat | None = None,
        complexity_weight: NonNegativeFloat | None = None,
        latent_weight: NonNegativeFloat | None = None,
        n_gaussians: PositiveInt | None = None,
        seed: NonNegativeInt = 0,
        **parameters: Any,
    ) -> None:
        super().__init__(**parameters)
        self.complexity_blur = complexity_blur
        self.complexity_weight = complexity_weight
        self.latent_weight = latent_weight
        self.n_gaussians = n_gaussians
        self.seed = seed

    def hyperparameters(self, shape: Shape) -> dict[str, Any]:
        """Return those of the detector underneath and its own, defaults filled in; see `Detector.hyperparameters`."""
        return super().hyperparameters(shape) | self._settings(shape)

    def _settings(self, shape: Shape) -> dict[str, Any]:
        return filled_in({name: getattr(self, name) for name in OWN}, self.DEFAULTS, shape)

    def wrap(self, images: Tensor) -> None:
        """Learn what errors, complexities and representations images (N, C, H, W) have; see `Wrapper.wrap`."""
        self.expectation_ = fit_expectation(*self._error_and_complexity(images))
        if can_represent(self.wrapped):
            points = self.base_.represent(images).cpu()
            mixture = fit_mixture(points, n_gaussians=self._settings(self.shape_)["n_gaussians"], seed=self.seed)
            self.weights_, self.means_, self.factors_ = mixture["weights"], mixture["means"], mixture["factors"]
            surprise = self._surprise(points)
            self.surprise_ = torch.stack([surprise.mean(), spread(surprise)])

    def score(self, images: Tensor) -> Tensor:
        """Return the sum of the parts for images (N, C, H, W), (N,); see the class and `Detector.score`."""
        self._catch_up()
        check_images(images, self.shape_)
        settings = self._settings(self.shape_)
        scores = excess(*self._error_and_complexity(images), self.expectation_, settings["complexity_weight"])
        if can_represent(self.wrapped):
            mean, deviation = self.surprise_
            surprise = self._surprise(self.base_.represent(images).cpu())
            scores = scores + settings["latent_weight"] * (surprise - mean) / deviation
        return scores

    def _error_and_complexity(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return both of images (N, C, H, W), float32 (N,) each."""
        return self.base_.error(images).cpu(), complexity(images, blur=self._settings(self.shape_)["complexity_blur"])

    def _surprise(self, points: Tensor) -> Tensor:
        """Return the negative log-density of representations (N, L), float32 (N,)."""
        mixture = {"weights": self.weights_, "means": self.means_, "factors": self.factors_}
        return -log_density(mixture, points).float()
