"""The detector under test, fitted at most once for all the checks that only look at it."""

from __future__ import annotations

from functools import cached_property
from typing import Any, cast

from sklearn.base import clone
from torch import Tensor

from oodbench.benchmark.checks.detector.images import NEW, TRAINING, toy_images
from oodbench.detectors.base import Detector, Monitor


class Specimen:
    """A detector under test.

    Parameters
    ----------
    detector : Detector or type
        A class, or an object whose hyperparameters are used.

    Attributes
    ----------
    cls : type
        The class.
    name : str
        Its registered name, or else the class's.
    """

    def __init__(self, detector: Detector | type[Detector]) -> None:
        self.prototype = None if isinstance(detector, type) else detector
        self.cls = cast(type[Detector], detector if isinstance(detector, type) else type(detector))
        self.name: str = getattr(self.cls, "name", "") or self.cls.__name__

    def parameters(self) -> dict[str, Any]:
        """Return copies of the hyperparameters to construct with: the object's; none for a class."""
        if self.prototype is None:
            return {}
        given: dict[str, Any] = self.prototype.get_params(deep=False)
        return {name: clone(value, safe=False) for name, value in given.items()}

    def new(self) -> Detector:
        """Construct an unfitted detector."""
        return self.cls(**self.parameters())

    def fit(self, images: Tensor, monitor: Monitor | None = None) -> Detector:
        """Construct a detector and fit it to images (N, C, H, W)."""
        detector = self.new()
        detector.fit(images, monitor=monitor)
        return detector

    @cached_property
    def fitted(self) -> Detector:
        """A detector that was fitted to `images`."""
        return self.fit(self.images)

    @cached_property
    def images(self) -> Tensor:
        """Normal training images."""
        return toy_images(TRAINING)

    @cached_property
    def new_images(self) -> Tensor:
        """Normal images that were not trained on."""
        return toy_images(NEW, seed=1)

    @cached_property
    def scores(self) -> Tensor:
        """Scores of `new_images`."""
        return self.fitted.score(self.new_images.clone())
