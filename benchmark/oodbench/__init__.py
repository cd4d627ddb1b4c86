"""oodbench: compare out-of-distribution detectors, one-vs-rest, on detection and on generation.

The names below are the public interface. Each is imported when it is first asked for, so that ``import oodbench`` is
quick and does not import torch.

Evaluate a detector, here in this process:

>>> import oodbench as ob
>>> split = ob.load_split("digits", normal_class=3)
>>> result = ob.evaluate("memvae", split)
>>> round(result.auroc, 1), result.scores.shape, result.samples.shape[1:]
(1.0, (540,), (1, 8, 8))

Write a detector, and check it:

>>> from oodbench.detectors import check_images
>>> @ob.register("farthest")
... class Farthest(ob.Detector):
...     '''Distance to the mean training image.'''
...
...     def fit(self, images, *, monitor=None):
...         check_images(images)
...         self.mean_ = images.mean(0)
...         return self
...
...     def score(self, images):
...         check_images(images, self.mean_.shape)
...         return (images - self.mean_).flatten(1).norm(dim=1)
>>> ob.check_detector(Farthest())

Compare it with others, in worker processes; results are stored, and read again later:

>>> results = ob.run([Farthest, "knn"], ["digits"], classes=[3], out="my-run", progress=False)
>>> isinstance(results, ob.Results), isinstance(results[0], ob.TrialResult)
(True, True)
>>> results.to_frame()[["detector", "normal_class", "seed"]].values.tolist()
[['farthest', 3, 0], ['knn', 3, 0]]
>>> ob.__version__.count(".")
2
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oodbench._api import (
        evaluate,
        list_datasets,
        list_detectors,
        load_model,
        load_results,
        load_split,
        run,
    )
    from oodbench.benchmark.checks import check_detector
    from oodbench.benchmark.results.collection import Results
    from oodbench.benchmark.results.result import TrialResult
    from oodbench.detectors.base import Detector, register

    __version__: str

_MODULES = {
    "Detector": "oodbench.detectors.base",
    "Results": "oodbench.benchmark.results.collection",
    "TrialResult": "oodbench.benchmark.results.result",
    "check_detector": "oodbench.benchmark.checks",
    "register": "oodbench.detectors.base",
}
"""Where names are defined that `oodbench._api` does not define."""

__all__ = [
    "Detector",
    "Results",
    "TrialResult",
    "__version__",
    "check_detector",
    "evaluate",
    "list_datasets",
    "list_detectors",
    "load_model",
    "load_results",
    "load_split",
    "register",
    "run",
]


def __getattr__(name: str) -> Any:
    if name in ("benchmark", "datasets", "detectors"):
        return import_module(f"oodbench.{name}")
    if name not in __all__:
        raise AttributeError(f"module 'oodbench' has no attribute {name!r}; it has {', '.join(__all__)}")
    if name == "__version__":
        value = import_module("importlib.metadata").version("oodbench")
    else:
        value = getattr(import_module(_MODULES.get(name, "oodbench._api")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
