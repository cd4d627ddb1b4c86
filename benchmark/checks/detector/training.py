"""Training a network: progress is reported, and every parameter learns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from oodbench.benchmark.checks.check import Check, CheckSkipped, adds_to, demand
from oodbench.benchmark.checks.detector.images import FEW, toy_images
from oodbench.benchmark.checks.detector.specimen import Specimen
from oodbench.detectors.base import Detector, Monitor

CHECKS: list[Check[Specimen]] = []
check = adds_to(CHECKS)


class _Listener(Monitor):
    def __init__(self, validation: Tensor | None = None) -> None:
        self.validation = validation
        self.heard: list[tuple[int, int, dict[str, float]]] = []

    def report(self, step: int, steps: int, measures: Mapping[str, float]) -> None:
        self.heard.append((step, steps, dict(measures)))


@check
def progress_is_reported(specimen: Specimen) -> None:
    """A fit that trains a network reports every epoch to its monitor, from 1 to the last."""
    listener = _Listener(validation=toy_images(10, seed=5))
    detector = specimen.fit(toy_images(FEW), listener)
    heard = listener.heard
    if not heard and not any(True for _ in _trainable(detector)):
        raise CheckSkipped("it has no network, and reports no progress")
    demand(heard, "fit reports no progress: call monitor.report(epoch, epochs, {'loss': …}) after every epoch.")
    steps = [step for step, _, _ in heard]
    demand(
        steps == sorted(set(steps)) and steps[0] >= 1 and heard[-1][0] == heard[-1][1],
        f"fit reports the steps {steps} of {heard[-1][1]}: count up from 1 to the number of steps.",
    )
    values = [value for _, _, measures in heard for value in measures.values()]
    demand(
        all(isinstance(value, int | float) for value in values) and np.isfinite(values).all(),
        "fit reports measures that are no finite numbers: pass floats, for example loss.item().",
    )


@check
def gradient_reaches_every_parameter(specimen: Specimen) -> None:
    """Every trainable parameter of a network receives a gradient that is not 0 while fitting."""
    born: list[nn.Parameter] = []
    reached: set[int] = set()

    def listen(parameter: nn.Parameter) -> None:
        if parameter.grad is not None and bool(parameter.grad.count_nonzero()):
            reached.add(id(parameter))

    def watch(_: nn.Module, __: str, parameter: nn.Parameter | None) -> None:
        if parameter is not None and parameter.requires_grad and parameter.is_leaf:
            born.append(parameter)  # kept alive, so that no id is used twice
            parameter.register_post_accumulate_grad_hook(listen)

    handle = register_module_parameter_registration_hook(watch)
    try:
        detector = specimen.fit(toy_images(FEW))
    finally:
        handle.remove()
    trainable = dict(_trainable(detector))
    if not trainable:
        raise CheckSkipped("it has no network with trainable parameters")
    watched = {id(parameter) for parameter in born}
    dead = sorted(name for name, one in trainable.items() if id(one) in watched and id(one) not in reached)
    demand(
        not dead,
        f"no gradient reached {', '.join(dead[:5])}{' and others' * (len(dead) > 5)} while fitting: what they compute "
        "does not reach the loss (a detach, a threshold that zeroes everything, or a part that is not used).",
    )


def _trainable(detector: Detector) -> Iterator[tuple[str, nn.Parameter]]:
    for attribute, value in vars(detector).items():
        if isinstance(value, nn.Module):
            for name, parameter in value.named_parameters(prefix=attribute):
                if parameter.requires_grad:
                    yield name, parameter
