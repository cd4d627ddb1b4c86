"""The interface that every detector shares."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, get_type_hints

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from torch import Tensor, nn

Shape = tuple[int, int, int]
"""Channels, height and width of an image."""


LARGEST_IMAGE = 2**24
"""Values of one image that a stored model may claim to take."""


class DetectorError(ValueError):
    """A detector was used wrongly; the message says how to fix it."""


class FitDivergedError(RuntimeError):
    """The loss of a fit stopped being finite."""


class Monitor:
    """Follows a fit: takes note of its progress, and may bring held-out images.

    This base class ignores what is reported; subclasses show, record or test it.

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
            The step that has just finished, counted from 1.
        steps : int
            The total number of steps.
        measures : mapping of str to float
            What the fit measured, for example ``loss``, ``validation_loss``, ``reconstruction_error``.
        """


class Detector(BaseEstimator, ABC):  # type: ignore[misc]
    """A method that learns normal images and scores how far others are from them.

    Hyperparameters are keyword-only arguments of the constructor, which only stores them (as in scikit-learn). What
    `fit` learns goes into attributes that end in an underscore. A detector sees images only: what it needs to know of
    the data it reads off their shape. The benchmark gives ``seed`` and ``device`` to a class that takes them.

    A class needs `fit` and `score`. It can sample or reconstruct if it overrides `sample` or `reconstruct`. It offers
    an error or a representation, on which other scores can be built, if it overrides `error` or `represent`.

    `save` writes fitted attributes that are tensors or plain values (numbers, strings, and tuples or lists of them;
    lists are read back as tuples). The weights of torch modules are saved, too, if the class defines `build`, which
    makes the modules, and stores the images' shape (C, H, W) as ``shape_``: `load` calls ``build(shape_)`` before it
    reads the weights. Whatever is none of these, such as a scikit-learn model, goes through `state` and `restore`.

    Attributes
    ----------
    name : str
        The registered name, set by `register`.
    SEARCH : mapping of str to sequence
        Hyperparameters that ``bench tune`` may choose, and the values it chooses from; none by default.
    ABLATIONS : mapping of str to mapping
        Parts of the method, and for each the changed hyperparameters that take it away; none by default.
    SCORE_ONLY : frozenset of str
        Hyperparameters that have no part in training: `rescored` changes them in a fitted detector.
    EXPECTED_FAILURES : mapping of str to str
        Checks of ``bench check`` that the method cannot pass, and why; they are reported as expected.
    EXTRA_DATA : str
        Images beyond the training images that the method has seen, such as "ImageNet"; empty for none.
    wrapped : type or None
        The class of the detector that this one is fitted on top of; see `components.wrapper`.
    """

    name: ClassVar[str] = ""
    SEARCH: ClassVar[Mapping[str, Sequence[Any]]] = {}
    ABLATIONS: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    SCORE_ONLY: ClassVar[frozenset[str]] = frozenset()
    EXPECTED_FAILURES: ClassVar[Mapping[str, str]] = {}
    EXTRA_DATA: ClassVar[str] = ""
    wrapped: ClassVar[type[Detector] | None] = None

    shape_: tuple[int, ...]
    """(C, H, W) of the training images; `fit` stores it where it is needed."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Explain why a fitted attribute is missing: the detector is not fitted, or the model file lacks it."""
            if not name.endswith("_") or name.startswith("_"):
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            if "_loaded" in vars(self):
                raise NotFittedError(
                    f"This {type(self).__name__} was loaded from a file that holds no {name!r}. Saved are attributes "
                    "that end in an underscore: tensors, plain values, and torch modules if the class defines "
                    "build(shape). For anything else override state and restore."
                )
            raise NotFittedError(f"This {type(self).__name__} is not fitted yet: call fit(images) first.")

    @abstractmethod
    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Learn what is normal.

        Parameters
        ----------
        images : Tensor
            Normal images, float32 (N, C, H, W) in [0, 1].
        monitor : Monitor, optional
            Is told of the progress, and may bring held-out images.

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
        """Return how far out of distribution images are; deterministic, and independent of the rest of the batch.

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
            The number of images.
        generator : torch.Generator, optional
            Source of randomness on the CPU; torch's global one by default.

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
        """Return images as the model sees them.

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

    def error(self, images: Tensor) -> Tensor:
        """Return how badly the model reproduces images, or how far they are from what it knows.

        Parameters
        ----------
        images : Tensor
            float32 (N, C, H, W) in [0, 1].

        Returns
        -------
        Tensor
            float32 (N,), not negative; higher is worse.

        Raises
        ------
        DetectorError
            The method offers no error.
        """
        raise DetectorError(f"{self.name or type(self).__name__} offers no error.")

    def represent(self, images: Tensor) -> Tensor:
        """Return what the model makes of images: latents, projections or features.

        Parameters
        ----------
        images : Tensor
            float32 (N, C, H, W) in [0, 1].

        Returns
        -------
        Tensor
            float32 (N, L).

        Raises
        ------
        DetectorError
            The method offers no representation.
        """
        raise DetectorError(f"{self.name or type(self).__name__} offers no representation.")

    def build(self, shape: Shape) -> None:
        """Create the untrained torch modules and assign them to attributes that end in an underscore.

        A class with modules overrides this and calls it in `fit`; `load` calls it before it reads the weights. By
        default there are none.

        Parameters
        ----------
        shape : tuple of int
            (C, H, W) of the images.
        """

    def hyperparameters(self, shape: Shape) -> dict[str, Any]:
        """Return every hyperparameter as it is used for images of a shape, defaults filled in; JSON values only.

        Parameters
        ----------
        shape : tuple of int
            (C, H, W).

        Returns
        -------
        dict
            Without ``seed`` and ``device``, which are no part of the method.
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

    def rescored(self, changes: Mapping[str, Any]) -> Self:
        """Return a copy of a fitted detector that scores by other settings, without training it again.

        Parameters
        ----------
        changes : mapping of str to Any
            New values of hyperparameters that are in `SCORE_ONLY`.

        Returns
        -------
        Self
            It shares what was fitted with this detector.

        Raises
        ------
        DetectorError
            A hyperparameter has a part in training.
        """
        trained = sorted(set(changes) - self.SCORE_ONLY)
        if trained:
            raise DetectorError(f"{type(self).__name__} has to be fitted again for another {', '.join(trained)}.")
        changed: Self = copy(self).set_params(**changes)
        return changed

    def parameter_count(self) -> int:
        """Return how many numbers the fitted model consists of."""
        return sum(tensor.numel() for tensor in self.state().values() if tensor.is_floating_point())

    def state(self) -> dict[str, Tensor]:
        """Return the tensors from which `restore` rebuilds the fitted model.

        Returns
        -------
        dict of str to Tensor
            By default every fitted attribute that is a tensor and, if the class defines `build`, the weights of every
            one that is a module, as ``attribute.weight``.
        """
        tensors: dict[str, Tensor] = {}
        builds = _builds(self)
        for name, value in _fitted(self).items():
            if isinstance(value, Tensor):
                tensors[name] = value
            elif builds and isinstance(value, nn.Module):
                tensors |= {f"{name}.{key}": weights for key, weights in value.state_dict().items()}
        return tensors

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take over the tensors of a fitted model; plain fitted values are already in place.

        Parameters
        ----------
        state : dict of str to Tensor
            What `state` returned.
        """
        if _builds(self):
            channels, height, width = self.shape_
            self.build((channels, height, width))
        modules: dict[str, dict[str, Tensor]] = {}
        for key, tensor in state.items():
            name, _, rest = key.partition(".")
            if rest:
                modules.setdefault(name, {})[rest] = tensor
            else:
                setattr(self, name, tensor)
        for name, weights in modules.items():
            getattr(self, name).load_state_dict(weights)

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
        about = {
            "detector": self.name,
            "parameters": self.get_params(deep=False),
            "fitted": plain_values(self),
        }
        (folder / "model.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu") -> Self:
        """Read a model that `save` wrote.

        Parameters
        ----------
        folder : Path
            Where ``model.safetensors`` and ``model.json`` lie.
        device : str
            Where the model is to work, if its class takes a device.

        Returns
        -------
        Self

        Raises
        ------
        DetectorError
            The folder holds another detector's model, one of other code, or a damaged one.
        FileNotFoundError
            The folder holds no model.
        """
        try:
            return cls._load(folder, device)
        except (DetectorError, OSError, SafetensorError, json.JSONDecodeError):
            raise
        except NotFittedError as error:
            raise DetectorError(str(error)) from error
        except Exception as error:  # whatever a class does with values that it never wrote
            cause = " ".join(str(error).split())[:200]
            raise DetectorError(
                f"{folder} holds a damaged model ({type(error).__name__}: {cause}): run its trial again with --force."
            ) from error

    @classmethod
    def _load(cls, folder: Path, device: str) -> Self:
        about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        if about["detector"] != cls.name:
            raise DetectorError(f"{folder} holds a model of {about['detector']!r}, not of {cls.name!r}.")
        parameters = about["parameters"]
        unknown = sorted(parameters.keys() - cls().get_params(deep=False))
        if unknown or "fitted" not in about:
            known = f"{cls.name} no longer has {', '.join(unknown)}" if unknown else "its format has changed"
            raise DetectorError(f"{folder} holds a model of an earlier version ({known}): run its trial again.")
        if "device" in parameters:
            parameters["device"] = device
        detector = cls(**parameters)
        take_plain_values(detector, about["fitted"])
        detector.restore(load_file(folder / "model.safetensors"))
        shape = about["fitted"].get("shape_", ())
        if shape:
            with torch.random.fork_rng(devices=[]):
                detector.score(torch.zeros(1, *shape))  # where values that do not fit together show
        return detector


def plain_values(detector: Detector) -> dict[str, Any]:
    """Return the fitted attributes that are plain values: what a saved model has besides its tensors."""
    return {name: value for name, value in _fitted(detector).items() if _is_plain(value)}


def take_plain_values(detector: Detector, values: Mapping[str, Any]) -> None:
    """Set fitted attributes as read from a file; raises ValueError for what `plain_values` cannot have returned."""
    detector._loaded = True
    for name, value in values.items():
        if not _is_fitted(name):
            raise ValueError(f"{name!r} is no fitted attribute")
        setattr(detector, name, _tuples(value))
    shape = values.get("shape_", ())
    if math.prod(shape) > LARGEST_IMAGE:
        raise ValueError(f"images of {'×'.join(map(str, shape))} values are too large")


def _fitted(detector: Detector) -> dict[str, Any]:
    return {name: value for name, value in vars(detector).items() if _is_fitted(name)}


def _is_fitted(name: str) -> bool:
    return name.endswith("_") and not name.startswith("_")


def _builds(detector: Detector) -> bool:
    return type(detector).build is not Detector.build


def _is_plain(value: object) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def can_sample(detector: type[Detector]) -> bool:
    """Return whether a class generates images."""
    return detector.sample is not Detector.sample


def can_reconstruct(detector: type[Detector]) -> bool:
    """Return whether a class reconstructs images."""
    return detector.reconstruct is not Detector.reconstruct


def can_measure_error(detector: type[Detector]) -> bool:
    """Return whether a class offers an error."""
    return detector.error is not Detector.error


def can_represent(detector: type[Detector]) -> bool:
    """Return whether a class offers a representation."""
    return detector.represent is not Detector.represent


def parameter_types(detector: type[Detector]) -> dict[str, Any]:
    """Return what values a detector's hyperparameters take.

    Parameters
    ----------
    detector : type
        The class.

    Returns
    -------
    dict of str to Any
        For each argument of the constructor that is annotated, the annotation with its ranges
        (``Annotated[int, Ge(1)]``); one that cannot be resolved is left out.
    """
    hints = parameter_types(detector.wrapped) if detector.wrapped else {}
    # the generated constructor of a dataclass knows the annotations of inherited fields only as text
    for owner in (detector, detector.__init__):
        with suppress(Exception):  # an annotation may name what is imported for type checkers alone
            hints |= get_type_hints(owner, include_extras=True)
    return {name: hints[name] for name in detector._get_param_names() if name in hints}


DetectorClass = TypeVar("DetectorClass", bound=type[Detector])
Family = TypeVar("Family", Callable[[str], type[Detector]], Callable[[type[Detector]], type[Detector]])
"""Makes a detector class of what stands behind the colon in ``family:argument``, or of the detector of that name."""


def register(name: str) -> Callable[[DetectorClass], DetectorClass]:
    """Name a detector class so that the benchmark finds it in its module.

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


def register_family(
    name: str,
    *,
    members: Sequence[str] = (),
    missing: Callable[[], str | None] | None = None,
    wraps: bool = False,
) -> Callable[[Family], Family]:
    """Name a function that makes detector classes on demand: users type ``name:argument``.

    Parameters
    ----------
    name : str
        Lower-case letters, digits and hyphens.
    members : sequence of str
        Arguments that ``bench run --all`` runs and ``bench list`` shows. A built-in family writes them out as literals
        in the decorator, where they are read without importing it.
    missing : callable, optional
        Returns a sentence that says why the members cannot run here, or None if they can.
    wraps : bool
        Whether the argument is the name of a detector: the function is given that detector's class.

    Returns
    -------
    callable
        The function's decorator.
    """

    def mark(family: Family) -> Family:
        family.detector_family = name  # type: ignore[attr-defined]
        vars(family).update(members=tuple(members), missing=missing, wraps=wraps)
        return family

    return mark


def check_images(images: Tensor, shape: Sequence[int] | None = None) -> Shape:
    """Refuse what is not a batch of images, and return their shape.

    Parameters
    ----------
    images : Tensor
        Should be float32 (N, C, H, W) in [0, 1], N at least 1.
    shape : sequence of int, optional
        The (C, H, W) that is expected.

    Returns
    -------
    tuple of int
        (C, H, W) of the images.

    Raises
    ------
    DetectorError
        Says what is wrong with them, and how to fix it.
    """
    wanted = "Images must be a float32 tensor (N, C, H, W) with values in [0, 1]"
    given: object = images
    if isinstance(given, np.ndarray):
        scaled = ".float() / 255" if given.dtype == np.uint8 else ".float()"
        raise DetectorError(f"{wanted}; this is a numpy array: pass torch.from_numpy(images){scaled}.")
    if not isinstance(given, Tensor):
        raise DetectorError(f"{wanted}; this is a {type(given).__name__}: pass a torch tensor.")
    found = f"{wanted}; this is {images.dtype} {tuple(images.shape)}"
    if images.dtype == torch.uint8:
        raise DetectorError(f"{found}: pass images.float() / 255.")
    if images.dtype != torch.float32:
        raise DetectorError(f"{found}: pass images.float().")
    if images.ndim == 3:
        raise DetectorError(f"{found}: a grey batch lacks images.unsqueeze(1), one image images.unsqueeze(0).")
    if images.ndim != 4:
        raise DetectorError(f"{found}.")
    if images.shape[-1] in (1, 3) and images.shape[1] > 4 and tuple(images.shape[1:]) != tuple(shape or ()):
        raise DetectorError(f"{found}, with the channels last: pass images.permute(0, 3, 1, 2).")
    if shape is not None and tuple(images.shape[1:]) != tuple(shape):
        raise DetectorError(
            f"The model was fitted on images of shape {tuple(shape)}; these are {tuple(images.shape[1:])}."
        )
    count, channels, height, width = images.shape
    if count == 0:
        raise DetectorError("There are no images in the batch.")
    low, high = images.aminmax()
    if not (low >= 0 and high <= 1):  # so written that NaN fails too
        raise DetectorError(f"Images must lie in [0, 1] without NaN; these span {float(low):g} to {float(high):g}.")
    return channels, height, width
