"""The interface that every detector shares."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import torch
from safetensors.torch import load_file, save_file
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from torch import Tensor

Shape = tuple[int, int, int]
"""Channels, height and width of an image."""


class DetectorError(ValueError):
    """A detector was used wrongly; the message says how to mend it."""


class FitDivergedError(RuntimeError):
    """A fit's loss stopped being finite."""


class Monitor:
    """What the caller lends a fit: held-out images and an ear.

    This base class hears nothing; subclasses show, record or test what is reported.

    Attributes
    ----------
    validation : Tensor or None
        Held-out normal images, float32 (M, C, H, W) in [0, 1]. A fit may measure its loss on them; it never trains on
        them.
    """

    validation: Tensor | None = None

    def report(self, step: int, steps: int, measures: Mapping[str, float]) -> None:
        """Take note of a finished step (an epoch, for methods that train by epochs).

        Parameters
        ----------
        step : int
            The step that has just finished, from 1.
        steps : int
            How many there will be.
        measures : mapping of str to float
            What the fit measured, for example ``loss``, ``validation_loss``, ``reconstruction_error``.
        """


class Detector(BaseEstimator, ABC):  # type: ignore[misc]
    """A method that learns normal images and scores how far others are from them.

    Hyperparameters are keyword-only arguments of the constructor, which does nothing but keep them (as in
    scikit-learn); what is fitted ends in an underscore. A detector sees images only: what it needs to know of the data
    it reads off their shape. A class that takes ``seed`` and ``device`` is given both by the benchmark. `sample` and
    `reconstruct` are optional: a class can do what it overrides.

    Attributes
    ----------
    name : str
        The registered name, set by `register`.
    SEARCH : mapping of str to sequence
        Hyperparameters that ``bench tune`` may choose, and the values among which; none by default.
    EXPECTED_FAILURES : mapping of str to str
        Checks (``bench check``) that the class is known to fail, by name, with the reason; none by default.
    """

    name: ClassVar[str] = ""
    SEARCH: ClassVar[Mapping[str, Sequence[Any]]] = {}
    EXPECTED_FAILURES: ClassVar[Mapping[str, str]] = {}

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Say of a fitted attribute that is not there yet that the detector must be fitted first."""
            if name.endswith("_") and not name.startswith("_"):
                raise NotFittedError(f"This {type(self).__name__} is not fitted yet: call fit(images) first.")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @abstractmethod
    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Learn what is normal.

        Parameters
        ----------
        images : Tensor
            Normal images, float32 (N, C, H, W) in [0, 1].
        monitor : Monitor, optional
            Hears of the progress, and may lend held-out images.

        Returns
        -------
        Self

        Raises
        ------
        FitDivergedError
            The loss is no longer finite.
        """

    @abstractmethod
    def score(self, images: Tensor) -> Tensor:
        """Say how far out of distribution images are; deterministic, and independent of what else is in the batch.

        Parameters
        ----------
        images : Tensor
            float32 (N, C, H, W) in [0, 1].

        Returns
        -------
        Tensor
            float32 (N,); higher is more out-of-distribution.
        """

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw new images from what was learnt.

        Parameters
        ----------
        n : int
            How many.
        generator : torch.Generator, optional
            Source of randomness on the CPU; torch's global one if missing.

        Returns
        -------
        Tensor
            float32 (n, C, H, W) in [0, 1].

        Raises
        ------
        DetectorError
            The method cannot generate.
        """
        raise DetectorError(f"{self.name or type(self).__name__} cannot sample.")

    def reconstruct(self, images: Tensor) -> Tensor:
        """Give images as the model sees them.

        Parameters
        ----------
        images : Tensor
            float32 (N, C, H, W) in [0, 1].

        Returns
        -------
        Tensor
            float32 (N, C, H, W) in [0, 1].

        Raises
        ------
        DetectorError
            The method does not reconstruct.
        """
        raise DetectorError(f"{self.name or type(self).__name__} does not reconstruct images.")

    def hyperparameters(self, shape: Shape) -> dict[str, Any]:
        """Every hyperparameter as it is used for images of a shape, defaults filled in; JSON values only.

        Parameters
        ----------
        shape : tuple of int
            (C, H, W).

        Returns
        -------
        dict
            Without ``seed`` and ``device``, which say where and with what luck a method ran, not what it is.
        """
        del shape
        return {key: value for key, value in self.get_params(deep=False).items() if key not in ("seed", "device")}

    def diagnostics(self, images: Tensor) -> dict[str, float]:
        """Measure what shows that training went wrong although it finished.

        Parameters
        ----------
        images : Tensor
            Normal images that were not trained on, float32 (N, C, H, W) in [0, 1].

        Returns
        -------
        dict of str to float
            Which diagnostics there are is up to the method; none by default.
        """
        del images
        return {}

    @classmethod
    def unhealthy(cls, diagnostics: Mapping[str, float]) -> list[str]:
        """Judge diagnostics.

        Parameters
        ----------
        diagnostics : mapping of str to float
            From `diagnostics`.

        Returns
        -------
        list of str
            What is wrong with the model, a phrase each; empty for a healthy one.
        """
        del diagnostics
        return []

    def parameter_count(self) -> int:
        """Count the numbers that the fitted model consists of."""
        return sum(tensor.numel() for tensor in self.state().values() if tensor.is_floating_point())

    def state(self) -> dict[str, Tensor]:
        """Tensors from which `restore` rebuilds the fitted model: by default every fitted attribute that is one."""
        return {key: value for key, value in vars(self).items() if key.endswith("_") and isinstance(value, Tensor)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take over a fitted `state`.

        Parameters
        ----------
        state : dict of str to Tensor
            What `state` gave.
        """
        for key, value in state.items():
            setattr(self, key, value)

    def save(self, folder: Path) -> None:
        """Write the fitted model as ``model.safetensors`` and ``model.json``; never a pickle.

        Parameters
        ----------
        folder : Path
            An existing folder.
        """
        # safetensors keeps no two views of one memory, and no strides
        tensors = {key: value.detach().cpu().contiguous().clone() for key, value in self.state().items()}
        save_file(tensors, folder / "model.safetensors")
        about = {"detector": self.name, "parameters": self.get_params(deep=False)}
        (folder / "model.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu") -> Self:
        """Read a model that `save` wrote.

        Parameters
        ----------
        folder : Path
            Where ``model.safetensors`` and ``model.json`` lie.
        device : str
            Where the model shall work, if its class takes a device.

        Returns
        -------
        Self

        Raises
        ------
        DetectorError
            The folder holds another detector's model.
        FileNotFoundError
            The folder holds no model.
        """
        about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        if about["detector"] != cls.name:
            raise DetectorError(f"{folder} holds a model of {about['detector']!r}, not of {cls.name!r}.")
        parameters = about["parameters"]
        if "device" in parameters:
            parameters["device"] = device
        detector = cls(**parameters)
        detector.restore(load_file(folder / "model.safetensors"))
        return detector


def can_sample(detector: type[Detector]) -> bool:
    """Whether a class generates images."""
    return detector.sample is not Detector.sample


def can_reconstruct(detector: type[Detector]) -> bool:
    """Whether a class reconstructs images."""
    return detector.reconstruct is not Detector.reconstruct


DetectorClass = TypeVar("DetectorClass", bound=type[Detector])
Family = Callable[[str], type[Detector]]
"""Makes a detector class of what stands behind the colon in ``family:argument``."""


def register(name: str) -> Callable[[DetectorClass], DetectorClass]:
    """Name a detector class so that the benchmark's registry finds it in its module.

    Parameters
    ----------
    name : str
        Lower-case letters, digits and hyphens; what users type.

    Returns
    -------
    callable
        The class decorator.
    """

    def mark(detector: DetectorClass) -> DetectorClass:
        detector.name = name
        return detector

    return mark


def register_family(name: str) -> Callable[[Family], Family]:
    """Name a function that makes detector classes on demand: users type ``name:argument``.

    Parameters
    ----------
    name : str
        Lower-case letters, digits and hyphens.

    Returns
    -------
    callable
        The function's decorator.
    """

    def mark(family: Family) -> Family:
        family.detector_family = name  # type: ignore[attr-defined]
        return family

    return mark


def check_images(images: Tensor, shape: Sequence[int] | None = None) -> None:
    """Refuse what is not a batch of images.

    Parameters
    ----------
    images : Tensor
        Should be float32 (N, C, H, W) in [0, 1], N at least 1.
    shape : sequence of int, optional
        The (C, H, W) that is expected.

    Raises
    ------
    DetectorError
        Says what is wrong with them.
    """
    if images.ndim != 4 or images.dtype != torch.float32:
        raise DetectorError(
            f"Images must be a float32 tensor (N, C, H, W); this is {images.dtype} {tuple(images.shape)}."
        )
    if shape is not None and tuple(images.shape[1:]) != tuple(shape):
        raise DetectorError(
            f"The model was fitted on images of shape {tuple(shape)}; these are {tuple(images.shape[1:])}."
        )
    if len(images) == 0:
        raise DetectorError("There are no images in the batch.")
    low, high = images.aminmax()
    if not (low >= 0 and high <= 1):  # so written that NaN fails too
        raise DetectorError(f"Images must lie in [0, 1] without NaN; these span {float(low):g} to {float(high):g}.")
