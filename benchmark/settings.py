"""Values of ``--set``: read from text, and checked against what a detector's constructor says of the parameter."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, get_type_hints

from oodbench.benchmark.errors import UsageError

if TYPE_CHECKING:
    from oodbench.detectors.base import Detector

PYTHON_SPELLINGS = {"True": True, "False": False, "None": None}
SCALARS = (bool, int, float)


def checked_value(detector: type[Detector], parameter: str, text: str) -> Any:
    """Return the value of a hyperparameter that is given as text.

    Parameters
    ----------
    detector : type
        The detector, whose constructor needs no arguments.
    parameter : str
        A parameter of its constructor. If it is annotated, the value must fit the annotation and its bounds
        (``Annotated[int, Ge(1)]``); if not, the type of its default.
    text : str
        JSON, or True, False or None; anything else is a string.

    Returns
    -------
    object
        What JSON can hold.

    Raises
    ------
    UsageError
        The parameter cannot have the value, or it is not finite.
    """
    import pydantic  # takes a tenth of a second, which commands without --set need not wait for

    value = parse(text)
    config = pydantic.ConfigDict(strict=True, allow_inf_nan=False)
    try:
        try:
            adapter = pydantic.TypeAdapter[Any](_annotation(detector, parameter), config=config)
        except pydantic.PydanticUserError:  # a class of which pydantic knows nothing
            adapter = pydantic.TypeAdapter[Any](_type_of_default(detector, parameter), config=config)
        adapter.validate_json(json.dumps(value, allow_nan=False))
    except pydantic.ValidationError as error:
        allowed = " or ".join(dict.fromkeys(_sentence(parameter, one["loc"], one["msg"]) for one in error.errors()))
    except ValueError:
        allowed = f"{parameter} should be a finite number"
    else:
        return value
    raise UsageError(f"--set {detector.name}.{parameter}={text} is refused: {allowed}.")


def parse(text: str) -> Any:
    """Return what a text says in JSON, or as Python spells True, False and None; else the text itself."""
    if text in PYTHON_SPELLINGS:
        return PYTHON_SPELLINGS[text]
    try:
        return json.loads(text, parse_constant=str)  # NaN and Infinity are no JSON
    except json.JSONDecodeError:
        return text


def _annotation(detector: type[Detector], parameter: str) -> Any:
    from oodbench.detectors.base import parameter_types  # imports torch

    known = parameter_types(detector)
    if parameter in known:
        return known[parameter]
    constructor: Any = inspect.unwrap(detector.__init__)
    with suppress(Exception):  # it may have no annotation, or another one of the class cannot be resolved
        alone = SimpleNamespace(__annotations__={parameter: constructor.__annotations__[parameter]})
        return get_type_hints(alone, constructor.__globals__, include_extras=True)[parameter]
    return _type_of_default(detector, parameter)


def _type_of_default(detector: type[Detector], parameter: str) -> Any:
    """Return the type of a parameter's default; Any for a string, since "auto" may stand in place of a number."""
    default = detector().get_params(deep=False)[parameter]
    if isinstance(default, (list, tuple)):
        kinds = {type(item) for item in default}
        return list[kinds.pop()] if len(kinds) == 1 else list[Any]  # type: ignore[misc]
    return type(default) if isinstance(default, (*SCALARS, dict)) else Any


def _sentence(parameter: str, location: Sequence[int | str], message: str) -> str:
    """Return what pydantic says of a value, with the parameter, or the item of it, in place of "Input"."""
    items = "".join(f" {step + 1} of" for step in reversed(location) if isinstance(step, int))
    subject = f"item{items} {parameter}" if items else parameter
    said = message[:1].lower() + message[1:]
    return said.replace("input", subject, 1) if said.startswith("input") else f"{subject}: {said}"
