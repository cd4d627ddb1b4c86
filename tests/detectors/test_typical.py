"""Our own score on top of toy detectors, against values worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from oodbench.benchmark.checks import detector_outcomes
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.fingerprint import fingerprint
from oodbench.benchmark.trials import plan
from oodbench.detectors import Detector, DetectorError, Monitor
from oodbench.detectors.base import can_reconstruct, can_sample, parameter_types
from oodbench.detectors.components.defaults import kind_of
from oodbench.detectors.components.types import NonNegativeFloat
from oodbench.detectors.components.wrapper import Wrapper
from oodbench.detectors.typical import Typicality, typical
from tests.benchmark.plugin_to_wrap import Both, ErrorOnly, Neither
from tests.conftest import blobs

IMAGES, NEW = blobs(80), blobs(10, seed=1)
SETTINGS: dict[str, Any] = {
    "complexity_blur": 0.0,
    "complexity_weight": 0.3,
    "latent_weight": 0.7,
    "n_gaussians": 1,
}
Array = NDArray[np.float64]


def complexity(images: Array) -> Array:
    across, down = np.diff(images, axis=3), np.diff(images, axis=2)
    return np.asarray((across**2).sum((1, 2, 3)) + (down**2).sum((1, 2, 3)) + 1e-3)


def by_hand(base: Detector, *, with_points: bool) -> Array:
    """Return the score of NEW from the outputs of a fitted detector."""
    pixels = {"known": IMAGES.double().numpy(), "new": NEW.double().numpy()}
    x = {which: np.log(complexity(images)) for which, images in pixels.items()}
    y = {which: np.log(base.error(torch.from_numpy(images).float()).double()) for which, images in pixels.items()}
    y = {which: np.asarray(values) for which, values in y.items()}
    slope = np.cov(x["known"], y["known"], bias=True)[0, 1] / x["known"].var()
    residual = {which: y[which] - y["known"].mean() - slope * (x[which] - x["known"].mean()) for which in x}
    z = (x["new"] - x["known"].mean()) / x["known"].std()
    score = residual["new"] / residual["known"].std() + 0.3 * z**2
    if with_points:
        points, new = (base.represent(images).double().numpy() for images in (IMAGES, NEW))
        inverse = np.linalg.inv(np.cov(points.T, bias=True) + 1e-4 * np.eye(2))
        # up to a constant, the negative log-density under one Gaussian is half a squared Mahalanobis distance
        known, found = (
            0.5 * np.einsum("ni,ij,nj->n", given - points.mean(0), inverse, given - points.mean(0))
            for given in (points, new)
        )
        score = score + 0.7 * (found - known.mean()) / known.std()
    return np.asarray(score)


@pytest.mark.parametrize(("base", "with_points"), [(Both, True), (ErrorOnly, False)])
def test_a_wrapped_row_is_made_of_the_bare_row_s_outputs(base: type[Detector], with_points: bool) -> None:
    scores = typical(base)(**SETTINGS).fit(IMAGES).score(NEW)
    assert scores.dtype == torch.float32
    assert np.allclose(scores, by_hand(base().fit(IMAGES), with_points=with_points), rtol=1e-3, atol=1e-3)


def test_what_offers_no_error_gets_a_sentence() -> None:
    with pytest.raises(
        DetectorError, match="typical:test-neither needs an error to build on, and test-neither offers none"
    ):
        typical(Neither)


@pytest.mark.parametrize("base", [Both, ErrorOnly])
def test_it_passes_the_checks(base: type[Detector]) -> None:
    outcomes = detector_outcomes(typical(base))
    assert [f"{found.name}: {found.message}" for found in outcomes if found.status == "failed"] == []


def test_it_has_the_parameters_of_the_base_and_its_own() -> None:
    cls = typical(Both)
    assert set(cls().get_params()) == {*SETTINGS, "steps", "note", "seed"}
    detector = cast(Wrapper, cls(steps=3, seed=4, latent_weight=0.5))
    assert detector.base().get_params() == {"steps": 3, "note": "", "seed": 4}
    types = parameter_types(cls)
    assert types["steps"] == parameter_types(Both)["steps"]
    assert types["latent_weight"] == NonNegativeFloat | None
    with pytest.raises(TypeError, match="typical:test-both has no parameter 'width'"):
        cls(width=3)
    for shape in ((1, 8, 8), (1, 28, 28), (3, 32, 32)):
        found = detector.hyperparameters(shape)
        assert found == {**Typicality.DEFAULTS[kind_of(shape)], "steps": 3, "note": "", "latent_weight": 0.5}


def test_it_is_named_by_the_detector_s_name(plugins: Plugins) -> None:
    found = Plugins.load([Path(__file__).parents[1] / "benchmark" / "plugin_to_wrap.py"])
    (trial,) = plan(
        found,
        detectors=["typical:TEST-both"],
        datasets=["digits"],
        classes=[0],
        settings=["typical:test-both.steps=2"],
    )
    assert trial.label == "typical:test-both@steps=2"
    assert fingerprint(found.detectors["typical:test-both"]) != fingerprint(found.detectors["typical:test-error"])


def test_it_delegates_and_neither_samples_nor_reconstructs() -> None:
    cls = typical(Both)
    assert not can_sample(cls)
    assert not can_reconstruct(cls)
    assert cls().fit(IMAGES).diagnostics(NEW) == {"images": 10}
    assert cls.unhealthy({"images": 1}) == ["few images"]


def test_a_saved_model_holds_the_base(tmp_path: Path) -> None:
    detector = typical(Both)(steps=2, **SETTINGS).fit(IMAGES)
    detector.save(tmp_path)
    loaded = typical(Both).load(tmp_path)
    assert torch.equal(loaded.score(NEW), detector.score(NEW))
    assert loaded.diagnostics(NEW) == {"images": 10}
    assert loaded.parameter_count() == detector.parameter_count() > Both().fit(IMAGES).parameter_count()


def test_its_own_weights_need_no_new_fit() -> None:
    cls = typical(Both)
    rescored = cls(**{**SETTINGS, "latent_weight": 0.0}).fit(IMAGES).rescored({"latent_weight": 0.7})
    assert torch.equal(rescored.score(NEW), cls(**SETTINGS).fit(IMAGES).score(NEW))
    with pytest.raises(DetectorError, match="fitted again for another steps"):
        rescored.rescored({"steps": 2})


def test_scores_in_the_midst_of_a_fit_are_those_of_the_base_as_it_is() -> None:
    detector = typical(Both)(steps=3, **SETTINGS)
    seen: list[torch.Tensor] = []

    class Asks(Monitor):
        def report(self, step: int, steps: int, measures: Mapping[str, float]) -> None:
            seen.append(detector.score(NEW))

    asked = detector.fit(IMAGES, monitor=Asks()).score(NEW)
    assert torch.equal(asked, typical(Both)(steps=3, **SETTINGS).fit(IMAGES).score(NEW))
    assert torch.equal(seen[-1], asked)
    assert not torch.equal(seen[0], asked)


def test_a_fitted_base_is_taken_over_once() -> None:
    base = Both(steps=2).fit(IMAGES)
    detector = cast(Wrapper, typical(Both)(steps=2, **SETTINGS))
    detector.take_over(base)
    expected = typical(Both)(steps=2, **SETTINGS).fit(IMAGES).score(NEW)
    assert torch.equal(detector.fit(IMAGES).score(NEW), expected)
    assert detector.base_ is base
    assert detector.fit(IMAGES).base_ is not base
