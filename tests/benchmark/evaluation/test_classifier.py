"""The measuring instrument is as good as it is said to be, and can be made again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from safetensors import safe_open
from typer.testing import CliRunner

from oodbench.benchmark.evaluation import train_classifier
from oodbench.benchmark.evaluation.classifier import FEATURES, classifier_of, digest_of, shipped
from oodbench.benchmark.plugins import Plugins
from oodbench.datasets import DatasetError, as_float
from oodbench.datasets.digits import Digits

NEEDED = {"digits": 0.97, "mnist": 0.99, "cifar10": 0.88}
"""Test accuracy."""


@pytest.mark.parametrize("dataset", NEEDED)
def test_the_weights_that_are_shipped(dataset: str) -> None:
    path = shipped(dataset)
    assert path.stat().st_size < 3e6
    with safe_open(path, "pt") as weights:
        assert float(weights.metadata()["test_accuracy"]) >= NEEDED[dataset]
        assert weights.metadata()["dataset"] == dataset


@pytest.mark.parametrize("dataset", NEEDED)
def test_they_are_as_good_as_they_say(dataset: str, plugins: Plugins, request: pytest.FixtureRequest) -> None:
    folder = Path() if dataset == "digits" else request.getfixturevalue("data_dir")
    part = plugins.datasets[dataset](folder).load("test")
    classifier = classifier_of(plugins.datasets[dataset])
    assert classifier is not None
    features, probabilities = classifier.classify(as_float(part.images[:2000]))
    assert features.shape == (len(part.images[:2000]), FEATURES)
    assert probabilities.sum(1) == pytest.approx(1, abs=1e-4)
    right = (probabilities.argmax(1) == part.labels[:2000]).double().mean()
    assert right >= NEEDED[dataset] - 0.01  # of some of the test part


@pytest.mark.slow
def test_it_is_trained_by_the_script() -> None:
    dataset = Digits(Path())
    training, testing = dataset.load("train"), dataset.load("test")
    state = torch.random.get_rng_state()
    network = train_classifier.train(training.images, training.labels, 10, epochs=12)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert train_classifier.accuracy(network, testing.images, testing.labels) > 0.95


def test_a_digest_tells_weights_apart(plugins: Plugins) -> None:
    digests = {digest_of(plugins.datasets[dataset]) for dataset in NEEDED}
    assert len(digests) == 3
    assert digest_of(plugins.datasets["fashion-mnist"]) is None
    assert classifier_of(plugins.datasets["fashion-mnist"]) is None


def own(path: Path, **changes: Any) -> type[Digits]:
    """A dataset with a classifier of its own."""
    return type("Own", (Digits,), {"name": "own", "feature_classifier": path, **changes})


def test_a_dataset_may_bring_its_own_classifier(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    options = ["digits", "--epochs", "1", "--output", str(path), "--data-dir", str(tmp_path)]
    app = typer.Typer()
    app.command()(train_classifier.main)
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 0, done.output
    classifier = classifier_of(own(path))
    assert classifier is not None
    assert digest_of(own(path)) == classifier.digest != digest_of(Digits)
    features, probabilities = classifier.classify(torch.rand(3, 1, 8, 8))
    assert (features.shape, probabilities.shape) == ((3, FEATURES), (3, 10))
    with pytest.raises(DatasetError, match="1 channels and 10 classes, but dataset 'own' has 1 and 2"):
        classifier_of(own(path, class_names=("a", "b")))


def test_a_classifier_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"nowhere, the feature_classifier of dataset 'own', is no file"):
        digest_of(own(tmp_path / "nowhere"))
    (tmp_path / "text").write_text("no weights")
    with pytest.raises(DatasetError, match="holds no weights of a feature classifier"):
        classifier_of(own(tmp_path / "text"))


def test_a_classifier_for_an_own_dataset_needs_a_file() -> None:
    app = typer.Typer()
    app.command()(train_classifier.main)
    done = CliRunner().invoke(app, ["folder:photos"])
    assert done.exit_code == 2
    assert "--output" in done.output
