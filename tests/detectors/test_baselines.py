"""The classical methods agree with scikit-learn, or with values worked out by hand."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor
from sklearn.svm import OneClassSVM
from torch import Tensor, nn

from oodbench.detectors.complexity import Complexity, png_sizes
from oodbench.detectors.components.gaussian_mixture import log_density
from oodbench.detectors.components.principal_components import PrincipalComponents
from oodbench.detectors.components.training import Objective, train
from oodbench.detectors.deepsvdd import MIN_CENTRE, DeepSVDD, away_from_zero, normalised
from oodbench.detectors.gmm import GMM
from oodbench.detectors.iforest import IForest, unfinished
from oodbench.detectors.knn import KNN
from oodbench.detectors.lof import LOF
from oodbench.detectors.mean import Mean
from oodbench.detectors.ocsvm import OCSVM
from oodbench.detectors.pca import PCA
from oodbench.detectors.rotnet import RotNet
from tests.conftest import blobs

IMAGES, NEW = blobs(120, (1, 10, 10)), blobs(30, (1, 10, 10), seed=1)


def close(scores: Tensor, expected: object) -> bool:
    return torch.allclose(scores.double(), torch.as_tensor(expected).double(), rtol=1e-3, atol=1e-4)


def projections(detector: PrincipalComponents, images: Tensor) -> NDArray[np.float64]:
    return ((images - detector.mean_).flatten(1).double() @ detector.axes_.double().T).numpy()


def features(detector: PrincipalComponents, images: Tensor) -> NDArray[np.float64]:
    return detector._features(images).double().numpy()


def test_mean() -> None:
    black, white = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    detector = Mean().fit(torch.cat([black, white]))
    assert detector.score(torch.cat([black, white, 0.5 * white])).tolist() == [1.0, 1.0, 0.0]


def test_complexity_is_the_size_of_a_png() -> None:
    for image in (NEW[0], torch.rand(3, 10, 10)):
        pixels = (image * 255).round().byte().movedim(0, -1).squeeze(-1).numpy()
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "png")
        assert png_sizes(image.unsqueeze(0)).item() == len(file.getvalue())
    assert png_sizes(torch.zeros(1, 2, 5, 5)).item() == 2 * png_sizes(torch.zeros(1, 1, 5, 5)).item()
    plain = Complexity().fit(torch.zeros(3, 1, 10, 10))
    assert plain.score(torch.zeros(1, 1, 10, 10)).item() == 0
    assert plain.score(torch.rand(1, 1, 10, 10)).item() > 50


def test_pca_has_no_error_in_the_space_that_it_spans() -> None:
    directions = torch.rand(3, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    weights = torch.rand(50, 3, generator=torch.Generator().manual_seed(1)) / 3
    images = torch.einsum("nk,kchw->nchw", weights, directions)
    detector = PCA(n_components=3).fit(images)
    assert detector.score(images).max() < 1e-9
    assert torch.allclose(detector.reconstruct(images), images, atol=1e-5)
    off = images.clone()
    off[:, 0, 0, 0] = (off[:, 0, 0, 0] + 0.3).clamp(max=1)
    assert detector.score(off).min() > 1e-3


def test_gmm_is_scikit_learn_s_with_the_residual_as_a_feature() -> None:
    detector = GMM(n_gaussians=3, n_components=5).fit(IMAGES)
    reference = GaussianMixture(3, random_state=0, reg_covar=1e-4, max_iter=20).fit(features(detector, IMAGES))
    assert close(detector.score(NEW), -reference.score_samples(features(detector, NEW)))
    assert detector.sample(3).shape == (3, 1, 10, 10)
    standard = {"weights": torch.ones(1), "means": torch.zeros(1, 2), "factors": torch.eye(2).unsqueeze(0)}
    standard = {key: value.double() for key, value in standard.items()}
    assert log_density(standard, torch.zeros(1, 2)).item() == pytest.approx(-np.log(2 * np.pi))


GREYS = torch.linspace(0, 1, 11).view(-1, 1, 1, 1).expand(-1, 1, 2, 2).contiguous()
"""Along the one component (½, ½, ½, ½), each 0.2 from the next."""
CHEQUERED = torch.tensor([[[[0.8, 0.2], [0.2, 0.8]]]])
"""Of mean 0.5, and 0.6 away from the even grey: all of it outside the component."""


def test_what_lies_outside_the_components_by_hand() -> None:
    detector = PCA(n_components=1).fit(GREYS)
    assert close(detector.represent(GREYS).abs(), (torch.arange(11.0) - 5).abs().unsqueeze(1) / 5)
    assert close(detector.represent(CHEQUERED), [[0.0]])
    assert close(detector.score(torch.cat([GREYS[:1], CHEQUERED])), [0, 0.36])
    assert torch.equal(detector.score(CHEQUERED), detector.error(CHEQUERED))


def test_the_residual_varies_as_the_first_component_does() -> None:
    detector = KNN(n_components=6).fit(IMAGES)
    deviations = detector.points_.std(0, correction=0).tolist()
    assert deviations[-1] == pytest.approx(deviations[0], rel=0.02)  # unless it is the largest factor that holds
    assert detector.residual_scale_ > 1


def test_knn_by_hand() -> None:
    detector = KNN(n_neighbors=2, n_components=1).fit(GREYS)
    assert close(detector.score(GREYS[:3]), [0.02, 0.02, 0.02])  # 0 and 0.2 away
    assert close(detector.score(torch.full((1, 1, 2, 2), 0.95)), [0.01])
    assert close(detector.score(CHEQUERED), [0.02 + 100 * 0.36])  # no residual varies: the largest factor, 10
    assert torch.equal(detector.error(CHEQUERED), detector.score(CHEQUERED))


def test_lof_is_scikit_learn_s_with_the_residual_as_a_feature(tmp_path: Path) -> None:
    detector = LOF(n_neighbors=7, n_components=6).fit(IMAGES)
    reference = LocalOutlierFactor(n_neighbors=7, novelty=True).fit(features(detector, IMAGES))
    assert close(detector.score(NEW), -reference.score_samples(features(detector, NEW)))
    detector.save(tmp_path)
    assert torch.equal(LOF.load(tmp_path).score(NEW), detector.score(NEW))
    near, far = LOF(n_neighbors=2, n_components=1).fit(GREYS).score(torch.cat([GREYS[5:6], CHEQUERED]))
    assert near == pytest.approx(1)
    assert far > 2


def test_iforest_is_scikit_learn_s_with_the_residual_beside_every_fourth_component() -> None:
    detector = IForest(n_estimators=50, n_components=9, seed=3).fit(IMAGES)

    def columns(images: Tensor) -> NDArray[np.float64]:
        found = features(detector, images)
        return np.hstack([found, found[:, -1:]])  # twice, with nine components

    reference = IsolationForest(n_estimators=50, random_state=3).fit(columns(IMAGES))
    assert close(detector.score(NEW), -reference.score_samples(columns(NEW)))
    assert unfinished(np.array([1, 2])).tolist() == [0, 1]
    assert unfinished(np.array([256]))[0] == pytest.approx(10.2448, abs=1e-3)


def test_ocsvm_is_scikit_learn_s_on_a_logarithmic_scale() -> None:
    detector = OCSVM(n_components=6, nu=0.2, gamma=2).fit(IMAGES)
    reference = OneClassSVM(nu=0.2, gamma=float(detector.gamma_)).fit(features(detector, IMAGES))
    expected = np.log(reference.offset_) - np.log(reference.score_samples(features(detector, NEW)))
    assert close(detector.score(NEW), expected.squeeze())
    assert float((detector.score(IMAGES) > 0).float().mean()) == pytest.approx(0.2, abs=0.05)


def test_ocsvm_orders_images_however_far_away() -> None:
    detector = OCSVM(n_components=1, gamma=1000).fit(0.4 + 0.1 * GREYS)
    scores = detector.score(GREYS[5:])
    assert (scores.diff() > 1).all()


def test_noise_is_further_away_than_any_normal_image() -> None:
    """Its projections alone are those of a grey image."""
    noise = torch.rand(30, 1, 10, 10, generator=torch.Generator().manual_seed(0))
    for detector in (PCA(), KNN(), GMM(), LOF(), OCSVM()):
        detector.fit(IMAGES)
        assert detector.score(noise).min() > detector.score(NEW).max(), detector


def test_no_more_components_than_images_or_a_quarter_of_the_pixels() -> None:
    assert PCA().fit(IMAGES).axes_.shape == (25, 100)
    assert PCA().fit(IMAGES[:7]).axes_.shape == (7, 100)
    assert PCA(n_components=5).fit(IMAGES).axes_.shape == (5, 100)


def test_deepsvdd_draws_normal_images_to_a_centre_that_is_not_0() -> None:
    short = DeepSVDD(pretraining_epochs=5, epochs=1).fit(IMAGES)
    long = DeepSVDD(pretraining_epochs=5, epochs=40).fit(IMAGES)
    assert torch.equal(long.centre_, short.centre_)
    assert long.centre_.abs().min() >= MIN_CENTRE
    assert long.score(NEW).mean() < 0.6 * short.score(NEW).mean()
    phi = long.network_["encoder"]((normalised(NEW) - long.lowest_) / (long.highest_ - long.lowest_))
    assert close(long.score(NEW), ((phi - long.centre_) ** 2).sum(1).detach())


def test_deepsvdd_starts_from_the_weights_of_an_autoencoder(monkeypatch: pytest.MonkeyPatch) -> None:
    stages: list[dict[str, Tensor]] = []
    errors: list[float] = []

    def spy(network: nn.Module, objective: Objective, images: Tensor, **given: Any) -> None:
        stages.append({name: weights.clone() for name, weights in network.named_parameters()})
        train(network, objective, images, **given)
        stages.append({name: weights.clone() for name, weights in network.named_parameters()})
        errors.append(objective(images, None)["loss"].mean().item())

    monkeypatch.setattr("oodbench.detectors.deepsvdd.train", spy)  # the pretraining
    monkeypatch.setattr("oodbench.detectors.components.neural.train", spy)
    detector = DeepSVDD(pretraining_epochs=20, epochs=1, learning_rate=1e-2).fit(IMAGES)
    random, pretrained, start, _ = stages
    assert errors[0] < normalised(IMAGES).var() / (detector.highest_ - detector.lowest_) ** 2
    assert any(name.startswith("decoder") for name in random)
    assert not any("bias" in name for name in random)
    assert not any(name.startswith("decoder") for name in detector.state())
    assert all(torch.equal(weights, pretrained[name]) for name, weights in start.items())
    assert not any(torch.equal(weights, random[name]) for name, weights in start.items())


def test_deepsvdd_has_its_centre_where_the_pretrained_network_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DeepSVDD, "_train", lambda *_: None)
    features: dict[int, Tensor] = {}
    for epochs in (0, 10):
        detector = DeepSVDD(pretraining_epochs=epochs).fit(IMAGES)
        features[epochs] = detector._represent(IMAGES).detach().mean(0)
        assert close(detector.centre_, away_from_zero(features[epochs]))
    assert not torch.allclose(features[0], features[10], rtol=0.1)


def lit(n: int, seed: int) -> Tensor:
    """Discs that are brighter above."""
    return blobs(n, (3, 16, 16), seed=seed) * torch.linspace(1, 0.2, 16).view(-1, 1)


def test_rotnet_knows_which_way_is_up() -> None:
    """By chance the score is ln 4 = 1.39."""
    detector = RotNet(width=8, epochs=30).fit(lit(200, 0))
    upright = lit(50, 1)
    upside_down = torch.rot90(upright, 2, (2, 3))
    assert detector.score(upright).mean() < 0.5
    assert detector.score(upside_down).mean() > 2


def test_rotnet_refuses_what_cannot_be_turned() -> None:
    with pytest.raises(ValueError, match="must be square; these are 8×10"):
        RotNet().fit(torch.rand(3, 1, 8, 10))
    with pytest.raises(ValueError, match="network is 'small' or 'resnet18', not 'vgg'"):
        RotNet(network="vgg").fit(lit(3, 0))  # type: ignore[arg-type]


def test_rotnet_large_network() -> None:
    images = lit(6, 0)
    detector = RotNet(network="resnet18", epochs=1, batch_size=6).fit(images)
    assert detector.score(images).shape == (6,)
    assert detector.parameter_count() > 1.1e7
