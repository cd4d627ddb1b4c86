"""The measuring instrument is as good as it is said to be, and can be made again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from oodbench.benchmark.evaluation import train_classifier
from oodbench.benchmark.evaluation.classifier import FEATURES, classifier_of, digest_of, path_of
from oodbench.benchmark.plugins import Plugins
from oodbench.datasets import as_float

NEEDED = {"digits": 0.97, "mnist": 0.99, "cifar10": 0.88}
"""Test accuracy."""


@pytest.mark.parametrize("dataset", NEEDED)
def test_the_weights_that_are_shipped(dataset: str) -> None:
    path = path_of(dataset)
    assert path.stat().st_size < 3e6
    with safe_open(path, "pt") as weights:
        assert float(weights.metadata()["test_accuracy"]) >= NEEDED[dataset]
        assert weights.metadata()["dataset"] == dataset


@pytest.mark.parametrize("dataset", NEEDED)
def test_they_are_as_good_as_they_say(dataset: str, plugins: Plugins, request: pytest.FixtureRequest) -> None:
    folder = Path() if dataset == "digits" else request.getfixturevalue("data_dir")
    part = plugins.datasets[dataset](folder).load("test")
    classifier = classifier_of(dataset)
    assert classifier is not None
    features, probabilities = classifier.look(as_float(part.images[:2000]))
    assert features.shape == (len(part.images[:2000]), FEATURES)
    assert probabilities.sum(1) == pytest.approx(1, abs=1e-4)
    right = (probabilities.argmax(1) == part.labels[:2000]).double().mean()
    assert right >= NEEDED[dataset] - 0.01  # of some of the test part


def test_it_is_trained_by_the_script(plugins: Plugins, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(train_classifier.EPOCHS, "digits", 12)
    dataset = plugins.datasets["digits"](Path())
    train, test = dataset.load("train"), dataset.load("test")
    state = torch.random.get_rng_state()
    network = train_classifier.train("digits", train.images, train.labels, 10)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert train_classifier.accuracy(network, test.images, test.labels) > 0.95


def test_a_digest_tells_weights_apart() -> None:
    digests = {digest_of(dataset) for dataset in NEEDED}
    assert len(digests) == 3
    assert digest_of("fashion-mnist") is None
    assert classifier_of("fashion-mnist") is None
