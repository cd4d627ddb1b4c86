"""What a split and a detector hand over, checked: whatever breaks the contract is refused in one clear sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oodbench.datasets.components.split import Split
from oodbench.detectors.base import Detector


def checked_split(split: Split) -> Split:
    """Return a split as tensors.

    Parameters
    ----------
    split : Split
        Its fields may be NumPy arrays.

    Returns
    -------
    Split
        Of tensors.

    Raises
    ------
    ValueError
        Images are not uint8 (N, C, H, W) of one shape, there are none, or the labels do not fit the test images.
    """
    images = {name: _images(name, getattr(split, name)) for name in ("train", "validation", "test")}
    shape = tuple(images["train"].shape[1:])
    for name, those in images.items():
        if name != "validation" and len(those) == 0:
            raise ValueError(f"The split's {name} has no images: it needs at least one.")
        if len(those) and tuple(those.shape[1:]) != shape:
            raise ValueError(
                f"The split's {name} images have shape {tuple(those.shape[1:])}, but those of train have {shape}."
            )
    labels, is_ood = _as_tensor("test_labels", split.test_labels), _as_tensor("is_ood", split.is_ood)
    count = len(images["test"])
    for name, values in (("test_labels", labels), ("is_ood", is_ood)):
        if values.shape != (count,):
            raise ValueError(
                f"The split's {name} has shape {tuple(values.shape)}: it must be ({count},), a value for each test "
                "image."
            )
    if is_ood.dtype != torch.bool:
        raise ValueError(f"The split's is_ood has dtype {_dtype(is_ood)}: it must be bool, True for an OOD image.")
    return replace(split, **images, test_labels=labels.long(), is_ood=is_ood)


def scores_of(detector: Detector, images: Tensor) -> Tensor:
    """Let a detector score images.

    Parameters
    ----------
    detector : Detector
        Fitted.
    images : Tensor
        float32 (N, C, H, W) in [0, 1].

    Returns
    -------
    Tensor
        float32 (N,) on the CPU, finite, without gradients.

    Raises
    ------
    ValueError
        It gave no tensor, one of another shape, or scores that are not finite.
    """
    expected = f"({len(images)},)"
    scores = _tensor("score", detector.score(images), f"float32 {expected}")
    if scores.shape != (len(images),):
        raise ValueError(f"score gave shape {tuple(scores.shape)} for {len(images)} images; it must be {expected}.")
    bad = int((~scores.isfinite()).sum())
    if bad:
        raise ValueError(f"score gave NaN or infinity for {bad} of {len(images)} images; scores must be finite.")
    return scores


def samples_of(detector: Detector, n: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Let a detector draw images.

    Parameters
    ----------
    detector : Detector
        Fitted.
    n : int
        Number of images.
    shape : tuple of int
        (C, H, W) of the images that it was fitted on.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    Tensor
        float32 (n, C, H, W) in [0, 1].

    Raises
    ------
    ValueError
        It gave anything else.
    """
    expected = (n, *shape)
    images = _tensor("sample", detector.sample(n, generator=generator), f"float32 {expected}")
    if images.shape != expected:
        raise ValueError(f"sample gave shape {tuple(images.shape)} where {expected} was asked for.")
    if not (images.isfinite() & (images >= 0) & (images <= 1)).all():
        raise ValueError("sample gave values that are NaN or outside [0, 1].")
    return images


def reconstructions_of(detector: Detector, images: Tensor) -> Tensor:
    """Let a detector reconstruct images, both float32 (N, C, H, W) in [0, 1]; raises ValueError for another shape."""
    reconstructions = _tensor("reconstruct", detector.reconstruct(images), f"float32 {tuple(images.shape)}")
    if reconstructions.shape != images.shape:
        raise ValueError(
            f"reconstruct gave shape {tuple(reconstructions.shape)} for images {tuple(images.shape)}; it must be the "
            "same."
        )
    return reconstructions


def diagnostics_of(detector: Detector, images: Tensor) -> dict[str, float]:
    """Let a detector diagnose itself.

    Parameters
    ----------
    detector : Detector
        Fitted.
    images : Tensor
        Normal images, float32 (N, C, H, W) in [0, 1].

    Returns
    -------
    dict of str to float
        Its diagnostics as plain numbers.

    Raises
    ------
    ValueError
        It gave no dictionary, or a value that is no finite number.
    """
    found: Any = detector.diagnostics(images)
    if not isinstance(found, Mapping):
        raise ValueError(f"diagnostics gave a {_type(found)}; it must be a dict of numbers by name.")
    return {str(name): _number(name, value) for name, value in found.items()}


def _as_tensor(name: str, values: Any) -> Tensor:
    # torch takes neither negative strides nor, without a warning, memory that cannot be written to
    array = np.require(values, requirements=["C", "W"]) if isinstance(values, np.ndarray) else values
    try:
        return torch.as_tensor(array)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"The split's {name} is a {_type(values)} that makes no tensor: give a torch.Tensor or a NumPy array of "
            "numbers."
        ) from error


def _images(name: str, images: Any) -> Tensor:
    tensor = _as_tensor(name, images)
    if tensor.ndim != 4 or tensor.dtype != torch.uint8:
        raise ValueError(
            f"The split's {name} images are {_dtype(tensor)} {tuple(tensor.shape)}: they must be uint8 (N, C, H, W), "
            "with values from 0 to 255."
        )
    return tensor


def _tensor(method: str, found: Any, expected: str) -> Tensor:
    if not isinstance(found, Tensor):
        hint = "; torch.from_numpy makes one of it" if isinstance(found, np.ndarray) else ""
        raise ValueError(f"{method} gave a {_type(found)}; it must be a torch.Tensor, {expected}{hint}.")
    return found.detach().to("cpu", torch.float32)


def _number(name: object, value: Any) -> float:
    plain = value.tolist() if isinstance(value, (Tensor, np.ndarray, np.generic)) else value
    if not isinstance(plain, (int, float)):
        raise ValueError(f"diagnostics gave {name!r} as a {_type(value)}; it must be a number.")
    number = float(plain)
    if not math.isfinite(number):
        raise ValueError(f"diagnostics gave {name!r} as {number}; it must be a finite number.")
    return number


def _type(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
