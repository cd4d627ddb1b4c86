"""Detectors: one file a method, and in `components` what the methods share.

>>> from oodbench.detectors import Detector, MemVAE, register

A detector is a class with ``fit`` and ``score`` (see `oodbench.detectors.base.Detector`). The class of each built-in
method can be imported from here; its module, and torch with it, is loaded when the class is first asked for. Nothing in
here knows of datasets or of the benchmark.
"""

from __future__ import annotations

import difflib
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and type checkers; a detector that is not named here can be imported all the same
    from oodbench.detectors.ae import AE as AE
    from oodbench.detectors.base import Detector as Detector
    from oodbench.detectors.base import DetectorError as DetectorError
    from oodbench.detectors.base import FitDivergedError as FitDivergedError
    from oodbench.detectors.base import Monitor as Monitor
    from oodbench.detectors.base import check_images as check_images
    from oodbench.detectors.base import register as register
    from oodbench.detectors.base import register_family as register_family
    from oodbench.detectors.complexity import Complexity as Complexity
    from oodbench.detectors.deepsvdd import DeepSVDD as DeepSVDD
    from oodbench.detectors.gmm import GMM as GMM
    from oodbench.detectors.iforest import IForest as IForest
    from oodbench.detectors.knn import KNN as KNN
    from oodbench.detectors.lof import LOF as LOF
    from oodbench.detectors.mean import Mean as Mean
    from oodbench.detectors.memae import MemAE as MemAE
    from oodbench.detectors.memvae import MemVAE as MemVAE
    from oodbench.detectors.ocsvm import OCSVM as OCSVM
    from oodbench.detectors.pca import PCA as PCA
    from oodbench.detectors.rotnet import RotNet as RotNet
    from oodbench.detectors.vae import VAE as VAE

FAMILIES = ("features", "pyod", "typical")
"""Files in here that make detectors on demand: users type ``pyod:NAME``."""

_OF_BASE = ("Detector", "DetectorError", "FitDivergedError", "Monitor", "check_images", "register", "register_family")


@cache
def _homes() -> dict[str, str]:
    """Map each public name to its module: a file's detector is the class that has the file's name but for case."""
    homes = dict.fromkeys(_OF_BASE, "base")
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        classes = re.findall(r"^class (\w+)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        homes |= {name: path.stem for name in classes if name.lower() == path.stem.replace("_", "")}
    return homes


def __getattr__(name: str) -> Any:
    homes = _homes() if not name.startswith("_") else {}
    if name not in homes:
        near = difflib.get_close_matches(name.lower(), [known.lower() for known in homes], n=3)
        hint = ", ".join(known for known in homes if known.lower() in near)
        raise AttributeError(f"oodbench.detectors has no {name!r}" + (f": did you mean {hint}?" if hint else "."))
    value = getattr(import_module(f"{__name__}.{homes[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_homes()})
