"""Many small trainings of one method as one: the networks' weights stacked, so that a single GPU is filled."""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from sklearn.base import clone
from torch import Tensor, nn
from torch.func import functional_call, vmap

from oodbench.detectors.base import Detector, DetectorError, FitDivergedError, Monitor, check_images
from oodbench.detectors.components.autoencoder import Autoencoder
from oodbench.detectors.components.seeding import seeded
from oodbench.detectors.components.training import bfloat16_pays, full_batches, in_batches


@dataclass(frozen=True)
class Trained:
    """What the training of one detector's network came to.

    Attributes
    ----------
    weights : dict of str to Tensor
        The network's ``state_dict``, on the CPU.
    history : list of dict
        Every epoch's measures, as `components.training.train` reports them. If training diverged, the last
        epoch's loss is not finite.
    seconds : float
        This detector's share of the time that all took together.
    count : int
        How many were trained together.
    """

    weights: dict[str, Tensor]
    history: list[dict[str, float]]
    seconds: float
    count: int

    @property
    def diverged(self) -> bool:
        """Return whether the loss stopped being finite."""
        return bool(self.history) and not math.isfinite(self.history[-1]["loss"])

    def save(self, path: Path) -> None:
        """Write a safetensors file; all but the weights stands in its metadata as JSON."""
        about = {"history": self.history, "seconds": self.seconds, "count": self.count}
        save_file(self.weights, path, metadata={key: json.dumps(value) for key, value in about.items()})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        with safe_open(path, framework="pt") as file:
            about = {key: json.loads(value) for key, value in file.metadata().items()}
            return cls(weights={key: file.get_tensor(key) for key in file.keys()}, **about)  # noqa: SIM118


def can_train_together(detector: Detector | type[Detector]) -> bool:
    """Return whether `train_together` takes detectors of a class.

    It takes autoencoders whose ``fit`` is that of `Autoencoder`: what they minimise depends on weights, images and
    noise alone. It takes no method whose ``fit`` prepares something for its objective.

    Parameters
    ----------
    detector : Detector or type
        A detector or its class.

    Returns
    -------
    bool
    """
    kind: Any = detector if isinstance(detector, type) else type(detector)
    return issubclass(kind, Autoencoder) and kind.fit is Autoencoder.fit and kind._train is Autoencoder._train


def train_together(
    detectors: Sequence[Autoencoder], images: Sequence[Tensor], *, monitors: Sequence[Monitor] | None = None
) -> list[Trained]:
    """Train the networks of K detectors, each on images of its own, as one batched model.

    Each starts from the weights, and goes through its images in the order, that ``fit`` would take for its seed. All
    make as many steps, of full batches, as the one that needs most: the others go on into further epochs, of which the
    last may be cut short. So a detector whose steps are as many as alone, and whose objective draws no noise, ends at
    the weights that ``fit`` would find, up to rounding. Noise comes from one source for all; it is another draw than in
    ``fit``.

    The detectors themselves are left as they are; see `adopt`.

    Parameters
    ----------
    detectors : sequence of Autoencoder
        K detectors of one class (see `can_train_together`) with the same hyperparameters apart from the seed.
    images : sequence of Tensor
        For each detector its normal images, float32 (N_k, C, H, W) in [0, 1].
    monitors : sequence of Monitor, optional
        For each detector one that hears of its epochs as they end, and may lend held-out images. It cannot ask the
        detector for scores meanwhile.

    Returns
    -------
    list of Trained
        For each detector. One that diverges does not stop the others: see `Trained.diverged`.

    Raises
    ------
    DetectorError
        The detectors, or their images, are too unlike to be trained as one.
    """
    start = time.perf_counter()
    monitors = [Monitor()] * len(detectors) if monitors is None else monitors
    _check(detectors, images, monitors)
    device, shape = detectors[0].device, images[0].shape[1:]
    models, generators = [], []
    for detector in detectors:
        model = clone(detector)
        with seeded(model.seed, device) as generator:
            model.build(tuple(shape))
        models.append(model)
        generators.append(generator)
    stack = _Stack(models)
    histories = _minimise(stack, images, generators, monitors)
    weights = stack.unstack()
    seconds = (time.perf_counter() - start) / len(detectors)
    return [Trained(own, history, seconds, len(weights)) for own, history in zip(weights, histories, strict=True)]


def adopt(detector: Autoencoder, trained: Trained) -> None:
    """Make a detector's next ``fit`` take over trained weights instead of training; all else it does as ever.

    That fit's monitor hears the history at once; scores that it asks for meanwhile are those of the final weights. A
    further fit trains again, for it may be given other images.

    Parameters
    ----------
    detector : Autoencoder
        Its next ``fit`` is to be given the images that were trained on. It raises `FitDivergedError` where the
        training diverged, and `DetectorError` where the weights are not of such a network.
    trained : Trained
        From `train_together`.
    """

    def take_over(images: Tensor, generator: torch.Generator, monitor: Monitor | None) -> None:
        del images, generator
        del detector._train  # from now on it is the class's own again
        try:
            detector.network_.load_state_dict(trained.weights)
        except RuntimeError as error:
            raise DetectorError(f"The weights are not of a {type(detector).__name__} with this network.") from error
        for epoch, measures in enumerate(trained.history, start=1):
            if not math.isfinite(measures["loss"]):
                raise FitDivergedError(
                    f"The loss was {measures['loss']} after epoch {epoch}: training diverged. Try a smaller "
                    f"learning_rate than {detector.settings_['learning_rate']:g}."
                )
            if monitor is not None:
                monitor.report(epoch, len(trained.history), measures)

    detector._train = take_over  # type: ignore[method-assign]


class _Objective(nn.Module):
    """A detector's objective as a module, in which other weights can be put."""

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.network = model.network_
        for module in self.network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                # under vmap, autocast leaves the weights as they are where the input is bfloat16 already
                module.register_forward_pre_hook(lambda _, inputs: (inputs[0].float(),))
        self.objective = model._objective

    def forward(self, images: Tensor, noise: torch.Generator | None) -> dict[str, Tensor]:
        return self.objective(images, noise)


class _Stack:
    """K detectors with networks of one architecture.

    Attributes
    ----------
    model : Autoencoder
        The first, for what all have in common.
    weights : dict of str to Tensor
        For each parameter of the network those of all detectors, (K, ...).
    statistics : dict of str to Tensor
        The same for each buffer, such as the running means of batch normalisation.
    """

    def __init__(self, models: Sequence[Autoencoder]) -> None:
        self.model = models[0]
        self._objective = _Objective(self.model)
        every = [_Objective(model) for model in models]
        parameters, buffers = (
            [dict(named(objective)) for objective in every]
            for named in (nn.Module.named_parameters, nn.Module.named_buffers)
        )
        if parameters[0].keys() | buffers[0].keys() != self._objective.state_dict().keys():
            raise DetectorError(
                f"The network of {type(self.model).__name__} has shared weights or buffers that are not stored, and "
                "cannot be trained as one of many."
            )
        self.weights = {name: value.requires_grad_() for name, value in _stacked(parameters).items()}
        self.statistics = _stacked(buffers)

    def measures(self, images: Tensor, noise: torch.Generator) -> dict[str, Tensor]:
        """Return each detector's measures of its own images (K, n, C, H, W), each (K, n)."""

        def of_one(weights: dict[str, Tensor], statistics: dict[str, Tensor], images: Tensor) -> Any:
            return functional_call(self._objective, {**weights, **statistics}, (images, noise))

        self._objective.train()
        found: dict[str, Tensor] = vmap(of_one, randomness="different")(self.weights, self.statistics, images)
        return found

    def held_out_measures(self, which: int, images: Tensor) -> list[float]:
        """Return the means of one detector's measures of held-out images (M, C, H, W), without noise."""
        state = {name: stacked[which] for name, stacked in self._state().items()}

        def of_batch(batch: Tensor) -> Tensor:
            return torch.stack(list(functional_call(self._objective, state, (batch, None)).values()))

        self._objective.eval()
        means: list[float] = in_batches(of_batch, images, torch.device(self.model.device)).mean(1).tolist()
        return means

    def unstack(self) -> list[dict[str, Tensor]]:
        """Return each detector's weights and statistics as its network names them, on the CPU."""
        stacked = {name.removeprefix("network."): value.detach().cpu() for name, value in self._state().items()}
        count = len(next(iter(stacked.values())))
        return [
            {name: values[which].clone(memory_format=torch.contiguous_format) for name, values in stacked.items()}
            for which in range(count)
        ]

    def _state(self) -> dict[str, Tensor]:
        return {**self.weights, **self.statistics}


def _stacked(every: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([own[name].detach() for own in every]) for name in every[0]}


def _check(detectors: Sequence[Autoencoder], images: Sequence[Tensor], monitors: Sequence[Monitor]) -> None:
    """Refuse what cannot be trained as one."""
    if not len(detectors) == len(images) == len(monitors) > 0:
        raise DetectorError(
            f"Each detector needs images and a monitor: there are {len(detectors)}, {len(images)} and {len(monitors)}."
        )
    for detector, own in zip(detectors, images, strict=True):
        if not can_train_together(detector):
            raise DetectorError(f"{type(detector).__name__} cannot be trained as one of many.")
        if type(detector) is not type(detectors[0]):
            raise DetectorError(
                f"Detectors that train together are of one class, not {type(detectors[0]).__name__} and "
                f"{type(detector).__name__}."
            )
        unlike = sorted(key for key, value in _common(detector).items() if value != _common(detectors[0])[key])
        if unlike:
            raise DetectorError(f"Detectors that train together differ in their seed alone, not in {unlike}.")
        check_images(own)
        if len(own) < detector.hyperparameters(tuple(own.shape[1:]))["batch_size"]:  # type: ignore[arg-type]
            raise DetectorError("Detectors that train together have at least a batch of images each.")
        if own.shape[1:] != images[0].shape[1:]:
            raise DetectorError(
                f"Detectors that train together have images of one shape, not {tuple(images[0].shape[1:])} and "
                f"{tuple(own.shape[1:])}."
            )


def _common(detector: Autoencoder) -> Mapping[str, Any]:
    """Return the parameters that detectors have to share."""
    return {key: value for key, value in detector.get_params(deep=False).items() if key != "seed"}


def _minimise(
    stack: _Stack, images: Sequence[Tensor], generators: Sequence[torch.Generator], monitors: Sequence[Monitor]
) -> list[list[dict[str, float]]]:
    """Train as `components.training.train` does, all at once; return each detector's history."""
    settings, device = stack.model.settings_, torch.device(stack.model.device)
    lengths = [full_batches(len(own), settings["batch_size"]) for own in images]
    steps = max(length * stack.model._epochs(len(own)) for length, own in zip(lengths, images, strict=True))
    record = _Record(stack, monitors, lengths, steps)
    if steps == 0:
        return record.histories
    batches = zip(images, generators, strict=True)
    orders = [_order(len(own), settings["batch_size"], steps, generator) for own, generator in batches]
    first = torch.tensor([0, *(len(own) for own in images[:-1])], device=device).cumsum(0)
    chosen = torch.stack(orders, dim=1) + first.unsqueeze(1)
    pool = torch.cat(list(images)).to(device)
    # Adam works number by number, so that one of stacked weights is one for each detector
    optimizer = torch.optim.Adam(stack.weights.values(), lr=settings["learning_rate"], fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings["learning_rate"], total_steps=steps)
    bfloat16 = settings["bfloat16"] and bfloat16_pays(stack.model.device)
    for step in range(steps):
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            measures = stack.measures(pool[chosen[step]], generators[0])
        # a detector's weights enter its own mean only: the gradient of the sum holds that of each
        measures["loss"].mean(1).sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        record.add(measures)
    return record.histories


class _Record:
    """Keeps each detector's history, and tells its monitor; an epoch of each has so many steps as `lengths` says."""

    def __init__(self, stack: _Stack, monitors: Sequence[Monitor], lengths: Sequence[int], steps: int) -> None:
        self.histories: list[list[dict[str, float]]] = [[] for _ in monitors]
        self._stack, self._monitors = stack, monitors
        self._epochs = [math.ceil(steps / length) for length in lengths]
        self._ends: defaultdict[int, list[int]] = defaultdict(list)
        for which, length in enumerate(lengths):
            for step in {*range(length, steps + 1, length), steps}:
                self._ends[step].append(which)
        self._step = 0
        self._begun = [0] * len(monitors)
        self._totals = torch.zeros(())

    def add(self, measures: Mapping[str, Tensor]) -> None:
        """Count in a step: measures of images, each (K, n)."""
        self._step += 1
        means = torch.stack([measure.detach().mean(1) for measure in measures.values()])
        # nothing is fetched from the device before an epoch ends
        self._totals = self._totals.to(means.device) + means
        for which in self._ends[self._step]:
            steps, self._begun[which] = self._step - self._begun[which], self._step
            sums = self._totals[:, which].tolist()
            self._totals[:, which] = 0
            self._end_epoch(which, {key: total / steps for key, total in zip(measures, sums, strict=True)})

    def _end_epoch(self, which: int, means: dict[str, float]) -> None:
        history, monitor = self.histories[which], self._monitors[which]
        if history and not math.isfinite(history[-1]["loss"]):  # it diverged before
            return
        history.append(means)
        if not math.isfinite(means["loss"]):
            return
        if monitor.validation is not None:
            held_out = self._stack.held_out_measures(which, monitor.validation)
            means.update({f"validation_{key}": value for key, value in zip(tuple(means), held_out, strict=True)})
        monitor.report(len(history), self._epochs[which], means)


def _order(count: int, batch_size: int, steps: int, generator: torch.Generator) -> Tensor:
    """Draw which of `count` images each step takes, (steps, batch_size)."""
    length = full_batches(count, batch_size)
    epochs = [
        torch.randperm(count, generator=generator, device=generator.device)[: length * batch_size]
        for _ in range(math.ceil(steps / length))
    ]
    return torch.cat(epochs).view(-1, batch_size)[:steps]
