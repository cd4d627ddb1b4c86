"""Each measure against a value worked out by hand or by a library, and against what is known of some images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import linalg

from oodbench.benchmark.evaluation.classifier import FEATURES, classifier_of
from oodbench.benchmark.evaluation.generation import RealFeatures, generation_metrics
from oodbench.benchmark.evaluation.measures import GENERATION
from oodbench.benchmark.evaluation.reference import ReferenceFeatures
from oodbench.datasets import one_vs_rest
from oodbench.datasets.components.split import Split, as_float
from oodbench.datasets.digits import Digits


def points(n: int, *, seed: int, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(n, FEATURES, generator=torch.Generator().manual_seed(seed)) + shift


def line(*places: float) -> torch.Tensor:
    """Points on a line through the features' space."""
    features = torch.zeros(len(places), FEATURES)
    features[:, 0] = torch.tensor(places)
    return features


def certain(labels: list[int]) -> torch.Tensor:
    return torch.eye(10)[labels]


@pytest.fixture(scope="module")
def digits() -> tuple[Split, ReferenceFeatures]:
    dataset = Digits(Path())
    split = one_vs_rest(dataset.load("train"), dataset.load("test"), 3)
    classifier = classifier_of(Digits)
    assert classifier is not None
    return split, ReferenceFeatures.of(split, classifier, 3)


def test_density_and_coverage_by_hand() -> None:
    """Real points at 0, 1, 2 and 10 have neighbourhoods to their third neighbour, of radius 10, 9, 8 and 10."""
    reference = RealFeatures(line(0, 1, 2, 10), line(0, 5), normal_class=3)
    found = generation_metrics(line(10.5, 11), certain([3, 4]), reference)
    # 10.5 and 11 lie in the neighbourhood of 10 alone: they are 9.5 and more from 1, 8.5 and more from 2
    assert found["density"] == pytest.approx((1 + 1) / 2 / 3)
    assert found["coverage"] == pytest.approx(1 / 4)
    assert found["class_fidelity"] == 0.5
    # from 10.5 and 11 to 5; from the real points to the nearer of 0 and 5
    assert found["novelty"] == pytest.approx(((5.5 + 6) / 2) / ((0 + 1 + 2 + 5) / 4))


def test_frechet_distance_by_its_formula() -> None:
    real, made = points(500, seed=0), 0.5 * points(400, seed=1, shift=1.0)
    found = generation_metrics(made, certain([0] * 400), RealFeatures(real, real, 0))["frechet"]
    first, second = (np.cov(each.double().numpy(), rowvar=False) for each in (real, made))
    apart = (real.double().mean(0) - made.double().mean(0)).square().sum().item()
    root = linalg.sqrtm(first @ second).real
    assert found == pytest.approx(apart + np.trace(first + second - 2 * root), rel=1e-4)


def test_kid_by_its_definition() -> None:
    real, made = points(40, seed=0), points(40, seed=1, shift=0.3)
    found = generation_metrics(made, certain([0] * 40), RealFeatures(real, real, 0))["kid"]

    def kernel(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return (one.double() @ other.double().T / FEATURES + 1) ** 3

    def off_diagonal(values: torch.Tensor) -> float:
        return ((values.sum() - values.trace()) / (40 * 39)).item()

    expected = (
        off_diagonal(kernel(real, real)) + off_diagonal(kernel(made, made)) - 2 * kernel(real, made).mean().item()
    )
    assert found == pytest.approx(expected, rel=1e-6)


def test_the_order_of_samples_does_not_matter() -> None:
    reference = RealFeatures(points(60, seed=0), points(200, seed=1), 0)
    made, order = points(60, seed=2), torch.randperm(60, generator=torch.Generator().manual_seed(0))
    labels = certain([0, 1, 2] * 20)
    first = generation_metrics(made, labels, reference)
    again = generation_metrics(made[order], labels[order], reference)
    assert tuple(first) == GENERATION
    assert again == pytest.approx(first, rel=1e-5)


def test_controls(digits: tuple[Split, ReferenceFeatures]) -> None:
    """Real images are near, noise is far, a replay has no novelty, and one image again and again covers little."""
    _, reference = digits
    real, replay, noise, mean = (reference.controls[name] for name in ("real", "replay", "noise", "mean"))
    for far in (noise, mean):
        assert far["frechet"] > max(real["frechet"], replay["frechet"])
        assert far["kid"] > 5 * max(real["kid"], replay["kid"])
        assert far["coverage"] < min(real["coverage"], replay["coverage"])
    assert noise["density"] < real["density"]
    assert replay["novelty"] < 0.05 < 0.5 < real["novelty"] < noise["novelty"]
    assert real["class_fidelity"] == replay["class_fidelity"] == 1


def test_reference_features_are_stored_as_they_are(digits: tuple[Split, ReferenceFeatures], tmp_path: Path) -> None:
    _, reference = digits
    reference.save(tmp_path / "reference.safetensors")
    again = ReferenceFeatures.load(tmp_path / "reference.safetensors", reference.classifier, 3)
    assert again.controls == reference.controls
    assert torch.equal(again.real.test, reference.real.test)
    assert torch.equal(again.real.train, reference.real.train)
    assert again.real.normal_class == 3


def test_a_copy_of_the_training_images_is_found_out(digits: tuple[Split, ReferenceFeatures]) -> None:
    split, reference = digits
    copies = as_float(split.train[:50])
    noise = torch.rand(copies.shape, generator=torch.Generator().manual_seed(0))
    novelty = [
        generation_metrics(*reference.classifier.classify(images), reference.real)["novelty"]
        for images in (copies, 0.95 * copies + 0.05 * noise, as_float(split.test[~split.is_ood]))
    ]
    assert novelty[0] < 0.01 < novelty[1] < novelty[2] == pytest.approx(1, rel=1e-3)


def test_other_classes_are_no_samples_of_this_one(digits: tuple[Split, ReferenceFeatures]) -> None:
    split, reference = digits
    others = as_float(split.test[split.is_ood][:100])
    found = generation_metrics(*reference.classifier.classify(others), reference.real)
    assert found["class_fidelity"] < 0.05
    assert found["frechet"] > 3 * reference.controls["real"]["frechet"]
