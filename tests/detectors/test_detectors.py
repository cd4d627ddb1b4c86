"""What holds for every detector that is built in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from torch import Tensor

from oodbench.benchmark.plugins import Plugins
from oodbench.datasets import as_float, one_vs_rest
from oodbench.detectors import Detector, DetectorError, FitDivergedError, Monitor
from oodbench.detectors.ae import AE
from oodbench.detectors.memae import MemAE
from oodbench.detectors.memvae import MemVAE
from oodbench.detectors.vae import VAE
from tests.conftest import blobs

ALL = [AE, VAE, MemAE, MemVAE]
SMALL = {"epochs": 3, "channels": (4, 8), "latent_size": 4, "batch_size": 16}
every = pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.name)


def fitted(cls: type[Detector], images: Tensor | None = None, **settings: object) -> Detector:
    return cls(**{**SMALL, **settings}).fit(blobs(40) if images is None else images)


class Listener(Monitor):
    def __init__(self, validation: Tensor | None = None) -> None:
        self.validation = validation
        self.heard: list[tuple[int, int, dict[str, float]]] = []

    def report(self, step: int, steps: int, measures: object) -> None:
        self.heard.append((step, steps, dict(measures)))  # type: ignore[call-overload]


def test_the_four_are_registered(plugins: Plugins) -> None:
    assert [plugins.detectors[name] for name in ("ae", "vae", "memae", "memvae")] == ALL


@every
def test_fit_gives_itself_and_the_constructor_only_keeps_parameters(cls: type[Detector]) -> None:
    detector = cls(**SMALL)
    assert vars(detector) == detector.get_params()
    assert clone(detector).get_params() == detector.get_params()
    assert detector.fit(blobs(20)) is detector
    assert detector.get_params() == cls(**SMALL).get_params()


@every
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 17, 30)], ids=str)
def test_shapes_and_ranges(cls: type[Detector], shape: tuple[int, int, int]) -> None:
    images = blobs(24, shape)
    detector = fitted(cls, images)
    scores = detector.score(images)
    assert scores.shape == (24,)
    assert scores.dtype == torch.float32
    assert scores.isfinite().all()
    for made in (detector.reconstruct(images), detector.sample(24)):
        assert made.shape == images.shape
        assert made.dtype == torch.float32
        assert made.min() >= 0
        assert made.max() <= 1


@every
@pytest.mark.parametrize("n", [1, 2, 17])
def test_any_number_of_training_images(cls: type[Detector], n: int) -> None:
    detector = fitted(cls, blobs(n))
    assert detector.score(blobs(3)).isfinite().all()
    assert detector.sample(2).isfinite().all()


@every
def test_a_score_is_the_image_s_own(cls: type[Detector]) -> None:
    """It depends neither on batch mates nor on order, and is no random draw."""
    detector, images = fitted(cls), blobs(40, seed=1)
    scores = detector.score(images)
    assert torch.equal(detector.score(images), scores)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(detector.score(images[order]), scores[order], rtol=1e-5, atol=1e-4)
    assert torch.allclose(detector.score(images[:1]), scores[:1], rtol=1e-5, atol=1e-4)


@every
def test_same_seed_same_scores_to_the_last_bit(cls: type[Detector]) -> None:
    images = blobs(30, seed=1)
    first = fitted(cls, seed=3).score(images)
    torch.rand(7)  # the global random state is nobody's business
    assert torch.equal(fitted(cls, seed=3).score(images), first)
    assert not torch.equal(fitted(cls, seed=4).score(images), first)


@every
def test_global_random_state_is_left_alone(cls: type[Detector]) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    fitted(cls).score(blobs(3))
    assert torch.equal(torch.rand(3), expected)


@every
def test_images_are_not_changed(cls: type[Detector]) -> None:
    images = blobs(20)
    before = images.clone()
    fitted(cls, images).score(images)
    assert torch.equal(images, before)


@every
def test_saved_and_loaded_gives_the_same_to_the_last_bit(cls: type[Detector], tmp_path: Path) -> None:
    detector, images = fitted(cls), blobs(9, seed=2)
    detector.save(tmp_path)
    loaded = cls.load(tmp_path)
    assert torch.equal(loaded.score(images), detector.score(images))
    seeded = [torch.Generator().manual_seed(5) for _ in range(2)]
    assert torch.equal(loaded.sample(4, generator=seeded[0]), detector.sample(4, generator=seeded[1]))
    assert loaded.parameter_count() == detector.parameter_count() > 0
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@every
def test_gpu_agrees_with_cpu(cls: type[Detector], tmp_path: Path) -> None:
    images = blobs(9, (3, 32, 32), seed=2)
    detector = fitted(cls, blobs(40, (3, 32, 32)), device="cuda")
    detector.save(tmp_path)
    assert torch.allclose(cls.load(tmp_path, device="cpu").score(images), detector.score(images), rtol=1e-3)
    assert detector.sample(3).device.type == "cpu"


def test_a_model_of_another_detector_is_refused(tmp_path: Path) -> None:
    fitted(AE).save(tmp_path)
    with pytest.raises(DetectorError, match="holds a model of 'ae', not of 'vae'"):
        VAE.load(tmp_path)


@every
def test_samples_differ_and_follow_their_generator(cls: type[Detector]) -> None:
    detector = fitted(cls, epochs=10)
    first, again = (detector.sample(6, generator=torch.Generator().manual_seed(2)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, detector.sample(6, generator=torch.Generator().manual_seed(3)))
    assert first.var(0).max() > 0


@every
def test_gradient_reaches_every_parameter(cls: type[Detector]) -> None:
    """At initialisation and after training, with as many slots as are used on colour images."""
    for epochs in (1, 5):
        settings: dict[str, object] = {"epochs": epochs, "learning_rate": 1e-9 if epochs == 1 else 2e-3}
        if cls in (MemAE, MemVAE):
            settings["memory_size"] = 500
        detector = fitted(cls, None, **settings)
        measures = detector._objective(blobs(32), torch.Generator().manual_seed(0))
        measures["loss"].mean().backward()
        for name, parameter in detector.network_.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


@every
def test_far_images_score_higher(cls: type[Detector]) -> None:
    detector = fitted(cls, blobs(200), epochs=30)
    normal = detector.score(blobs(50, seed=1))
    noise = torch.rand(50, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert roc_auc_score([0] * 50 + [1] * 50, torch.cat([normal, detector.score(noise)])) > 0.95


@every
def test_progress_is_reported_with_held_out_images(cls: type[Detector]) -> None:
    listener = Listener(validation=blobs(10, seed=5))
    cls(**SMALL).fit(blobs(40), monitor=listener)
    assert [(step, steps) for step, steps, _ in listener.heard] == [(1, 3), (2, 3), (3, 3)]
    last = listener.heard[-1][2]
    assert set(last) == {"loss", "reconstruction_error", "validation_loss", "validation_reconstruction_error"}
    assert last["loss"] < listener.heard[0][2]["loss"]


@every
def test_held_out_images_are_not_trained_on(cls: type[Detector]) -> None:
    images = blobs(20, seed=7)
    alone = fitted(cls).score(images)
    watched = cls(**SMALL).fit(blobs(40), monitor=Listener(validation=blobs(10, seed=5))).score(images)
    assert torch.equal(alone, watched)


@every
def test_a_fit_that_diverges_says_so(cls: type[Detector]) -> None:
    with pytest.raises(FitDivergedError, match=r"training diverged\. Try a smaller learning_rate"):
        fitted(cls, learning_rate=1e30, epochs=20)


@every
def test_use_before_fitting_says_so(cls: type[Detector]) -> None:
    detector = cls()
    with pytest.raises(NotFittedError, match="call fit"):
        detector.score(blobs(1))
    with pytest.raises(NotFittedError, match="call fit"):
        detector.sample(1)
    with pytest.raises(NotFittedError, match="call fit"):
        detector.reconstruct(blobs(1))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.full((2, 1, 8, 8), float("nan")), "without NaN"),
        (torch.full((2, 1, 8, 8), 255.0), r"must lie in \[0, 1\]"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), "must be a float32 tensor"),
        (torch.zeros(2, 8, 8), "must be a float32 tensor"),
        (torch.zeros(2, 1, 9, 8), r"fitted on images of shape \(1, 8, 8\); these are \(1, 9, 8\)"),
        (torch.zeros(0, 1, 8, 8), "no images"),
    ],
)
def test_bad_images_are_refused(images: Tensor, message: str) -> None:
    detector = fitted(AE)
    with pytest.raises(DetectorError, match=message):
        detector.score(images)


@pytest.mark.parametrize(
    ("cls", "wrong", "message"),
    [
        (AE, {"encoding": "flat"}, "encoding is 'map' or 'vector', not 'flat'"),
        (VAE, {"prior": "flat"}, "prior is 'normal' or 'mixture', not 'flat'"),
        (MemAE, {"addressing": "pixel"}, "addressing is 'whole' or 'position', not 'pixel'"),
    ],
)
def test_unknown_choices_are_refused(cls: type[Detector], wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(DetectorError, match=message):
        fitted(cls, **wrong)


def test_a_small_training_set_is_passed_over_more_often() -> None:
    def epochs(n: int, **settings: Any) -> int:
        listener = Listener()
        AE(channels=(4,), latent_size=2, batch_size=10, min_steps=70, **settings).fit(blobs(n), monitor=listener)
        return len(listener.heard)

    assert epochs(60) == AE.DEFAULTS["tiny"]["epochs"] == 40  # of six full batches each
    assert epochs(15) == 70  # of one full batch
    assert epochs(5) == 70  # of one batch of all
    assert epochs(5, epochs=3) == 3


def test_hyperparameters_show_what_is_used() -> None:
    grey, colour = MemVAE().hyperparameters((1, 28, 28)), MemVAE().hyperparameters((3, 32, 32))
    assert grey["memory_size"] == MemVAE.DEFAULTS["grey"]["memory_size"]
    assert colour["memory_size"] == MemVAE.DEFAULTS["colour"]["memory_size"]
    assert None not in grey.values()
    assert MemVAE(memory_size=7).hyperparameters((1, 28, 28))["memory_size"] == 7
    assert "seed" not in grey


# ------------------------------------------------------------------ the scores of the papers, by hand


def squared_errors(detector: Detector, images: Tensor) -> Tensor:
    return (detector.reconstruct(images) - images).square().mean((1, 2, 3))


@pytest.mark.parametrize("settings", [{}, {"memory": False}, {"addressing": "position", "encoding": "map"}], ids=str)
@pytest.mark.parametrize("cls", [AE, MemAE], ids=lambda cls: cls.name)
def test_the_score_is_the_squared_error_alone(cls: type[Detector], settings: dict[str, object]) -> None:
    detector, images = fitted(cls, None, **(settings if cls is MemAE else {})), blobs(9, seed=2)
    assert torch.allclose(detector.score(images), squared_errors(detector, images), atol=1e-6)
    assert torch.equal(detector.error(images), detector.score(images))


@pytest.mark.parametrize("cls", [VAE, MemVAE], ids=lambda cls: cls.name)
def test_the_score_is_the_negative_elbo_at_the_mean(cls: type[VAE] | type[MemVAE]) -> None:
    detector, images = fitted(cls, None, variance=0.03), blobs(9, seed=2)
    errors = squared_errors(detector, images)
    with torch.inference_mode():
        encoding = detector.network_["encoder"](images).flatten(1)
    mean, log_variance = encoding.chunk(2, dim=1)
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
    expected = errors / 0.06 + divergence / 64
    if isinstance(detector, MemVAE):
        with torch.inference_mode():
            _, weights = detector.network_["memory"](torch.relu(detector.network_["query"](mean)))
        entropy = torch.special.entr(weights).sum(1)
        expected = expected + detector.settings_["entropy_weight"] * entropy
    assert torch.allclose(detector.score(images), expected, rtol=1e-4)


@pytest.mark.parametrize("cls", [VAE, MemVAE], ids=lambda cls: cls.name)
def test_samples_are_decoded_from_the_prior(cls: type[VAE] | type[MemVAE]) -> None:
    detector = fitted(cls)
    detector.network_.eval()
    latents = torch.randn(5, 4, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        expected = detector._decode(latents).sigmoid()
    assert torch.allclose(detector.sample(5, generator=torch.Generator().manual_seed(3)), expected, atol=1e-6)
    mixture = fitted(cls, None, prior="mixture").sample(5, generator=torch.Generator().manual_seed(3))
    assert not torch.allclose(mixture, expected, atol=1e-4)


@pytest.mark.parametrize("cls", [MemAE, MemVAE], ids=lambda cls: cls.name)
def test_nothing_passes_by_the_memory(cls: type[MemAE] | type[MemVAE]) -> None:
    """With one slot every image is reconstructed alike; without a memory none is like another."""
    images = blobs(9, seed=2)
    one, without = (fitted(cls, None, **more).reconstruct(images) for more in ({"memory_size": 1}, {"memory": False}))
    assert torch.allclose(one, one[:1].expand_as(one), atol=1e-6)
    assert not torch.allclose(without, without[:1].expand_as(without), atol=1e-4)


def test_a_position_s_query_reads_for_that_position_alone() -> None:
    detector = fitted(MemAE, None, encoding="map", addressing="position", channels=(4,))  # 2 by 2 positions
    encoding = torch.randn(1, 4, 2, 2)
    changed = encoding.clone()
    changed[..., 0, 1] += 1
    with torch.inference_mode():
        (before, weights), (after, _) = detector._read(encoding), detector._read(changed)
    differs = (before - after).abs().sum(1) > 1e-6
    assert weights.shape == (1, 4, detector.settings_["memory_size"])
    assert differs.squeeze(0).tolist() == [[False, True], [False, False]]


def test_a_memory_that_is_switched_off_leaves_the_same_network() -> None:
    with_memory, without = fitted(MemAE), fitted(MemAE, None, memory=False)
    shapes = {name: value.shape for name, value in without.network_.state_dict().items()}
    others = {name: value.shape for name, value in with_memory.network_.state_dict().items()}
    assert {name: shape for name, shape in others.items() if not name.startswith("memory")} == shapes
    same: dict[str, Any] = {"encoding": "vector", "learning_rate": 2e-3}
    assert torch.equal(
        fitted(MemAE, None, memory=False, **same).score(blobs(5)), fitted(AE, None, **same).score(blobs(5))
    )


# ------------------------------------------------------------------ on real images

EPOCHS = {"mnist": 5, "cifar10": 5}


@pytest.fixture(scope="module")
def real(request: pytest.FixtureRequest, plugins: Plugins, data_dir: Path) -> tuple[str, Tensor, Tensor, Tensor]:
    """A dataset's name, 2,000 training images of one class, 1,000 test images, and which of them are OOD."""
    dataset = plugins.datasets[request.param](data_dir)
    split = one_vs_rest(dataset.load("train"), dataset.load("test"), {"mnist": 0, "cifar10": 8}[request.param])
    some = torch.cat([(~split.is_ood).nonzero()[:500, 0], split.is_ood.nonzero()[:500, 0]])
    return request.param, as_float(split.train[:2000]), as_float(split.test[some]), split.is_ood[some]


@pytest.mark.parametrize("real", ["mnist", pytest.param("cifar10", marks=pytest.mark.slow)], indirect=True)
@every
def test_learns_real_images(cls: type[Detector], real: tuple[str, Tensor, Tensor, Tensor]) -> None:
    """Well above chance after a few epochs; and alive, where published memories are dead."""
    name, train, test, is_ood = real
    detector = cls(epochs=EPOCHS[name], batch_size=64).fit(train)
    assert roc_auc_score(is_ood, detector.score(test)) > {"mnist": 0.9, "cifar10": 0.55}[name]
    health = detector.diagnostics(test[~is_ood])
    assert health["reconstruction_variance"] > 1e-3
    if cls in (MemAE, MemVAE):
        check_memory(health, detector.settings_["memory_size"])


@pytest.mark.parametrize("real", ["mnist", "cifar10"], indirect=True)
@pytest.mark.parametrize("cls", [MemAE, MemVAE], ids=lambda cls: cls.name)
def test_memory_is_alive_from_the_start(
    cls: type[MemAE] | type[MemVAE], real: tuple[str, Tensor, Tensor, Tensor]
) -> None:
    _, train, _, _ = real
    detector = cls(epochs=1, batch_size=2000, learning_rate=1e-9).fit(train)
    check_memory(detector.diagnostics(train[:500]), detector.settings_["memory_size"])


def check_memory(health: dict[str, float], slots: int) -> None:
    assert health["dead_queries"] == 0
    assert 1.5 / slots < health["slots_per_query"] < 0.9
    assert health["active_slots"] > 5 / slots
    assert 0.2 < health["slot_usage_entropy"] < 0.99999
