"""What has to hold for every detector."""

from __future__ import annotations

import inspect
import io
import json
import pickletools
import random
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from oodbench.benchmark.checks.check import Check, CheckFailed, CheckSkipped
from oodbench.detectors.base import Detector, DetectorError, Monitor, Shape, can_reconstruct, can_sample

SHAPE: Shape = (1, 12, 12)
SHAPES: tuple[Shape, ...] = ((1, 8, 8), (3, 8, 8), (1, 28, 28), (3, 28, 28), (1, 32, 32), (3, 32, 32))
TRAINING, NEW, FEW = 128, 40, 24
FAR = 0.8
"""AUROC that is asked for against images that are nothing like the normal ones."""
RELATIVE, ABSOLUTE = 1e-3, 1e-5
"""How far apart two scores of one image may be that were computed in different batches."""


def toy_images(n: int, shape: Shape = SHAPE, *, seed: int = 0) -> Tensor:
    """Draw soft discs near the middle, brighter above: normal images that every method learns at once.

    Parameters
    ----------
    n : int
        How many.
    shape : tuple of int
        (C, H, W).
    seed : int
        Of places and sizes.

    Returns
    -------
    Tensor
        float32 (n, C, H, W) in [0, 1].
    """
    generator = torch.Generator().manual_seed(seed)
    channels, height, width = shape
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    centre = 0.5 * torch.rand(n, 2, 1, 1, generator=generator) - 0.25
    sharpness = 3 + 2 * torch.rand(n, 1, 1, generator=generator)
    disc = torch.exp(-sharpness * ((x - centre[:, 0]).square() + (y - centre[:, 1]).square()))
    light = 0.6 - 0.4 * y
    tint = torch.linspace(1, 0.6, channels).view(1, -1, 1, 1)
    return (disc * light).unsqueeze(1) * tint


class Specimen:
    """A detector under test, and what it gives; fitted at most once for all the checks that only look.

    Parameters
    ----------
    detector : Detector or type
        A class, or an object whose hyperparameters are used.
    """

    def __init__(self, detector: Detector | type[Detector]) -> None:
        self.prototype = None if isinstance(detector, type) else detector
        self.cls = cast(type[Detector], detector if isinstance(detector, type) else type(detector))
        self.name = self.cls.name or self.cls.__name__

    def new(self) -> Detector:
        """Make an unfitted detector."""
        cloned: Detector = self.cls() if self.prototype is None else clone(self.prototype)
        return cloned

    @cached_property
    def works(self) -> bool:
        """Whether it can be fitted at all; where it cannot, one check says so, and the others are skipped."""
        try:
            self.new().fit(toy_images(FEW))
        except Exception:  # whatever a plugin raises
            return False
        return True

    def fit(self, images: Tensor, monitor: Monitor | None = None) -> Detector:
        """Make a detector and fit it."""
        if not self.works:
            raise CheckSkipped("it cannot be fitted at all: see fit_returns_itself")
        detector = self.new()
        detector.fit(images, monitor=monitor)
        return detector

    @cached_property
    def fitted(self) -> Detector:
        """A detector that was fitted to `images`."""
        return self.fit(self.images)

    @cached_property
    def images(self) -> Tensor:
        """Normal training images."""
        return toy_images(TRAINING)

    @cached_property
    def new_images(self) -> Tensor:
        """Normal images that were not trained on."""
        return toy_images(NEW, seed=1)

    @cached_property
    def scores(self) -> Tensor:
        """Scores of `new_images`."""
        return self.fitted.score(self.new_images.clone())


CHECKS: list[Check[Specimen]] = []


def check(function: Callable[[Specimen], None]) -> Callable[[Specimen], None]:
    """Add a function to the checks under its own name."""
    CHECKS.append(Check(function.__name__, function))
    return function


def demand(holds: object, sentence: str) -> None:
    """Raise CheckFailed with the sentence unless something holds."""
    if not holds:
        raise CheckFailed(sentence)


def _sampling(specimen: Specimen) -> Detector:
    if not can_sample(specimen.cls):
        raise CheckSkipped("it has no method sample")
    return specimen.fitted


# ---------------------------------------------------------------------- the class


@check
def has_a_proper_name(specimen: Specimen) -> None:
    """The class is registered under a name of lower-case letters, digits and hyphens."""
    demand(
        re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*(:[\w.-]+)?", specimen.cls.name),
        f"its name is {specimen.cls.name!r}: register it under lower-case letters, digits and single hyphens.",
    )


@check
def has_a_summary(specimen: Specimen) -> None:
    """The class says in the first line of its docstring what it is."""
    own = vars(specimen.cls).get("__doc__") or ""
    generated = own.startswith(f"{specimen.cls.__name__}(")  # dataclasses write the signature there
    demand(own.strip() and not generated, "the class has no docstring: its first line is what `bench list` shows.")


@check
def parameters_have_defaults(specimen: Specimen) -> None:
    """The constructor needs no argument, and takes keywords only."""
    for parameter in _signature(specimen.cls)[1:]:
        demand(
            parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD),
            f"the constructor takes {parameter.name!r} by position: write a * before its parameters.",
        )
        demand(
            parameter.kind == parameter.VAR_KEYWORD or parameter.default is not parameter.empty,
            f"the parameter {parameter.name!r} has no default, and a benchmark runs defaults: give it one.",
        )


def _signature(cls: type[Detector]) -> list[inspect.Parameter]:
    return [] if cls.__init__ is object.__init__ else list(inspect.signature(cls.__init__).parameters.values())


@check
def constructor_only_keeps_parameters(specimen: Specimen) -> None:
    """The constructor does nothing but store its arguments under their own names, unchanged."""
    detector = specimen.new()
    parameters = detector.get_params(deep=False)
    for name, value in parameters.items():
        kept = vars(detector).get(name, detector)
        demand(kept is value, f"the constructor does not keep {name!r} as it was given: write self.{name} = {name}.")
    for parameter in _signature(specimen.cls):
        name = parameter.name
        if name in parameters and specimen.prototype is None and parameter.default is not parameter.empty:
            demand(
                parameters[name] is parameter.default or parameters[name] == parameter.default,
                f"the constructor changes {name!r}, from {parameter.default!r} to {parameters[name]!r}: keep it as "
                "it is, and work on it in fit.",
            )
    more = sorted(set(vars(detector)) - set(parameters))
    demand(not more, f"the constructor sets {', '.join(more)} beside its parameters: make that in fit.")


@check
def can_be_cloned(specimen: Specimen) -> None:
    """``get_params``, ``set_params`` and ``sklearn.base.clone`` give the same parameters back."""
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
    """``hyperparameters(shape)`` gives values that JSON can hold."""
    for shape in SHAPES:
        try:
            json.dumps(specimen.new().hyperparameters(shape), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise CheckFailed(
                f"hyperparameters({shape}) cannot be written as JSON ({error}): use plain values."
            ) from error


# ---------------------------------------------------------------------- fitting


@check
def fit_returns_itself(specimen: Specimen) -> None:
    """``fit`` returns the detector."""
    detector = specimen.new()
    demand(detector.fit(toy_images(FEW)) is detector, "fit does not return the detector: end it with `return self`.")


def _fits(shape: Shape, specimen: Specimen) -> None:
    """Images of this shape can be fitted and scored."""
    scores = specimen.fit(toy_images(FEW, shape)).score(toy_images(5, shape, seed=1))
    demand(
        scores.shape == (5,) and scores.isfinite().all(),
        f"after fitting images of shape {shape} the scores are {scores.tolist()}: read sizes off the images' shape.",
    )


CHECKS += [Check(f"fits_{'x'.join(map(str, shape))}", partial(_fits, shape)) for shape in SHAPES]


def _fits_few(n: int, specimen: Specimen) -> None:
    """A training set of this size can be fitted."""
    scores = specimen.fit(toy_images(n)).score(toy_images(5, seed=1))
    demand(
        scores.isfinite().all(), f"fitted to {n} image{'s' * (n > 1)}, it scores {scores.tolist()}: guard variances."
    )


CHECKS += [Check("fits_1_image", partial(_fits_few, 1)), Check("fits_2_images", partial(_fits_few, 2))]


@check
def fits_a_batch_and_one(specimen: Specimen) -> None:
    """A last batch of one image is no harm."""
    size = specimen.new().hyperparameters(SHAPE).get("batch_size")
    n = (size if isinstance(size, int) and 0 < size <= 512 else 32) + 1
    try:
        scores = specimen.fit(toy_images(n)).score(toy_images(5, seed=1))
    except CheckSkipped:
        raise
    except Exception as error:
        raise CheckFailed(
            f"with {n} training images, so that the last batch holds one, it raised {type(error).__name__}: {error}; "
            "batch norm cannot train on one value."
        ) from error
    demand(scores.isfinite().all(), f"with {n} training images it scores {scores.tolist()}.")


@check
def fits_identical_images(specimen: Specimen) -> None:
    """Training images without any variance can be fitted."""
    scores = specimen.fit(toy_images(1).repeat(20, 1, 1, 1)).score(toy_images(5, seed=1))
    demand(
        scores.isfinite().all(),
        f"fitted to 20 equal images, it scores {scores.tolist()}: keep divisors above 0 (clamp_min).",
    )


@check
def same_seed_same_scores(specimen: Specimen) -> None:
    """Fitted again with the same seed, it gives the same scores to the last bit, whatever the global random state."""
    torch.manual_seed(12345)
    np.random.seed(12345)  # noqa: NPY002
    random.seed(12345)
    again = specimen.fit(specimen.images).score(specimen.new_images)
    demand(
        torch.equal(again, specimen.scores),
        "two fits with the same seed give different scores: take a parameter seed, and draw everything random from it.",
    )


@check
def fit_starts_anew(specimen: Specimen) -> None:
    """A second ``fit`` forgets the first."""
    detector = specimen.fit(1 - toy_images(FEW, seed=2))
    again = detector.fit(specimen.images).score(specimen.new_images)
    demand(
        torch.equal(again, specimen.scores),
        "fitted a second time, it gives other scores than when fitted once: make everything anew in fit.",
    )


@check
def training_images_are_not_changed(specimen: Specimen) -> None:
    """``fit`` does not write into its input."""
    images = toy_images(FEW)
    before = images.clone()
    specimen.fit(images)
    demand(torch.equal(images, before), "fit changes the images that it is given: copy before working in place.")


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


# ---------------------------------------------------------------------- scoring


@check
def scoring_before_fitting_is_refused(specimen: Specimen) -> None:
    """``score`` before ``fit`` raises NotFittedError or DetectorError."""
    try:
        specimen.new().score(toy_images(2))
    except (NotFittedError, DetectorError):
        return
    except Exception as error:
        raise CheckFailed(
            f"score before fit raised {type(error).__name__}: {error}; let it reach for an attribute that ends in _ "
            "and is set by fit, or raise sklearn.exceptions.NotFittedError."
        ) from error
    raise CheckFailed("score before fit gives scores: keep what is fitted in attributes that fit alone sets.")


@check
def scores_are_one_number_an_image(specimen: Specimen) -> None:
    """``score`` gives a float32 tensor (N,) on the CPU, detached from the graph."""
    scores: object = specimen.scores
    demand(isinstance(scores, Tensor), f"score gives a {type(scores).__name__}: give a torch.Tensor.")
    assert isinstance(scores, Tensor)
    demand(
        scores.shape == (NEW,),
        f"score gives shape {tuple(scores.shape)} for {NEW} images: give ({NEW},), for example by .flatten(1).sum(1).",
    )
    demand(scores.dtype == torch.float32, f"score gives {scores.dtype}: give float32, by .float().")
    demand(not scores.requires_grad, "scores carry a graph: compute them under torch.inference_mode().")
    demand(scores.device.type == "cpu", f"scores lie on {scores.device}: give them back by .cpu().")


@check
def scores_are_finite(specimen: Specimen) -> None:
    """Scores are neither NaN nor infinite, for normal and for far images."""
    for kind, images in {"normal": specimen.new_images, **far_images()}.items():
        scores = specimen.fitted.score(images)
        bad = int((~scores.isfinite()).sum())
        demand(
            not bad, f"{bad} of {len(scores)} scores of {kind} images are not finite: guard logarithms and divisors."
        )


@check
def scores_differ(specimen: Specimen) -> None:
    """Different images get different scores."""
    everything = torch.cat([specimen.fitted.score(specimen.new_images), specimen.fitted.score(far_images()["noise"])])
    demand(
        len(everything.unique()) > 2,
        f"{len(everything)} different images get only {len(everything.unique())} different scores: give a continuous "
        "score, not a decision.",
    )


def far_images() -> dict[str, Tensor]:
    """Images that are nothing like the toy's: uniform noise, and images of one level of grey."""
    generator = torch.Generator().manual_seed(3)
    channels, height, width = SHAPE
    levels = torch.cat([torch.zeros(NEW // 2), torch.linspace(0.5, 1, NEW // 2)])
    return {
        "noise": torch.rand(NEW, *SHAPE, generator=generator),
        "constant": levels.view(-1, 1, 1, 1).repeat(1, channels, height, width),
    }


def _scores_higher(kind: str, specimen: Specimen) -> None:
    """Images that are nothing like the training images score higher than normal ones."""
    far = specimen.fitted.score(far_images()[kind])
    area = roc_auc_score([0] * NEW + [1] * NEW, torch.cat([specimen.scores, far]).nan_to_num().numpy())
    demand(
        area >= FAR,
        f"{kind} images do not score higher than normal ones (AUROC {area:.2f}, at least {FAR} is asked for): higher "
        "must mean more out-of-distribution"
        + (
            "; the sign is the wrong way round."
            if area < 0.3
            else ", and the detector must learn from its training images."
        ),
    )


CHECKS += [
    Check("noise_scores_higher", partial(_scores_higher, "noise")),
    Check("constant_images_score_higher", partial(_scores_higher, "constant")),
]


@check
def score_is_no_random_draw(specimen: Specimen) -> None:
    """Scored twice, images get the same scores, whatever the global random state."""
    torch.manual_seed(98765)
    again = specimen.fitted.score(specimen.new_images)
    demand(
        torch.equal(again, specimen.scores),
        "scored twice, the same images get different scores: draw nothing at random in score (take a posterior's mean; "
        "switch dropout off by network.eval()).",
    )


@check
def score_does_not_depend_on_batch_mates(specimen: Specimen) -> None:
    """An image's score is the same beside very different images."""
    beside = torch.cat([specimen.new_images[:5], far_images()["constant"]])
    _same(
        specimen.fitted.score(beside)[:5],
        specimen.scores[:5],
        "an image's score depends on what else is in the batch: switch batch norm to its running statistics by "
        "network.eval(), and normalise with numbers from fit.",
    )


@check
def score_does_not_depend_on_batch_size(specimen: Specimen) -> None:
    """Images scored one by one get the scores that they get together."""
    alone = torch.cat([specimen.fitted.score(image.unsqueeze(0)) for image in specimen.new_images[:8]])
    _same(
        alone,
        specimen.scores[:8],
        "an image scored alone gets another score than in a batch: compute nothing over the batch in score; its "
        "axis must not be squeezed away.",
    )


@check
def score_does_not_depend_on_order(specimen: Specimen) -> None:
    """Images in another order get the same scores, in that order."""
    order = torch.arange(NEW).flip(0)
    _same(
        specimen.fitted.score(specimen.new_images[order]),
        specimen.scores[order],
        "images in another order get other scores: score must carry nothing over from one image to the next.",
    )


@check
def score_does_not_depend_on_memory_layout(specimen: Specimen) -> None:
    """Images that are stored in another layout get the same scores."""
    strided = specimen.new_images.transpose(2, 3).contiguous().transpose(2, 3)
    _same(
        specimen.fitted.score(strided),
        specimen.scores,
        "images that are not contiguous in memory get other scores: use reshape or flatten, not view or data_ptr.",
    )


@check
def scoring_learns_nothing(specimen: Specimen) -> None:
    """Scoring other images does not change later scores."""
    detector = specimen.fit(toy_images(FEW))
    before = detector.score(specimen.new_images)
    detector.score(far_images()["constant"])
    _same(
        detector.score(specimen.new_images),
        before,
        "scores change after other images were scored: update nothing in score (batch norm in training mode does).",
    )


@check
def scored_images_are_not_changed(specimen: Specimen) -> None:
    """``score`` does not write into its input."""
    images = toy_images(10, seed=1)
    before = images.clone()
    specimen.fitted.score(images)
    demand(torch.equal(images, before), "score changes the images that it is given: copy before working in place.")


def _same(scores: Tensor, expected: Tensor, sentence: str) -> None:
    demand(scores.shape == expected.shape and torch.allclose(scores, expected, RELATIVE, ABSOLUTE), sentence)


def _refuses(name: str, bad: Tensor, specimen: Specimen) -> None:
    """Bad images are refused with a clear error."""
    mend = "call oodbench.detectors.check_images in it."
    detector = specimen.fitted
    try:
        detector.score(bad)
    except ValueError:
        return
    except Exception as error:
        raise CheckFailed(f"score of {name} raised {type(error).__name__}: {error}; {mend}") from error
    raise CheckFailed(f"score takes {name} without a word: {mend}")


def _with_nan() -> Tensor:
    images = toy_images(3)
    images[1, 0, 2, 2] = torch.nan
    return images


CHECKS += [
    Check("score_refuses_nan", partial(_refuses, "images with NaN", _with_nan())),
    Check("score_refuses_another_size", partial(_refuses, "images of another size", toy_images(3, (1, 13, 12)))),
    Check("score_refuses_other_channels", partial(_refuses, "images with more channels", toy_images(3, (3, 12, 12)))),
    Check("score_refuses_an_image_without_batch", partial(_refuses, "an image without a batch axis", toy_images(1)[0])),
]


@check
def fit_refuses_nan(specimen: Specimen) -> None:
    """Training images with NaN are refused with a clear error."""
    mend = "call oodbench.detectors.check_images in it."
    try:
        specimen.new().fit(_with_nan())
    except ValueError:
        return
    except Exception as error:
        raise CheckFailed(f"fit to images with NaN raised {type(error).__name__}: {error}; {mend}") from error
    raise CheckFailed(f"fit takes images with NaN without a word: {mend}")


# ---------------------------------------------------------------------- sampling and reconstructing


def _draw(detector: Detector, n: int, seed: int = 0) -> Tensor:
    return detector.sample(n, generator=torch.Generator().manual_seed(seed))


@check
def samples_are_images(specimen: Specimen) -> None:
    """``sample(n)`` gives n float32 images of the training images' shape, finite and in [0, 1]."""
    detector = _sampling(specimen)
    for n in (1, 7):
        _demand_images(_draw(detector, n), (n, *SHAPE), f"sample({n})")


def _demand_images(made: object, shape: tuple[int, ...], what: str) -> None:
    demand(
        isinstance(made, Tensor) and made.shape == shape and made.dtype == torch.float32,
        f"{what} gives {tuple(getattr(made, 'shape', ()))} {getattr(made, 'dtype', type(made).__name__)}: give "
        f"a float32 tensor {shape}.",
    )
    assert isinstance(made, Tensor)
    demand(made.isfinite().all(), f"{what} gives values that are not finite.")
    demand(made.min() >= 0 and made.max() <= 1, f"{what} leaves [0, 1]: end it with a sigmoid or .clamp(0, 1).")
    demand(not made.requires_grad, f"{what} carries a graph: compute it under torch.inference_mode().")


@check
def samples_differ(specimen: Specimen) -> None:
    """Two samples are not the same image."""
    samples = _draw(_sampling(specimen), 8)
    differences = (samples[1:] - samples[:1]).abs().flatten(1).amax(1)
    demand(differences.min() > 1e-4, "samples are all alike: draw a new latent for each.")


@check
def samples_follow_their_generator(specimen: Specimen) -> None:
    """The generator that is passed decides what is drawn, and nothing else."""
    detector = _sampling(specimen)
    first = _draw(detector, 4)
    torch.manual_seed(4321)
    demand(
        torch.equal(_draw(detector, 4), first),
        "the same generator gives other samples: pass generator on to every random function.",
    )
    demand(
        not torch.equal(_draw(detector, 4, seed=1), first),
        "another generator gives the same samples: draw from the generator, not from a fixed seed.",
    )


@check
def reconstructions_are_images(specimen: Specimen) -> None:
    """``reconstruct`` gives float32 images of its input's shape, finite and in [0, 1]."""
    if not can_reconstruct(specimen.cls):
        raise CheckSkipped("it has no method reconstruct")
    _demand_images(specimen.fitted.reconstruct(specimen.new_images), tuple(specimen.new_images.shape), "reconstruct")


# ---------------------------------------------------------------------- saving


@contextmanager
def _saved(specimen: Specimen) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        specimen.fitted.save(Path(folder))
        yield Path(folder)


@check
def saved_and_loaded_scores_the_same(specimen: Specimen) -> None:
    """A model that was saved and loaded gives the same scores to the last bit."""
    with _saved(specimen) as folder:
        try:
            loaded = specimen.cls.load(folder)
            scores = loaded.score(specimen.new_images)
        except Exception as error:
            raise CheckFailed(
                f"the loaded model raised {type(error).__name__}: {error}; only tensors in attributes that end in _ "
                "are saved by themselves: give everything else through state, and take it back in restore."
            ) from error
    demand(
        torch.equal(scores, specimen.scores),
        "a saved and loaded model gives other scores: let state give everything that score uses.",
    )


@check
def saved_and_loaded_samples_the_same(specimen: Specimen) -> None:
    """A model that was saved and loaded draws the same samples."""
    detector = _sampling(specimen)
    with _saved(specimen) as folder:
        drawn = _draw(specimen.cls.load(folder), 4)
    demand(
        torch.equal(drawn, _draw(detector, 4)),
        "a saved and loaded model draws other samples: let state give everything that sample uses.",
    )


@check
def saves_no_pickle(specimen: Specimen) -> None:
    """A saved model holds no pickle, which could run code when it is loaded."""
    with _saved(specimen) as folder:
        pickles = [path.name for path in sorted(folder.rglob("*")) if path.is_file() and _is_pickle(path)]
    demand(not pickles, f"save writes {', '.join(pickles)}, which holds a pickle: give tensors through state instead.")


def _is_pickle(path: Path) -> bool:
    content = path.read_bytes()
    if content.startswith(b"PK") or path.suffix in (".pkl", ".pickle", ".joblib", ".pt", ".pth"):
        return True  # torch.save writes a zip archive of pickles
    if not content.startswith(b"\x80"):
        return False
    try:
        pickletools.dis(content, out=io.StringIO())
    except ValueError:
        return False
    return True


@check
def counts_its_parameters(specimen: Specimen) -> None:
    """``parameter_count`` gives a number, and ``health`` finite ones."""
    count = specimen.fitted.parameter_count()
    demand(isinstance(count, int) and count >= 0, f"parameter_count gives {count!r}: give a number of numbers.")
    health = specimen.fitted.diagnostics(specimen.new_images)
    bad = [sign for sign, value in health.items() if not np.isfinite(value)]
    demand(not bad, f"health gives {', '.join(bad)} as a number that is not finite.")


# ---------------------------------------------------------------------- manners


def _manners() -> dict[str, object]:
    """Take note of everything global that a plugin might change."""
    python, numpy = random.getstate(), np.random.get_state(legacy=True)  # noqa: NPY002
    return {
        "torch's random state": torch.get_rng_state().tolist(),
        "numpy's random state": [str(part) if isinstance(part, str) else np.asarray(part).tolist() for part in numpy],
        "Python's random state": python,
        "torch's number of threads": torch.get_num_threads(),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's gradient mode": torch.is_grad_enabled(),
        "torch's deterministic mode": torch.are_deterministic_algorithms_enabled(),
    }


@contextmanager
def _well_mannered(what: str) -> Iterator[None]:
    before, threads, dtype = _manners(), torch.get_num_threads(), torch.get_default_dtype()
    yield
    changed = [name for name, value in _manners().items() if value != before[name]]
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)
    torch.set_grad_enabled(True)
    torch.use_deterministic_algorithms(False)
    demand(
        not changed,
        f"{what} changes {', '.join(changed)} for everybody: draw from a generator of its own (or inside "
        "torch.random.fork_rng), and put settings back.",
    )


@check
def fit_leaves_global_state_alone(specimen: Specimen) -> None:
    """Fitting leaves random states, threads and other settings as they were."""
    with _well_mannered("fit"):
        specimen.fit(toy_images(FEW))


@check
def score_leaves_global_state_alone(specimen: Specimen) -> None:
    """Scoring leaves random states, threads and other settings as they were."""
    detector = specimen.fitted
    with _well_mannered("score"):
        detector.score(specimen.new_images)


@check
def sample_leaves_global_state_alone(specimen: Specimen) -> None:
    """Sampling with a generator leaves random states, threads and other settings as they were."""
    detector = _sampling(specimen)
    with _well_mannered("sample"):
        _draw(detector, 3)
