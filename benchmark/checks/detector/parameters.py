"""The class, and its hyperparameters."""

from __future__ import annotations

import json
import re

from sklearn.base import clone

from oodbench.benchmark.checks.check import Check, CheckFailed, CheckSkipped, adds_to, demand
from oodbench.benchmark.checks.detector.images import SHAPES
from oodbench.benchmark.checks.detector.specimen import Specimen

CHECKS: list[Check[Specimen]] = []
check = adds_to(CHECKS)


@check
def has_a_proper_name(specimen: Specimen) -> None:
    """The class is registered under a name of lower-case letters, digits and hyphens."""
    if not specimen.cls.name:
        raise CheckSkipped('it is not registered: for `bench` to find it, put @register("its-name") before the class')
    demand(
        re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*(:[\w.-]+)?", specimen.cls.name),
        f"its name is {specimen.cls.name!r}: register it under lower-case letters, digits and single hyphens.",
    )


@check
def has_a_summary(specimen: Specimen) -> None:
    """The first line of the class's docstring says what it is."""
    own = vars(specimen.cls).get("__doc__") or ""
    generated = own.startswith(f"{specimen.cls.__name__}(")  # dataclasses write the signature there
    demand(
        own.strip() and not generated,
        "the class has no docstring: write one, whose first line `bench list` shows.",
    )


@check
def can_be_cloned(specimen: Specimen) -> None:
    """``get_params``, ``set_params`` and ``sklearn.base.clone`` return the same parameters."""
    detector = specimen.new()
    before = detector.get_params(deep=False)
    demand(
        clone(detector).get_params(deep=False) == before and detector.set_params(**before).get_params(False) == before,
        "a clone has other parameters than the original: let the constructor keep them as they are given.",
    )


@check
def fit_leaves_parameters_alone(specimen: Specimen) -> None:
    """Fitting changes no hyperparameter."""
    before = specimen.new().get_params(deep=False)
    after = specimen.fitted.get_params(deep=False)
    changed = sorted(name for name in before if before[name] != after[name])
    demand(not changed, f"fit changes {', '.join(changed)}: keep what it derives in another attribute, ending in _.")


@check
def hyperparameters_are_plain(specimen: Specimen) -> None:
    """``hyperparameters(shape)`` returns values that JSON can hold."""
    for shape in SHAPES:
        try:
            json.dumps(specimen.new().hyperparameters(shape), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise CheckFailed(
                f"hyperparameters({shape}) cannot be written as JSON ({error}): use plain values."
            ) from error
