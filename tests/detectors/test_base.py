"""What the base class does for every detector: saving, loading, checking images, rescoring."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import pytest
import torch
from annotated_types import Ge
from sklearn.exceptions import NotFittedError
from torch import Tensor, nn

from oodbench.detectors.base import (
    Detector,
    DetectorError,
    Monitor,
    Shape,
    can_reconstruct,
    can_sample,
    check_images,
    parameter_types,
    register,
)
from tests.conftest import blobs

IMAGES = blobs(6)


class Linear(Detector):
    """Saves a module, a tensor, plain values; and a dictionary, which is not saved."""

    SCORE_ONLY = frozenset({"factor"})

    def __init__(self, *, features: Annotated[int, Ge(1)] = 3, factor: float | None = 1.0, seed: int = 0) -> None:
        self.features = features
        self.factor = factor
        self.seed = seed

    def build(self, shape: Shape) -> None:
        self.layer_ = nn.Linear(shape[1] * shape[2], self.features)
        self.rest_ = nn.Identity()

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        self.shape_ = check_images(images)
        self.build(self.shape_)
        self.mean_ = images.mean(0)
        self.limits_, self.note_, self.extra_ = [1, (2.5, None)], "ä", {"a": 1}
        return self

    @torch.inference_mode()
    def score(self, images: Tensor) -> Tensor:
        check_images(images, self.shape_)
        scores: Tensor = self.rest_(self.layer_((images - self.mean_).flatten(1))).sum(1) * self.factor
        return scores


class Unbuilt(Linear):
    """Has modules, and does not say how to make them."""

    build = Detector.build

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        self.shape_ = check_images(images)
        Linear.build(self, self.shape_)
        self.mean_ = images.mean(0)
        return self


def test_tensors_modules_and_plain_values_are_saved_and_loaded(tmp_path: Path) -> None:
    detector = Linear(features=2).fit(IMAGES)
    detector.save(tmp_path)
    loaded = Linear.load(tmp_path)
    assert torch.equal(loaded.score(IMAGES), detector.score(IMAGES))
    assert loaded.shape_ == (1, 8, 8)
    fitted: dict[str, Any] = dict(vars(loaded))
    assert (fitted["limits_"], fitted["note_"]) == ((1, (2.5, None)), "ä")
    assert loaded.parameter_count() == detector.parameter_count() == 2 * 65 + 64


def test_what_a_loaded_model_lacks_is_named(tmp_path: Path) -> None:
    Linear().fit(IMAGES).save(tmp_path)
    with pytest.raises(NotFittedError, match=r"from a file that holds no 'extra_'\. Saved are .* override state"):
        _ = Linear.load(tmp_path).extra_
    Unbuilt().fit(IMAGES).save(tmp_path)
    with pytest.raises(DetectorError, match=r"holds no 'rest_'.* torch modules if the class defines build\(shape\)"):
        Unbuilt.load(tmp_path)
    with pytest.raises(NotFittedError, match="not fitted yet: call fit"):
        Linear().score(IMAGES)
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'nothing'"):
        _ = Linear().nothing


def test_modules_count_only_where_they_can_be_built() -> None:
    """A class of its own state and restore keeps them as it likes."""
    assert set(Unbuilt().fit(IMAGES).state()) == {"mean_"}
    assert set(Linear().fit(IMAGES).state()) == {"layer_.weight", "layer_.bias", "mean_"}


def test_a_model_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    Linear().fit(IMAGES).save(tmp_path)
    file = tmp_path / "model.json"
    about = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**about, "parameters": {"width": 3}}), encoding="utf-8")
    with pytest.raises(DetectorError, match=r"of an earlier version \(.* no longer has width\): run its trial again"):
        Linear.load(tmp_path)
    del about["fitted"]
    file.write_text(json.dumps(about), encoding="utf-8")
    with pytest.raises(DetectorError, match=r"of an earlier version \(its format has changed\)"):
        Linear.load(tmp_path)


def test_a_fitted_detector_is_scored_by_other_settings() -> None:
    detector = Linear().fit(IMAGES)
    rescored = detector.rescored({"factor": 3.0})
    assert torch.allclose(rescored.score(IMAGES), 3 * detector.score(IMAGES))
    assert detector.factor == 1
    with pytest.raises(DetectorError, match="Linear has to be fitted again for another features"):
        detector.rescored({"features": 5})


def test_annotations_of_parameters() -> None:
    assert parameter_types(Linear) == {"features": Annotated[int, Ge(1)], "factor": float | None, "seed": int}

    class Untyped(Linear):
        def __init__(self, *, k=3, depth: Missing = 4) -> None:  # type: ignore[no-untyped-def, name-defined]  # noqa: F821
            super().__init__()

    assert parameter_types(Untyped) == {}


def test_capabilities_are_methods_that_are_overridden() -> None:
    assert not can_sample(Linear)
    assert not can_reconstruct(Linear)

    @register("linear")
    class Named(Linear):
        """Has a name."""

    with pytest.raises(DetectorError, match=r"linear cannot sample\."):
        Named().sample(1)
    with pytest.raises(DetectorError, match=r"linear does not reconstruct images\."):
        Named().reconstruct(IMAGES)
    assert Named.unhealthy(Named().diagnostics(IMAGES)) == []


@pytest.mark.parametrize(
    ("images", "shape", "message"),
    [
        (np.zeros((2, 1, 8, 8), np.uint8), None, r"numpy array: pass torch.from_numpy\(images\).float\(\) / 255"),
        (np.zeros((2, 1, 8, 8)), None, r"numpy array: pass torch.from_numpy\(images\).float\(\)\."),
        ([[0.0]], None, "this is a list: pass a torch tensor"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), None, r"torch.uint8 \(2, 1, 8, 8\): pass images.float\(\) / 255"),
        (torch.zeros(2, 1, 8, 8).double(), None, r"torch.float64 .*: pass images.float\(\)\."),
        (torch.zeros(2, 8, 8), None, r"images.unsqueeze\(1\), one image images.unsqueeze\(0\)"),
        (torch.zeros(64), None, r"must be a float32 tensor \(N, C, H, W\)"),
        (torch.zeros(2, 8, 8, 3), None, r"channels last: pass images.permute\(0, 3, 1, 2\)"),
        (torch.zeros(2, 8, 8, 1), (1, 8, 8), r"channels last: pass images.permute\(0, 3, 1, 2\)"),
        (torch.zeros(2, 1, 9, 8), (1, 8, 8), r"fitted on images of shape \(1, 8, 8\); these are \(1, 9, 8\)"),
        (torch.zeros(0, 1, 8, 8), None, "no images"),
        (torch.full((2, 1, 8, 8), float("nan")), None, "without NaN"),
        (torch.full((2, 1, 8, 8), 255.0), None, r"must lie in \[0, 1\]"),
    ],
)
def test_what_is_no_batch_of_images_is_refused(images: Any, shape: Shape | None, message: str) -> None:
    with pytest.raises(DetectorError, match=message):
        check_images(images, shape)


def test_images_of_any_shape_are_accepted() -> None:
    assert check_images(torch.zeros(2, 1, 28, 28)) == (1, 28, 28)
    assert check_images(torch.zeros(1, 4, 2, 3)) == (4, 2, 3)
    assert check_images(torch.zeros(1, 9, 2, 3), (9, 2, 3)) == (9, 2, 3)
