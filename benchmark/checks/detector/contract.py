"""The contract: the class, its constructor and its methods' signatures. A failure here is fatal."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from oodbench.benchmark.checks.check import Check, CheckFailed, adds_to, cause, demand
from oodbench.benchmark.checks.detector.images import FEW, NEW, toy_images
from oodbench.benchmark.checks.detector.specimen import Specimen
from oodbench.detectors.base import Detector, can_reconstruct, can_sample

CHECKS: list[Check[Specimen]] = []
fatal = adds_to(CHECKS, fatal=True)
CONSTRUCTOR = "`def __init__(self, *, k: int = 5)`"
FIT, SCORE = "`def fit(self, images, *, monitor=None)`", "`def score(self, images)`"
SAMPLE, RECONSTRUCT = "`def sample(self, n, *, generator=None)`", "`def reconstruct(self, images)`"


@fatal
def is_a_detector(specimen: Specimen) -> None:
    """The class derives from ``oodbench.detectors.Detector``, and has ``fit`` and ``score``."""
    cls = specimen.cls
    demand(
        issubclass(cls, Detector),
        f"{cls.__name__} is not a detector: let it derive from oodbench.detectors.Detector "
        f"(`class {cls.__name__}(Detector):`).",
    )
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    write = {"fit": FIT, "score": SCORE}
    demand(
        not missing,
        f"{cls.__name__} has no method {' and no method '.join(missing)}: write "
        f"{' and '.join(write.get(name, name) for name in missing)}.",
    )


@fatal
def parameters_have_defaults(specimen: Specimen) -> None:
    """The constructor needs no argument, and takes named keywords only."""
    for parameter in _constructor(specimen.cls):
        name = parameter.name
        demand(
            parameter.kind != parameter.VAR_POSITIONAL,
            f"the constructor takes *{name}, which hides the hyperparameters: name each, with a default, after a "
            f"bare * ({CONSTRUCTOR}).",
        )
        demand(
            parameter.kind != parameter.VAR_KEYWORD or _names_more(specimen),
            f"the constructor takes **{name}, which hides the hyperparameters: name each, with a default, after a "
            f"bare * ({CONSTRUCTOR}).",
        )
        demand(
            parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD),
            f"the constructor takes {name!r} by position: write a * before its parameters ({CONSTRUCTOR}).",
        )
        demand(
            parameter.kind == parameter.VAR_KEYWORD or parameter.default is not parameter.empty,
            f"the parameter {name!r} has no default, and a benchmark runs defaults: give it one.",
        )


def _constructor(cls: type[Detector]) -> list[inspect.Parameter]:
    return [] if cls.__init__ is object.__init__ else list(inspect.signature(cls.__init__).parameters.values())[1:]


def _names_more(specimen: Specimen) -> bool:
    """Whether ``get_params`` lists hyperparameters that the constructor's signature does not, as an adapter's may."""
    named = {parameter.name for parameter in _constructor(specimen.cls)}
    return not set(specimen.new().get_params(deep=False)) <= named


@fatal
def constructor_only_keeps_parameters(specimen: Specimen) -> None:
    """The constructor does nothing but store its arguments under their own names, unchanged."""
    given = specimen.parameters()
    detector = specimen.cls(**given)
    kept = vars(detector)
    signature = _constructor(specimen.cls)
    passed = {one.name: one.default for one in signature if one.default is not one.empty} | given
    for name, value in passed.items():
        demand(name in kept, f"the constructor does not keep {name!r}: write self.{name} = {name}.")
        demand(
            kept[name] is value,
            f"the constructor changes {name!r}, from {value!r} to {kept[name]!r}: write self.{name} = {name}, and "
            "work on it in fit.",
        )
    more = sorted(set(kept) - set(detector.get_params(deep=False)))
    demand(not more, f"the constructor sets {', '.join(more)} besides its parameters: do that in fit.")


@fatal
def methods_take_what_they_are_given(specimen: Specimen) -> None:
    """The methods can be called as the benchmark calls them: with images alone, without labels."""
    cls = specimen.cls
    _accepts(cls.fit, "images", "monitor", f"write {FIT}; detectors see no labels.")
    _accepts(cls.score, "images", None, f"write {SCORE}; detectors see no labels.")
    if can_sample(cls):
        _accepts(cls.sample, "n", "generator", f"write {SAMPLE}.")
    if can_reconstruct(cls):
        _accepts(cls.reconstruct, "images", None, f"write {RECONSTRUCT}.")


def _accepts(method: Callable[..., Any], first: str, keyword: str | None, advice: str) -> None:
    """Demand that a method can be called with one argument, and with an optional keyword besides."""
    signature = inspect.signature(method)
    rest = list(signature.parameters.values())[2:]  # behind self and the argument
    starred = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    extra = [one.name for one in rest if one.default is one.empty and one.kind not in starred]
    demand(not extra, f"{method.__name__} needs {', '.join(extra)} besides {first}: {advice}")
    demand(_binds(signature), f"{method.__name__} does not take {first} by position: {advice}")
    if keyword is not None:
        demand(_binds(signature, **{keyword: None}), f"{method.__name__} does not take {keyword}: {advice}")


def _binds(signature: inspect.Signature, **keywords: None) -> bool:
    try:
        signature.bind("self", "argument", **keywords)
    except TypeError:
        return False
    return True


@fatal
def fit_returns_itself(specimen: Specimen) -> None:
    """``fit`` succeeds, and returns the detector."""
    detector = specimen.new()
    try:
        returned = detector.fit(toy_images(FEW))
    except Exception as error:
        raise CheckFailed(
            f"fit raised {cause(error)}; it is given {FEW} images, float32 (N, C, H, W) in [0, 1], here (1, 12, 12)."
        ) from error
    demand(returned is detector, "fit does not return the detector: end it with `return self`.")


@fatal
def scores_are_one_number_an_image(specimen: Specimen) -> None:
    """``score`` returns a float32 tensor (N,) on the CPU, detached from the graph."""
    scores: object = specimen.scores
    demand(
        isinstance(scores, Tensor),
        f"score returns {_article(scores)}: return a torch.Tensor, for example torch.as_tensor(scores).float().",
    )
    assert isinstance(scores, Tensor)
    demand(
        scores.shape == (NEW,),
        f"score returns shape {tuple(scores.shape)} for {NEW} images: return ({NEW},), for example by "
        f"{'.squeeze(1)' if scores.shape == (NEW, 1) else '.flatten(1).sum(1)'}.",
    )
    demand(scores.dtype == torch.float32, f"score returns {scores.dtype}: return float32, by .float().")
    demand(not scores.requires_grad, "the scores carry a graph: compute them under torch.inference_mode().")
    demand(scores.device.type == "cpu", f"the scores are on {scores.device}: return them by .cpu().")


def _article(value: object) -> str:
    """Name a value's type: "a NumPy array", "a list"."""
    name = type(value).__name__
    return {"ndarray": "a NumPy array", "NoneType": "nothing"}.get(name, f"a {name}")
