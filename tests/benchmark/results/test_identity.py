from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.identity import Identity, identity_of
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.trials import Trial
from tests.benchmark.made_up import result
from tests.conftest import REPOSITORY

IDENTITY = Identity("abc", "r1", "def", {"channels": [16, 32], "epochs": 3})


@pytest.mark.parametrize(
    "changed", [{}, {"fingerprint": "x"}, {"data_version": ""}, {"classifier": None}, {"hyperparameters": {}}]
)
def test_a_result_matches_unless_something_changed(changed: dict[str, Any]) -> None:
    stored = result(
        fingerprint="abc", data_version="r1", classifier="def", hyperparameters={"channels": [16, 32], "epochs": 3}
    )
    assert IDENTITY.matches(stored)
    assert replace(IDENTITY, **changed).matches(stored) == (not changed)


def test_identity_of_a_trial(plugins: Plugins) -> None:
    identity = identity_of(Trial("digits", "vae", 3, 0, (("epochs", 3),)), plugins)
    assert identity.fingerprint is not None
    assert len(identity.fingerprint) == 12
    assert identity.hyperparameters is not None
    assert identity.hyperparameters["epochs"] == 3
    assert isinstance(identity.hyperparameters["channels"], list)  # as it is read from a file


def test_samples_are_measured_by_a_classifier_unless_it_was_trained_on_the_images_tested(plugins: Plugins) -> None:
    assert identity_of(Trial("mnist", "gmm", 3, 0), plugins).classifier is not None
    assert identity_of(Trial("mnist", "knn", 3, 0), plugins).classifier is None  # does not sample
    assert identity_of(Trial("mnist", "gmm", 3, 0, protocol="memae"), plugins).classifier is None


@pytest.mark.parametrize("protocol", ["deep-svdd", "memae"])
def test_the_committed_results_are_of_today_s_code_wherever_the_checkout_lies(plugins: Plugins, protocol: str) -> None:
    results = Store.at(REPOSITORY / "leaderboard", protocol).read_all()
    one_each = {(one.dataset, one.label): one for one in results}.values()
    assert [one.name for one in one_each if not identity_of(one.trial, plugins).matches(one)] == []
