"""The classical methods agree with scikit-learn, or with values worked out by hand."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.decomposition import PCA as SklearnPCA
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor
from sklearn.svm import OneClassSVM
from torch import Tensor

from oodbench.detectors.complexity import Complexity, png_sizes
from oodbench.detectors.components.gaussian_mixture import log_density
from oodbench.detectors.components.principal_components import PrincipalComponents
from oodbench.detectors.deepsvdd import MIN_CENTRE, DeepSVDD
from oodbench.detectors.dte import DTE, log_odds, noise_deviations
from oodbench.detectors.geotrans import GeoTrans
from oodbench.detectors.gmm import GMM, MIN_NOISE
from oodbench.detectors.iforest import IForest, unfinished
from oodbench.detectors.knn import KNN
from oodbench.detectors.lof import LOF
from oodbench.detectors.mean import Mean
from oodbench.detectors.ocsvm import OCSVM
from oodbench.detectors.pca import PCA
from tests.conftest import blobs

IMAGES, NEW = blobs(120, (1, 10, 10)), blobs(30, (1, 10, 10), seed=1)


def close(scores: Tensor, expected: object) -> bool:
    return torch.allclose(scores.double(), torch.as_tensor(expected).double(), rtol=1e-3, atol=1e-4)


def projections(detector: PrincipalComponents, images: Tensor) -> NDArray[np.float64]:
    return ((images - detector.mean_).flatten(1).double() @ detector.axes_.double().T).numpy()


def features(detector: PrincipalComponents, images: Tensor) -> NDArray[np.float64]:
    return torch.cat([detector.represent(images), detector.error(images).sqrt().unsqueeze(1)], 1).double().numpy()


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


def test_gmm_of_one_gaussian_is_the_likelihood_of_tipping_and_bishop() -> None:
    noisy = (IMAGES + 0.05 * torch.rand(IMAGES.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    reference = SklearnPCA(12, random_state=0).fit(noisy.flatten(1).numpy())
    expected = -reference.score_samples(noisy.flatten(1).double().numpy())
    scores = GMM(n_gaussians=1, n_components=12).fit(noisy).score(noisy).double().numpy()
    assert np.abs(scores - expected).max() < 0.02 * np.ptp(expected)


def test_gmm_adds_the_noise_outside_to_scikit_learn_s() -> None:
    detector = GMM(n_gaussians=3, n_components=5).fit(IMAGES)
    reference = GaussianMixture(3, random_state=0, reg_covar=1e-4, max_iter=20).fit(
        detector._project(IMAGES).double().numpy()
    )
    noise = max(float(detector.noise_), MIN_NOISE)
    outside = 0.5 * (detector.error(NEW).double().numpy() / noise + 95 * np.log(2 * np.pi * noise))
    assert close(detector.score(NEW), outside - reference.score_samples(projections(detector, NEW)))
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


def test_knn_by_hand() -> None:
    detector = KNN(n_neighbors=2, n_components=1).fit(GREYS)
    assert close(detector.score(GREYS[:3]), [0.02, 0.02, 0.02])  # 0 and 0.2 away
    assert close(detector.score(torch.full((1, 1, 2, 2), 0.95)), [0.01])
    assert close(detector.score(CHEQUERED), [0.02 + 0.36])
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


def test_dte_finds_more_noise_in_noisier_images(tmp_path: Path) -> None:
    detector = DTE(epochs=60, n_components=8).fit(IMAGES)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(NEW.shape, generator=generator)
    means = [detector.score((NEW + deviation * noise).clamp(0, 1)).mean() for deviation in (0, 0.1, 0.5)]
    assert means == sorted(means)
    detector.save(tmp_path)
    assert torch.equal(DTE.load(tmp_path).score(NEW), detector.score(NEW))


def test_dte_s_noise_and_score_by_hand() -> None:
    assert noise_deviations()[0].item() == pytest.approx(0.01)
    assert noise_deviations()[-1].item() ** 2 == pytest.approx(1 - np.prod(1 - np.linspace(1e-4, 1e-2, 400)))
    even, certain, beyond = log_odds(torch.tensor([[0.0, 0, 0], [0, 0, 100], [0, 0, 200]]))
    assert even.item() == pytest.approx(0)
    assert certain.item() == pytest.approx(100 - np.log(1.5), abs=1e-4)  # m = 2, 2 − m = 3 exp(−100)
    assert beyond > certain


def test_iforest_is_scikit_learn_s_with_the_residual_as_a_feature() -> None:
    detector = IForest(n_estimators=50, n_components=6, seed=3).fit(IMAGES)
    reference = IsolationForest(n_estimators=50, random_state=3).fit(features(detector, IMAGES))
    assert close(detector.score(NEW), -reference.score_samples(features(detector, NEW)))
    assert unfinished(np.array([1, 2])).tolist() == [0, 1]
    assert unfinished(np.array([256]))[0] == pytest.approx(10.2448, abs=1e-3)


def test_ocsvm_is_scikit_learn_s_on_a_logarithmic_scale() -> None:
    detector = OCSVM(n_components=6, nu=0.2, gamma=2).fit(IMAGES)
    reference = OneClassSVM(nu=0.2, gamma=float(detector.gamma_)).fit(features(detector, IMAGES))
    expected = np.log(reference.offset_) - np.log(reference.score_samples(features(detector, NEW)))
    assert close(detector.score(NEW), expected.squeeze())
    assert float((detector.score(IMAGES) > 0).float().mean()) <= 0.21


def test_ocsvm_orders_images_however_far_away() -> None:
    detector = OCSVM(n_components=1, gamma=1000).fit(0.4 + 0.1 * GREYS)
    scores = detector.score(GREYS[5:])
    assert (scores.diff() > 1).all()


def test_noise_is_further_away_than_any_normal_image() -> None:
    """Its projections alone are those of a grey image."""
    noise = torch.rand(30, 1, 10, 10, generator=torch.Generator().manual_seed(0))
    for detector in (PCA(), KNN(), GMM(), LOF(), OCSVM(), IForest(), DTE(epochs=10)):
        detector.fit(IMAGES)
        assert detector.score(noise).min() > detector.score(NEW).max(), detector


def test_no_more_components_than_images_or_a_quarter_of_the_pixels() -> None:
    assert PCA().fit(IMAGES).axes_.shape == (25, 100)
    assert PCA().fit(IMAGES[:7]).axes_.shape == (7, 100)
    assert PCA(n_components=5).fit(IMAGES).axes_.shape == (5, 100)


def test_deepsvdd_draws_normal_images_to_a_centre_that_is_not_0() -> None:
    untrained = DeepSVDD(epochs=0).fit(IMAGES)
    trained = DeepSVDD(epochs=10).fit(IMAGES)
    assert torch.equal(trained.centre_, untrained.centre_)
    assert trained.centre_.abs().min() >= MIN_CENTRE
    assert trained.score(NEW).mean() < 0.5 * untrained.score(NEW).mean()
    assert not [name for name, _ in trained.network_.named_parameters() if "bias" in name]


def lit(n: int, seed: int) -> Tensor:
    """Discs that are brighter above."""
    return blobs(n, (3, 16, 16), seed=seed) * torch.linspace(1, 0.2, 16).view(-1, 1)


def test_geotrans_knows_which_way_is_up() -> None:
    """By chance the score is ln 4 = 1.39."""
    detector = GeoTrans(width=8, epochs=30).fit(lit(200, 0))
    upright = lit(50, 1)
    upside_down = torch.rot90(upright, 2, (2, 3))
    assert detector.score(upright).mean() < 0.5
    assert detector.score(upside_down).mean() > 2


def test_geotrans_refuses_what_cannot_be_turned() -> None:
    with pytest.raises(ValueError, match="must be square; these are 8×10"):
        GeoTrans().fit(torch.rand(3, 1, 8, 10))
    with pytest.raises(ValueError, match="network is 'small' or 'resnet18', not 'vgg'"):
        GeoTrans(network="vgg").fit(lit(3, 0))  # type: ignore[arg-type]


def test_geotrans_large_network() -> None:
    images = lit(6, 0)
    detector = GeoTrans(network="resnet18", epochs=1, batch_size=6).fit(images)
    assert detector.score(images).shape == (6,)
    assert detector.parameter_count() > 1.1e7
