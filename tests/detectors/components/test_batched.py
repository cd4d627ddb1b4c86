from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from oodbench.datasets.digits import Digits
from oodbench.detectors.ae import AE
from oodbench.detectors.base import Detector, DetectorError, FitDivergedError, Monitor, Shape
from oodbench.detectors.components import batched
from oodbench.detectors.components.autoencoder import Autoencoder
from oodbench.detectors.components.batched import Trained, adopt, can_train_together, train_together
from oodbench.detectors.deepsvdd import DeepSVDD
from oodbench.detectors.knn import KNN
from oodbench.detectors.memae import MemAE
from oodbench.detectors.memvae import MemVAE
from oodbench.detectors.rotnet import RotNet
from oodbench.detectors.vae import VAE
from tests.conftest import blobs

CLASSES = (0, 1, 2)
"""Of digits; they have 124, 127 and 124 training images, hence three full batches of 32 each."""


class Listener(Monitor):
    def __init__(self, validation: Tensor | None = None) -> None:
        self.validation = validation
        self.heard: list[tuple[int, int, dict[str, float]]] = []

    def report(self, step: int, steps: int, measures: Mapping[str, float]) -> None:
        self.heard.append((step, steps, dict(measures)))


class Fragile(AE):
    """Diverges for the seed 13."""

    def _modules(self, shape: Shape) -> dict[str, nn.Module]:
        modules = super()._modules(shape)
        if self.seed == 13:
            nn.init.constant_(next(modules["encoder"].parameters()), math.inf)
        return modules


class Shared(AE):
    """Uses one module in two places."""

    def _modules(self, shape: Shape) -> dict[str, nn.Module]:
        modules = super()._modules(shape)
        return {**modules, "again": modules["encoder"]}


class Prepared(AE):
    """Does something of its own before it trains."""

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Prepared:
        return super().fit(images, monitor=monitor)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    return Digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def images(digits: Digits) -> list[Tensor]:
    """Training images of each digit, float32 (N, 1, 8, 8)."""
    part = digits.load("train")
    return [part.images[part.labels == digit].float() / 255 for digit in range(10)]


def weights_of(detector: Autoencoder) -> dict[str, Tensor]:
    return dict(detector.network_.state_dict())


def assert_close(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], *, atol: float) -> None:
    torch.testing.assert_close(dict(found), dict(expected), rtol=0, atol=atol)


# ---------------------------------------------------------------------- the same as one at a time


@pytest.mark.parametrize("kind", [AE, MemAE])
def test_without_noise_agrees_with_one_at_a_time(kind: type[Autoencoder], images: list[Tensor]) -> None:
    mine = [images[digit] for digit in CLASSES]
    together = [Listener(own[:7]) for own in mine]
    trained = train_together([kind(epochs=3, seed=seed) for seed in CLASSES], mine, monitors=together)
    for seed, own, result, listener in zip(CLASSES, mine, trained, together, strict=True):
        alone = Listener(own[:7])
        expected = kind(epochs=3, seed=seed).fit(own, monitor=alone)
        assert_close(result.weights, weights_of(expected), atol=1e-3)
        assert [measures for *_, measures in listener.heard] == result.history
        assert [(step, steps) for step, steps, _ in listener.heard] == [(1, 3), (2, 3), (3, 3)]
        for found, (*_, measures) in zip(result.history, alone.heard, strict=True):
            assert found == pytest.approx(measures, abs=1e-3)
        adopted, replayed = kind(epochs=3, seed=seed), Listener()
        adopt(adopted, result)
        adopted.fit(own, monitor=replayed)
        assert replayed.heard == listener.heard
        assert torch.allclose(adopted.score(own), expected.score(own), atol=1e-3)


def test_a_small_class_goes_on_until_the_others_are_done(images: list[Tensor]) -> None:
    mine = [images[0], images[1][:60]]  # 3 batches and 1: 9 steps are 3 epochs, and 9
    large, small = train_together([AE(epochs=3), AE(epochs=3)], mine)
    assert (len(large.history), len(small.history)) == (3, 9)
    assert_close(small.weights, weights_of(AE(epochs=9).fit(mine[1])), atol=1e-3)


def test_a_last_epoch_that_is_cut_short_is_a_mean_over_what_was_seen(images: list[Tensor]) -> None:
    listeners = [Listener(), Listener()]
    mine = [images[0], images[1][:70]]  # 3 batches and 2: 3 steps are an epoch, and an epoch and a half
    trained = train_together([AE(epochs=1), AE(epochs=1)], mine, monitors=listeners)
    first, last = (measures["loss"] for measures in trained[1].history)
    assert last == pytest.approx(first, rel=0.5)
    assert [heard[:2] for heard in listeners[1].heard] == [(1, 2), (2, 2)]


def test_small_training_sets_are_passed_over_more_often(images: list[Tensor]) -> None:
    (trained,) = train_together([AE(min_steps=126)], [images[0]])  # 40 epochs by default are 120 steps
    assert len(trained.history) == 42


def test_no_epochs_leave_the_initial_weights(images: list[Tensor]) -> None:
    (trained,) = train_together([AE(epochs=0)], [images[0]])
    assert trained.history == []
    assert not trained.diverged
    assert_close(trained.weights, weights_of(AE(epochs=0).fit(images[0])), atol=0)


@pytest.mark.parametrize("kind", [pytest.param(VAE, marks=pytest.mark.slow), MemVAE])
def test_with_noise_agrees_within_the_spread_over_seeds(
    kind: type[Autoencoder], digits: Digits, images: list[Tensor]
) -> None:
    seeds, test = (0, 1, 2), digits.load("test")
    cells = [(seed, digit) for seed in seeds for digit in CLASSES]
    detectors = [kind(seed=seed, epochs=10) for seed, _ in cells]
    mine = [images[digit] for _, digit in cells]

    def aurocs() -> list[float]:
        """Means over the classes, for each seed."""
        found = [
            roc_auc_score(test.labels != digit, detector.fit(own).score(test.images.float() / 255))
            for detector, own, (_, digit) in zip(detectors, mine, cells, strict=True)
        ]
        return [mean(found[start : start + len(CLASSES)]) for start in range(0, len(found), len(CLASSES))]

    alone = aurocs()
    for detector, trained in zip(detectors, train_together(detectors, mine), strict=True):
        adopt(detector, trained)
    together = aurocs()
    assert abs(mean(together) - mean(alone)) < 2 * max(stdev(alone), stdev(together))


def test_trains_in_bfloat16(monkeypatch: pytest.MonkeyPatch, images: list[Tensor]) -> None:
    monkeypatch.setattr(batched, "bfloat16_pays", lambda device: True)
    losses = {}
    for bfloat16 in (False, True):
        (trained,) = train_together([MemVAE(epochs=3, bfloat16=bfloat16)], [images[0]])
        losses[bfloat16] = trained.history[-1]["loss"]
    assert losses[True] != losses[False]
    assert losses[True] == pytest.approx(losses[False], rel=0.05)


def test_is_repeatable_and_leaves_everything_else_as_it_was(images: list[Tensor]) -> None:
    detectors = [MemVAE(epochs=1, seed=seed) for seed in CLASSES]
    state = torch.random.get_rng_state()
    once, again = (train_together(detectors, images[:3]) for _ in range(2))
    assert [trained.history for trained in once] == [trained.history for trained in again]
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not any(hasattr(detector, "network_") for detector in detectors)


# ---------------------------------------------------------------------- what is handed over


def test_adopts_once(images: list[Tensor]) -> None:
    detector = AE(epochs=1)
    (trained,) = train_together([AE(epochs=1, seed=5)], [images[0]])
    adopt(detector, trained)
    assert_close(weights_of(detector.fit(images[0])), trained.weights, atol=0)
    assert_close(weights_of(detector.fit(images[0])), weights_of(AE(epochs=1).fit(images[0])), atol=0)


def test_refuses_weights_of_another_network(images: list[Tensor]) -> None:
    (trained,) = train_together([AE(epochs=0)], [images[0]])
    detector = AE(latent_size=3)
    adopt(detector, trained)
    with pytest.raises(DetectorError, match="weights are not of a AE with this network"):
        detector.fit(images[0])


def test_one_that_diverges_does_not_stop_the_others(images: list[Tensor]) -> None:
    seeds, listeners = (0, 13, 1), [Listener() for _ in range(3)]
    trained = train_together([Fragile(epochs=2, seed=seed) for seed in seeds], images[:3], monitors=listeners)
    assert [result.diverged for result in trained] == [False, True, False]
    assert [len(listener.heard) for listener in listeners] == [2, 0, 2]
    assert_close(trained[2].weights, weights_of(AE(epochs=2, seed=1).fit(images[2])), atol=1e-5)
    detector = Fragile(epochs=2, seed=13)
    with pytest.raises(FitDivergedError) as alone:
        detector.fit(images[1])
    adopt(detector, trained[1])
    with pytest.raises(FitDivergedError) as adopted:
        detector.fit(images[1])
    assert str(adopted.value) == str(alone.value).replace(" of 2", "")


@pytest.mark.parametrize("loss", [1.5, math.nan])
def test_is_kept_as_a_file(tmp_path: Path, loss: float) -> None:
    trained = Trained({"encoder.weight": torch.randn(3, 2)}, [{"loss": 2.0}, {"loss": loss}], seconds=0.25, count=4)
    trained.save(tmp_path / "trained.safetensors")
    loaded = Trained.load(tmp_path / "trained.safetensors")
    assert_close(loaded.weights, trained.weights, atol=0)
    assert str(loaded.history) == str(trained.history)  # nan is not equal to itself
    assert (loaded.seconds, loaded.diverged) == (0.25, math.isnan(loss))


# ---------------------------------------------------------------------- what it takes


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        *((kind, True) for kind in (AE, VAE, MemAE, MemVAE)),
        *((kind, False) for kind in (DeepSVDD, RotNet, KNN, Prepared)),
    ],
)
def test_says_what_it_can_train(kind: type[Detector], expected: bool) -> None:
    assert can_train_together(kind) is expected
    assert can_train_together(kind()) is expected


BLOBS = blobs(40)


@pytest.mark.parametrize(
    ("detectors", "images", "message"),
    [
        ([], [], "there are 0, 0 and 0"),
        ([AE()], [BLOBS, BLOBS], "there are 1, 2 and 1"),
        ([AE(), MemAE()], [BLOBS] * 2, "are of one class, not AE and MemAE"),
        ([AE(), AE(epochs=3, latent_size=5)], [BLOBS] * 2, r"alone, not in \['epochs', 'latent_size'\]"),
        ([AE(), AE()], [BLOBS, blobs(40, (3, 8, 8))], r"one shape, not \(1, 8, 8\) and \(3, 8, 8\)"),
        ([AE(), AE()], [BLOBS, BLOBS[0]], "must be a float32 tensor"),
        ([AE(), AE()], [BLOBS, blobs(9)], "at least a batch of images each"),
        ([DeepSVDD()], [BLOBS], "DeepSVDD cannot be trained as one of many"),
        ([Shared()], [blobs(40)], "network of Shared has shared weights"),
    ],
)
def test_refuses(detectors: Sequence[Any], images: Sequence[Tensor], message: str) -> None:
    with pytest.raises(DetectorError, match=message):
        train_together(detectors, images)


# ---------------------------------------------------------------------- on a GPU


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("kind", [AE, MemVAE])
def test_on_a_gpu_agrees_with_the_cpu_and_is_faster_than_one_at_a_time(
    kind: type[Autoencoder], images: list[Tensor]
) -> None:
    def loss(device: str) -> float:
        results = train_together([kind(epochs=20, device=device) for _ in images], images)
        return mean(trained.history[-1]["loss"] for trained in results)

    # the shuffling differs between devices, and so does the noise
    assert loss("cuda") == pytest.approx(loss("cpu"), rel=0.2)
    detectors = [kind(epochs=20, device="cuda", seed=seed) for seed in range(40)]
    trained = train_together(detectors, images * 4)
    alone = kind(epochs=20, device="cuda").fit(images[0])
    start = time.perf_counter()
    alone.build((1, 8, 8))
    alone._train(images[0], torch.Generator("cuda").manual_seed(0), None)
    torch.cuda.synchronize()
    assert trained[0].seconds < time.perf_counter() - start
