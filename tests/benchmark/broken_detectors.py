"""For each check a detector that breaks what it checks, and otherwise works."""

from __future__ import annotations

import pickle
import random
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from oodbench.benchmark.cli.templates.detector import MyDetector
from oodbench.detectors import Detector, Monitor, check_images, register
from oodbench.detectors.base import Shape

BROKEN: dict[str, list[type[Any]]] = {}


def breaks(*checks: str) -> Any:
    """Enter a class as one that fails checks, under a name of its own."""

    def enter(cls: type[Detector]) -> type[Detector]:
        cls.name = cls.name if "name" in vars(cls) else "broken"
        for check in checks:
            BROKEN.setdefault(check, []).append(cls)
        return cls

    return enter


@register("whole")
class Whole(MyDetector):
    """Works."""


class Plain:
    """Is a class like any other."""

    def fit(self, images: Tensor) -> Self:
        return self

    def score(self, images: Tensor) -> Tensor:
        return images.flatten(1).sum(1)


class Scoreless(Detector):
    """Has no score."""

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        return self


BROKEN["is_a_detector"] = [Plain, Scoreless]


@breaks("has_a_proper_name")
class Named(Whole):
    """Has a name that no path should hold."""

    name = "My Detector"


@breaks("has_a_summary")
class Silent(Whole):
    pass


@breaks("parameters_have_defaults")
class NeedsArgument(Whole):
    """Has a parameter without a default."""

    def __init__(self, *, size: int) -> None:
        self.size = size


@breaks("parameters_have_defaults")
class ByPosition(Whole):
    """Takes a parameter by position."""

    def __init__(self, size: int = 1) -> None:
        super().__init__()


@breaks("parameters_have_defaults")
class Stars(Whole):
    """Takes anything by position."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)


@breaks("parameters_have_defaults")
class Keywords(Whole):
    """Takes any keyword."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)


class Computes(Detector):
    """Works in its constructor."""

    def __init__(self, *, size: int = 3) -> None:
        self.size = size * 2

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        return self

    def score(self, images: Tensor) -> Tensor:
        return images.flatten(1).sum(1)


BROKEN["constructor_only_keeps_parameters"] = [Computes]


@breaks("constructor_only_keeps_parameters")
class Prepares(Computes):
    """Sets more than its parameters."""

    def __init__(self, *, size: int = 3) -> None:
        self.size = size
        self.network_ = nn.Linear(size, size)


@breaks("constructor_only_keeps_parameters")
class Drops(Computes):
    """Keeps a parameter under another name."""

    def __init__(self, *, size: int = 3) -> None:
        self.width = size


@breaks("can_be_cloned")
class Copies(Computes):
    """Copies a parameter, so that a clone is never the same."""

    def __init__(self, *, sizes: tuple[int, ...] = (1, 2)) -> None:
        self.sizes = list(sizes)


@breaks("fit_leaves_parameters_alone")
class Changes(Whole):
    """Writes into a hyperparameter."""

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        self.epochs = 3
        return super().fit(images, monitor=monitor)


@breaks("hyperparameters_are_plain")
class Objects(Whole):
    """Has an object among its hyperparameters."""

    def hyperparameters(self, shape: Shape) -> dict[str, Any]:
        return {"activation": nn.ReLU()}


@breaks("methods_take_what_they_are_given")
class Labelled(Whole):
    """Wants labels."""

    def fit(self, images: Tensor, labels: Tensor, *, monitor: Monitor | None = None) -> Self:  # type: ignore[override]
        return super().fit(images, monitor=monitor)


@breaks("methods_take_what_they_are_given")
class Unwatched(Whole):
    """Takes no monitor."""

    def fit(self, images: Tensor) -> Self:  # type: ignore[override]
        return super().fit(images)


@breaks("methods_take_what_they_are_given")
class ScoresLabelled(Whole):
    """Wants labels where there are none."""

    def score(self, images: Tensor, labels: Tensor) -> Tensor:  # type: ignore[override]
        return super().score(images)


@breaks("methods_take_what_they_are_given")
class NoGenerator(Whole):
    """Takes no generator."""

    def sample(self, n: int) -> Tensor:  # type: ignore[override]
        return super().sample(n)


@breaks("methods_take_what_they_are_given")
class SamplesNothing(Whole):
    """Draws as many as it likes."""

    def sample(self, *, generator: torch.Generator | None = None) -> Tensor:  # type: ignore[override]
        return super().sample(1, generator=generator)


@breaks("fit_returns_itself")
class ReturnsNone(Whole):
    """Forgets to return itself."""

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        super().fit(images, monitor=monitor)
        return None  # type: ignore[return-value]


def spoilt_for(shape: Shape) -> type[Detector]:
    class Spoilt(Whole):
        """Returns NaN for images of one shape."""

        def score(self, images: Tensor) -> Tensor:
            return super().score(images) * (torch.nan if tuple(images.shape[1:]) == shape else 1)

    return Spoilt


for size in (8, 28, 32):
    for channels in (1, 3):
        breaks(f"fits_{channels}x{size}x{size}")(spoilt_for((channels, size, size)))


@breaks("fits_1_image", "fits_2_images", "fits_identical_images")
class Divides(Whole):
    """Divides by a variance that may be 0, or by one less than there are images."""

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        super().fit(images, monitor=monitor)
        variance = images.flatten(1).var(0, correction=0).max()
        self.scale_ = variance * (len(images) - 2)
        return self

    def score(self, images: Tensor) -> Tensor:
        return super().score(images) / self.scale_


@breaks("fits_a_batch_and_one")
class BatchNorm(Whole):
    """Has batch norm, which cannot train on a last batch of one image."""

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        super().fit(images, monitor=monitor)
        norm = nn.BatchNorm1d(images[0].numel())
        for batch in images.split(self.batch_size):
            if len(images) > 2:
                norm(batch.flatten(1))
        return self


@breaks("same_seed_same_scores", "fit_leaves_global_state_alone")
class DrawsGlobally(Whole):
    """Draws from the global random state."""

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        super().fit(images, monitor=monitor)
        self.offset_ = torch.rand(())
        return self

    def score(self, images: Tensor) -> Tensor:
        return super().score(images) + self.offset_


@breaks("fit_starts_anew")
class Remembers(Whole):
    """Counts its fits."""

    fits_: Tensor

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        self.fits_ = torch.tensor(1.0) + (self.fits_ if hasattr(self, "fits_") else 0)
        return super().fit(images, monitor=monitor)

    def score(self, images: Tensor) -> Tensor:
        return super().score(images) * self.fits_


@breaks("training_images_are_not_changed")
class WritesIntoTraining(Whole):
    """Normalises the training images in place."""

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        return super().fit(images.mul_(0.9), monitor=monitor)


@breaks("progress_is_reported")
class Quiet(Whole):
    """Reports nothing."""

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        return super().fit(images)


@breaks("progress_is_reported")
class CountsFromZero(Whole):
    """Counts epochs from 0."""

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        super().fit(images)
        for epoch in range(3):
            (monitor or Monitor()).report(epoch, 3, {"loss": 0.0})
        return self


@breaks("progress_is_reported")
class ReportsNan(Whole):
    """Reports a loss that is no number."""

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        super().fit(images)
        (monitor or Monitor()).report(1, 1, {"loss": float("nan")})
        return self


@breaks("gradient_reaches_every_parameter")
class Unused(Whole):
    """Has a layer that nothing uses."""

    def build(self, shape: Shape) -> None:
        super().build(shape)
        self.memory_ = nn.Linear(3, 3)


@breaks("gradient_reaches_every_parameter")
class Dead(Whole):
    """Shrinks everything that its encoder returns to 0, as a memory's threshold can."""

    def _errors(self, images: Tensor) -> Tensor:
        latents = self.encoder_(images)
        decoded: Tensor = self.decoder_(torch.where(latents > 1e9, latents, 0.0))
        return (decoded - images).square().flatten(1).sum(1)


@breaks("scoring_before_fitting_is_refused")
class ScoresUnfitted(Whole):
    """Scores although nothing was fitted."""

    def score(self, images: Tensor) -> Tensor:
        return super().score(images) if hasattr(self, "encoder_") else torch.zeros(len(images))


@breaks("scoring_before_fitting_is_refused")
class Confused(Whole):
    """Raises something that says nothing."""

    def score(self, images: Tensor) -> Tensor:
        if not hasattr(self, "encoder_"):
            raise KeyError("network")
        return super().score(images)


@breaks("scores_are_one_number_an_image")
class Column(Whole):
    """Returns a column."""

    def score(self, images: Tensor) -> Tensor:
        return super().score(images).unsqueeze(1)


@breaks("scores_are_one_number_an_image")
class Doubles(Whole):
    """Returns float64."""

    def score(self, images: Tensor) -> Tensor:
        return super().score(images).double()


@breaks("scores_are_one_number_an_image")
class Arrays(Whole):
    """Returns a NumPy array."""

    def score(self, images: Tensor) -> Tensor:
        return super().score(images).numpy()  # type: ignore[return-value]


@breaks("scores_are_one_number_an_image")
class Graph(Whole):
    """Returns scores with a graph."""

    def score(self, images: Tensor) -> Tensor:
        return self._errors(images)


@breaks("scores_are_finite")
class Logarithm(Whole):
    """Takes a logarithm of what may be 0."""

    def score(self, images: Tensor) -> Tensor:
        return super().score(images) - images.flatten(1).sum(1).log()


@breaks("scores_differ")
class Decides(Whole):
    """Returns a decision in place of a score."""

    def score(self, images: Tensor) -> Tensor:
        return (super().score(images) > 1).float()


@breaks("noise_scores_higher", "constant_images_score_higher")
class Upside(Whole):
    """Scores normal images high."""

    def score(self, images: Tensor) -> Tensor:
        return -super().score(images)


@breaks("noise_scores_higher_1x28x28", "noise_scores_higher_3x32x32")
class Projects(Whole):
    """Measures distances in a few principal components, and forgets what lies outside them."""

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        flat = images.flatten(1)
        self.centre_ = flat.mean(0)
        self.directions_ = torch.linalg.svd(flat - self.centre_, full_matrices=False)[2][:16]
        return self

    def score(self, images: Tensor) -> Tensor:
        distances: Tensor = ((images.flatten(1) - self.centre_) @ self.directions_.T).norm(dim=1)
        return distances


@breaks("score_is_no_random_draw")
class Draws(Whole):
    """Adds noise to its score."""

    def score(self, images: Tensor) -> Tensor:
        return super().score(images) + torch.rand(len(images))


@breaks("score_does_not_depend_on_batch_mates", "score_does_not_depend_on_batch_size")
class TrainingMode(Whole):
    """Leaves batch norm in training mode."""

    def score(self, images: Tensor) -> Tensor:
        scores = super().score(images)
        return (scores - scores.mean()) / (scores.std(correction=0) + 1e-6)


@breaks("score_does_not_depend_on_order")
class Counts(Whole):
    """Lets a score depend on its place."""

    def score(self, images: Tensor) -> Tensor:
        return super().score(images) + torch.arange(len(images))


@breaks("score_does_not_depend_on_memory_layout")
class Strides(Whole):
    """Reads the memory as if it were contiguous."""

    def score(self, images: Tensor) -> Tensor:
        return super().score(images.as_strided(images.shape, torch.empty(images.shape).stride()))


@breaks("scoring_learns_nothing")
class Learns(Whole):
    """Moves a running mean while scoring."""

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        self.running_ = images.mean()
        return super().fit(images, monitor=monitor)

    def score(self, images: Tensor) -> Tensor:
        self.running_ = 0.9 * self.running_ + 0.1 * images.mean()
        return super().score(images) + self.running_


@breaks("scored_images_are_not_changed")
class WritesIntoTest(Whole):
    """Normalises the images in place."""

    def score(self, images: Tensor) -> Tensor:
        return super().score(images.mul_(0.9))


@breaks(
    "score_refuses_nan",
    "score_refuses_another_size",
    "score_refuses_other_channels",
    "score_refuses_an_image_without_batch",
)
class Lenient(Whole):
    """Takes anything."""

    def score(self, images: Tensor) -> Tensor:
        return images.flatten(1).mean(1)


@breaks("score_refuses_another_size", "score_refuses_other_channels", "score_refuses_an_image_without_batch")
class Stumbles(Whole):
    """Raises torch's error about matrices in place of its own."""

    def score(self, images: Tensor) -> Tensor:
        with torch.inference_mode():
            return self._errors(images)


@breaks("score_handles_numpy_images")
class NeedsTensors(Whole):
    """Calls a tensor's method on whatever it is given."""

    def score(self, images: Tensor) -> Tensor:
        return super().score(images.clone())


@breaks("score_handles_numpy_images")
class ReadsArrays(Whole):
    """Takes an array's pixels for bytes."""

    def score(self, images: Tensor) -> Tensor:
        array = isinstance(images, np.ndarray)
        return super().score(torch.as_tensor(images) / (255 if array else 1))


@breaks("fit_handles_numpy_images")
class TrainsOnTensors(Whole):
    """Calls a tensor's method on whatever it is given."""

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        return super().fit(images.clone(), monitor=monitor)


@breaks("fit_refuses_nan")
class TrainsOnNan(Whole):
    """Trains on NaN."""

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        return super().fit(images.nan_to_num(), monitor=monitor)


@breaks("samples_are_images")
class TooBright(Whole):
    """Draws samples beyond 1."""

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        return super().sample(n, generator=generator) * 3


@breaks("samples_are_images")
class TooFew(Whole):
    """Draws one image less."""

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        return super().sample(n, generator=generator)[1:]


@breaks("samples_differ")
class Repeats(Whole):
    """Draws one image, again and again."""

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        return super().sample(1, generator=generator).repeat(n, 1, 1, 1)


@breaks("samples_follow_their_generator")
class IgnoresGenerator(Whole):
    """Draws from the global random state."""

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        return super().sample(n)


@breaks("samples_follow_their_generator")
class FixedSeed(Whole):
    """Draws the same whatever the generator is."""

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        return super().sample(n, generator=torch.Generator().manual_seed(0))


@breaks("reconstructions_are_images")
class Shifts(Whole):
    """Reconstructs beyond 1."""

    def reconstruct(self, images: Tensor) -> Tensor:
        return super().reconstruct(images) + 1


@breaks("saved_and_loaded_scores_the_same")
class Forgets(Whole):
    """Keeps an object that is not saved by itself."""

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        self.scaler_ = StandardScaler().fit(images.flatten(1).numpy())
        return super().fit(images, monitor=monitor)

    def score(self, images: Tensor) -> Tensor:
        return super().score(images) * float(self.scaler_.scale_[0])


@breaks("saved_and_loaded_scores_the_same")
class BuildsElsewhere(Whole):
    """Makes a network in fit, which cannot be made again when the model is loaded."""

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        self.head_ = nn.Flatten()
        return super().fit(images, monitor=monitor)

    def score(self, images: Tensor) -> Tensor:
        check_images(images, self.shape_)
        heads: Tensor = self.head_(images)
        return super().score(images) + heads.sum(1)


@breaks("saved_and_loaded_scores_the_same", "saved_and_loaded_samples_the_same")
class Rounds(Whole):
    """Saves half of the digits."""

    def state(self) -> dict[str, Tensor]:
        return {key: value.bfloat16().to(value.dtype) for key, value in super().state().items()}


@breaks("saves_no_pickle")
class Pickles(Whole):
    """Saves a pickle beside."""

    def save(self, folder: Path) -> None:
        super().save(folder)
        (folder / "more.bin").write_bytes(pickle.dumps({"a": 1}))


@breaks("counts_its_parameters")
class Miscounts(Whole):
    """Counts in fractions."""

    def parameter_count(self) -> int:
        return 1.5  # type: ignore[return-value]


@breaks("counts_its_parameters")
class Feverish(Whole):
    """Has a diagnostic that is no number."""

    def diagnostics(self, images: Tensor) -> dict[str, float]:
        return {"temperature": float("nan")}


@breaks("fit_leaves_global_state_alone")
class SetsThreads(Whole):
    """Sets the number of threads for everybody."""

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        torch.set_num_threads(torch.get_num_threads() + 1)
        return super().fit(images, monitor=monitor)


@breaks("score_leaves_global_state_alone")
class SeedsNumPy(Whole):
    """Seeds NumPy for everybody."""

    def score(self, images: Tensor) -> Tensor:
        np.random.seed(0)  # noqa: NPY002
        return super().score(images)


@breaks("sample_leaves_global_state_alone")
class SeedsPython(Whole):
    """Seeds Python for everybody."""

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        random.seed(0)
        return super().sample(n, generator=generator)


@breaks("fit_returns_itself")
class Nothing(Detector):
    """Cannot be fitted at all."""

    name: ClassVar[str] = "nothing"

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        check_images(images)
        raise RuntimeError("no fit today")

    def score(self, images: Tensor) -> Tensor:
        return torch.zeros(len(images))
