"""pyod: any detector of PyOD (Zhao, Nasrullah & Li, "PyOD: a toolbox for scalable outlier detection", JMLR 2019).

PyOD is an optional extra: ``pip install "oodbench[pyod]"``.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import importlib.util
import inspect
import re
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
import torch
from torch import Tensor

from oodbench.detectors.base import Detector, DetectorError, Monitor, Shape, check_images, register_family
from oodbench.detectors.components.defaults import check_choice
from oodbench.detectors.components.principal_components import PrincipalComponents
from oodbench.detectors.components.seeding import seeded
from oodbench.detectors.components.types import NonNegativeInt, PositiveInt

SEED = "random_state"
Features = Literal["components", "pixels"]


@register_family("pyod")
def pyod(name: str) -> type[Detector]:
    """Any detector of PyOD, on principal components or pixels; needs the extra oodbench[pyod].

    Parameters
    ----------
    name : str
        A class of ``pyod.models``, such as ``ECOD``; case does not matter.

    Returns
    -------
    type
        A detector with that class's parameters, and those of `Adapter`.

    Raises
    ------
    DetectorError
        PyOD is not installed, has no such detector, or cannot load it.
    """
    if importlib.util.find_spec("pyod") is None:
        raise DetectorError(f"pyod:{name} needs PyOD, which is not installed: pip install 'oodbench[pyod]'.")
    modules = _modules()
    known = {cls.lower(): cls for cls in modules}
    if name.lower() not in known:
        near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5) or sorted(known)
        raise DetectorError(f"PyOD has no detector {name!r}: there is {', '.join(known[key] for key in near)}.")
    name = known[name.lower()]
    try:
        target = getattr(importlib.import_module(modules[name]), name)
    except ImportError as error:
        raise DetectorError(f"PyOD's {name} cannot be loaded: {error}") from error
    summary = f"PyOD's {name}, on principal components or pixels."
    return type(
        name, (Adapter,), {"__doc__": summary, "__module__": __name__, "name": f"pyod:{name}", "target": target}
    )


class Adapter(PrincipalComponents):
    """Base of the detectors that wrap one of PyOD's.

    PyOD keeps its models as pickles. Here the training points are stored instead, and the model is fitted to them again
    when it is loaded. The number of principal components is not called ``n_components``, for some of PyOD's detectors
    have a parameter of that name.

    Parameters
    ----------
    features : {"components", "pixels"}
        What the detector sees: projections on principal components and the scaled length of what they leave out, or
        pixels.
    n_principal_components : int
        Number of principal components.
    seed : int
        Seeds the decomposition and the detector.
    **parameters
        The parameters of PyOD's class that have a plain default, by their names there.
    """

    target: ClassVar[type[Any]]
    error, represent = Detector.error, Detector.represent  # on pixels there is neither

    def __init__(
        self,
        *,
        features: Features = "components",
        n_principal_components: PositiveInt = 64,
        seed: NonNegativeInt = 0,
        **parameters: Any,
    ) -> None:
        self.features = features
        self.n_principal_components = n_principal_components
        self.seed = seed
        for key, value in (_defaults(self.target) | parameters).items():
            setattr(self, key, value)

    @classmethod
    def _get_param_names(cls) -> list[str]:
        return ["features", "n_principal_components", "seed", *_defaults(cls.target)]

    def hyperparameters(self, shape: Shape) -> dict[str, Any]:
        """Add PyOD's version, on which results depend; see `Detector.hyperparameters`."""
        return {**super().hyperparameters(shape), "pyod": importlib.metadata.version("pyod")}

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Fit PyOD's detector to images (N, C, H, W); see `Detector.fit`."""
        self.shape_ = check_images(images)
        check_choice("features", self.features, get_args(Features))
        if self.features == "components":
            self.points_ = self._fit_features(images, self.n_principal_components)
        else:
            self.points_ = images.flatten(1).clone()
        self._train()
        return self

    def score(self, images: Tensor) -> Tensor:
        """Return PyOD's decision function at images (N, C, H, W), (N,); see `Detector.score`."""
        check_images(images, self.shape_)
        points = self._features(images) if self.features == "components" else images.flatten(1)
        with seeded(self.seed):
            scores = self.model_.decision_function(points.double().numpy())
        return torch.from_numpy(np.asarray(scores, dtype=np.float32))

    def restore(self, state: dict[str, Tensor]) -> None:
        """Fit again to the stored points; see `Detector.restore`."""
        super().restore(state)
        self._train()

    def _train(self) -> None:
        given = {key: getattr(self, key) for key in _defaults(self.target)}
        own = {SEED: self.seed, "n_features": self.points_.shape[1]}
        given |= {key: value for key, value in own.items() if key in inspect.signature(self.target).parameters}
        with seeded(self.seed):
            self.model_ = self.target(**given).fit(self.points_.double().numpy())


def _modules() -> dict[str, str]:
    """Return the names of PyOD's detector classes and the modules that define them, without importing these."""
    package = importlib.import_module("pyod.models")
    folder = Path(package.__path__[0])
    found = {}
    for path in sorted(folder.glob("[!_]*.py")):
        for name, parents in re.findall(r"^class (\w+)\((.*?)\)", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
            if "Detector" in parents and not name.startswith("Base"):
                found[name] = f"pyod.models.{path.stem}"
    return found


def _defaults(target: type[Any]) -> dict[str, Any]:
    """Return the parameters of PyOD's class whose default JSON can hold, without the seed."""
    plain = (bool, int, float, str, type(None))
    parameters = inspect.signature(target).parameters.values()
    return {p.name: p.default for p in parameters if isinstance(p.default, plain) and p.name != SEED}
