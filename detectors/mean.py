"""mean: distance to the mean training image; the least that a detector has to beat."""

from __future__ import annotations

from typing import Self

from torch import Tensor

from oodbench.detectors.base import Detector, Monitor, check_images, register


@register("mean")
class Mean(Detector):
    """Distance to the mean training image: ``‖x − x̄‖``; a trivial baseline.

    Where training images have strong contrast, as photographs have, noise may be as near to their mean as they are: an
    AUROC of 0.85 for aeroplanes of CIFAR-10 against uniform noise.
    """

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Average images (N, C, H, W); see `Detector.fit`."""
        check_images(images)
        self.mean_ = images.mean(0)
        return self

    def score(self, images: Tensor) -> Tensor:
        """Return the distance of images (N, C, H, W) to the mean, (N,); see `Detector.score`."""
        check_images(images, self.mean_.shape)
        distance: Tensor = (images - self.mean_).flatten(1).norm(dim=1)
        return distance
