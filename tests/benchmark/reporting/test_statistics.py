from __future__ import annotations

import pytest

from oodbench.benchmark.reporting.statistics import Statistics
from tests.benchmark.made_up import row


def test_mean_over_classes_and_deviation_over_seeds() -> None:
    statistics = Statistics(row("vae", [0.8, 0.6]) + row("vae", [0.9, 0.9], seed=1))
    seeds = statistics.by_seed("mnist", "vae")
    assert seeds.to_dict() == pytest.approx({0: 0.7, 1: 0.9})
    assert list(statistics.by_class("mnist").loc["vae"]) == pytest.approx([0.85, 0.75])


def test_a_mean_needs_all_classes() -> None:
    statistics = Statistics(row("vae", [0.8, 0.6])[:1] + row("ae", [0.5, 0.5]))
    assert statistics.by_seed("mnist", "vae").empty
    assert statistics.classes_done("mnist", "vae") == 1
    assert statistics.ranked == ["ae"]
    assert statistics.detectors == ["ae", "vae"]


def test_a_seed_that_lacks_a_class_is_left_out_of_the_mean() -> None:
    statistics = Statistics(row("vae", [0.8, 0.6]) + row("vae", [1.0, 1.0], seed=1)[:1])
    assert statistics.by_seed("mnist", "vae").to_dict() == pytest.approx({0: 0.7})


def test_ranks_are_averaged_over_splits_of_all_datasets() -> None:
    statistics = Statistics(
        row("a", [0.9, 0.9])
        + row("b", [0.8, 0.9])
        + row("a", [0.5, 0.6, 0.7], "cifar10")
        + row("b", [0.6, 0.5, 0.6], "cifar10")
    )
    # on mnist a is first and then shares 1.5; on cifar10 it is 2, 1, 1
    assert statistics.average_rank == pytest.approx({"a": (1 + 1.5 + 2 + 1 + 1) / 5, "b": (2 + 1.5 + 1 + 2 + 2) / 5})
    assert statistics.detectors == ["a", "b"]
    assert statistics.datasets == ["mnist", "cifar10"]


def test_missing_on_one_dataset_is_not_ranked() -> None:
    statistics = Statistics(row("a", [0.9]) + row("b", [0.8]) + row("a", [0.5], "cifar10"))
    assert statistics.ranked == ["a"]


def test_changed_hyperparameters_are_a_row_of_their_own_and_not_ranked() -> None:
    statistics = Statistics(row("vae", [0.5, 0.6]) + row("vae", [0.9, 0.9], changes={"latent_size": 3}))
    assert statistics.detectors == ["vae", "vae@latent_size=3"]
    assert statistics.ranked == ["vae"]
    assert statistics.by_seed("mnist", "vae").to_dict() == pytest.approx({0: 0.55})


def test_oracle_epochs_are_averaged_over_the_traced_trials_only() -> None:
    traced = [
        {**one, "oracle": {"auroc": best, "epoch": 1, "last": one["auroc"]}}
        for one, best in zip(row("vae", [0.5, 0.75]), (0.7, 0.75), strict=True)
    ]
    found = Statistics([*traced, *row("vae", [0.9, 0.9], seed=1), *row("ae", [0.9, 0.9])]).oracle
    assert list(found.index) == [("vae", "mnist")]
    assert found.to_numpy().tolist() == [pytest.approx([0.625, 0.725, 2])]
    assert Statistics(row("ae", [0.9])).oracle.empty


def test_a_failed_trial_is_not_a_number() -> None:
    failed = {**row("vae", [0.0, 0.0])[1], "status": "failed", "error": "boom"}
    for key in ("auroc", "aupr_out", "aupr_in", "fpr95", "health"):
        del failed[key]
    statistics = Statistics([*row("vae", [0.8, 0.6])[:1], failed])
    assert statistics.failures("mnist", "vae") == {1}
    assert statistics.ranked == []
    assert list(statistics.by_class("mnist").loc["vae"].isna()) == [False, True]
