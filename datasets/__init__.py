"""Datasets: every file directly in this folder is a dataset of that name, or a family of them.

A dataset is a registered class that reads a training and a test part (`oodbench.datasets.base.Dataset`). Nothing here
knows of detectors or of the benchmark. Exports are imported when they are first asked for, and no dataset's module
imports torch: names and classes of datasets are known without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oodbench.datasets.base import Dataset, DatasetError, Part, register, register_family
    from oodbench.datasets.cifar10 import CIFAR10
    from oodbench.datasets.components.protocols import DEFAULT_PROTOCOL, PROTOCOLS, Protocol
    from oodbench.datasets.components.split import Split, as_float, one_vs_rest
    from oodbench.datasets.digits import Digits
    from oodbench.datasets.fashion_mnist import FashionMNIST
    from oodbench.datasets.mnist import MNIST

FAMILIES = ("folder",)
"""Files in here that make datasets on demand: users type ``folder:PATH``."""

__all__ = [
    "CIFAR10",
    "DEFAULT_PROTOCOL",
    "MNIST",
    "PROTOCOLS",
    "Dataset",
    "DatasetError",
    "Digits",
    "FashionMNIST",
    "Part",
    "Protocol",
    "Split",
    "as_float",
    "one_vs_rest",
    "register",
    "register_family",
]

_MODULES = {
    "base": ("Dataset", "DatasetError", "Part", "register", "register_family"),
    "components.protocols": ("DEFAULT_PROTOCOL", "PROTOCOLS", "Protocol"),
    "components.split": ("Split", "as_float", "one_vs_rest"),
    "cifar10": ("CIFAR10",),
    "digits": ("Digits",),
    "fashion_mnist": ("FashionMNIST",),
    "mnist": ("MNIST",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
