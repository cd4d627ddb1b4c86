from __future__ import annotations

import math

import pytest

from oodbench.benchmark.evaluation.measures import Oracle
from oodbench.benchmark.reporting.summary import Summary
from oodbench.benchmark.results.collection import Results
from oodbench.benchmark.results.result import TrialResult
from tests.benchmark.made_up import result, row

DATASETS = ("mnist", "cifar10", "folder:x")


def summary(*rows: list[TrialResult]) -> Summary:
    return Summary(Results(one for results in rows for one in results))


def test_mean_over_classes_and_deviation_over_seeds() -> None:
    made = summary(row("vae", [0.8, 0.6]), row("vae", [0.9, 0.9], seed=1))
    mean = made.mean("mnist", "vae")
    assert mean is not None
    assert mean.seeds == pytest.approx((0.7, 0.9))
    assert [mean.value, mean.deviation] == pytest.approx([0.8, 0.02**0.5])
    assert mean.complete
    assert list(made.by_class("mnist").loc["vae"]) == pytest.approx([0.85, 0.75])


def test_a_row_that_lacks_classes_is_not_ranked_and_its_mean_says_so() -> None:
    made = summary(row("vae", [0.8, 0.6, 0.5])[:2], row("ae", [0.5, 0.5, 0.5]))
    mean = made.mean("mnist", "vae")
    assert mean is not None
    assert mean.value == pytest.approx(0.7)
    assert (mean.classes, mean.of, mean.complete) == (2, 3, False)
    assert made.mean("mnist", "vae", "frechet") is None
    assert made.ranks["mnist"] == {"ae": 1}
    assert made.detectors == made.detectors_on("mnist") == ["ae", "vae"]


def test_a_seed_that_lacks_a_class_is_left_out_of_the_mean() -> None:
    mean = summary(row("vae", [0.8, 0.6]), row("vae", [1.0, 1.0], seed=1)[:1]).mean("mnist", "vae")
    assert mean is not None
    assert mean.seeds == pytest.approx((0.7,))


def test_one_class_of_several_seeds_has_a_deviation() -> None:
    mean = summary(row("vae", [0.8, 0.6])[:1], row("vae", [0.9, 0.6], seed=1)[:1]).mean("mnist", "vae")
    assert mean is not None
    assert mean.seeds == pytest.approx((0.8, 0.9))
    assert mean.classes == 1


def test_classes_of_different_seeds_make_no_complete_row() -> None:
    made = summary(row("vae", [0.8, 0.6])[:1], row("vae", [0.9, 0.5], seed=1)[1:])
    mean = made.mean("mnist", "vae")
    assert mean is not None
    assert mean.seeds == pytest.approx((0.65,))
    assert (mean.classes, mean.complete) == (2, False)
    assert made.ranks["mnist"] == {}


def test_ranks_are_averaged_over_the_splits_of_each_dataset() -> None:
    made = summary(
        row("a", [0.9, 0.9]),
        row("b", [0.8, 0.9]),
        row("a", [0.5, 0.6, 0.7], "cifar10"),
        row("b", [0.6, 0.5, 0.6], "cifar10"),
    )
    # on mnist a is first and then shares 1.5; on cifar10 it is 2, 1, 1
    assert made.ranks["mnist"] == pytest.approx({"a": 1.25, "b": 1.75})
    assert made.ranks["cifar10"] == pytest.approx({"a": 4 / 3, "b": 5 / 3})
    assert made.detectors == ["a", "b"]
    assert made.datasets == ["mnist", "cifar10"]


def test_a_dataset_that_a_detector_lacks_takes_nothing_from_anybody() -> None:
    """Neither from those that lack it, nor from the figures of the other datasets."""
    own = [one for dataset in ("mnist", "cifar10") for name in ("a", "b", "c") for one in row(name, [0.9], dataset)]
    before = summary(own)
    after = summary(own, row("a", [0.9, 0.8], "digits"), row("d", [0.8, 0.9], "digits"), row("d", [0.99]))
    assert after.ranks["cifar10"] == before.ranks["cifar10"]
    assert after.ranks["digits"] == {"a": 1.5, "d": 1.5}
    assert after.ranks["mnist"] == {"d": 1.0, "a": 3.0, "b": 3.0, "c": 3.0}  # which it was run on
    assert after.detectors == ["d", "a", "b", "c"]
    assert after.datasets == ["mnist", "cifar10", "digits"]


def test_detectors_with_extra_data_are_ranked_among_themselves_below_the_others() -> None:
    made = summary(
        row("a", [0.7, 0.7]),
        row("b", [0.8, 0.6]),
        row("b", [0.9, 0.9], changes={"k": 1}),
        row("big", [0.99, 0.97], extra_data="ImageNet", frechet=1.0),
        row("huge", [0.98, 0.99], extra_data="ImageNet", frechet=2.0),
        row("worse", [0.6, 0.6], extra_data="photographs"),
    )
    assert made.ranks["mnist"] == {"a": 1.5, "b": 1.5, "big": 1.5, "huge": 1.5, "worse": 3.0}
    assert made.detectors_on("mnist") == ["a", "b", "b@k=1", "huge", "big", "worse"]
    assert made.generation_ranks["mnist"] == {"big": 1, "huge": 2}
    assert made.extra_data == {"big": "ImageNet", "huge": "ImageNet", "worse": "photographs"}


def test_samples_are_ranked_where_the_features_are_good_enough() -> None:
    own = [row(name, [0.9, 0.8], data, frechet=far) for name, far in (("a", 2.0), ("b", 1.0)) for data in DATASETS]
    made = summary(*own)
    assert made.generation_ranks == {"mnist": {"b": 1, "a": 2}, "cifar10": {}, "folder:x": {"b": 1, "a": 2}}
    assert "small classifier" in made.generation_unranked["cifar10"]
    assert summary(row("a", [0.9], "cifar10")).generation_unranked == {"cifar10": ""}  # nothing was generated


def test_a_difference_is_over_the_classes_that_both_have() -> None:
    made = summary(row("a", [0.9, 0.7, 0.5]), row("b", [0.8, 0.7, 0.9])[:2], row("c", [0.1, 0.1, 0.1])[2:])
    assert made.difference("mnist", "b", "a") == pytest.approx(-0.05)
    assert math.isnan(made.difference("mnist", "b", "c"))
    assert math.isnan(made.difference("mnist", "b", "a", "frechet"))


def test_changed_hyperparameters_are_a_row_of_their_own_and_not_ranked() -> None:
    made = summary(row("vae", [0.5, 0.6]), row("vae", [0.9, 0.9], changes={"latent_size": 3}))
    assert made.detectors == ["vae", "vae@latent_size=3"]
    assert made.ranks["mnist"] == {"vae": 1}
    mean = made.mean("mnist", "vae")
    assert mean is not None
    assert mean.value == pytest.approx(0.55)


def test_oracle_epochs_are_averaged_over_the_traced_trials_only() -> None:
    traced = [
        result("mnist", "vae", k, auroc=auroc, classes=2, oracle=Oracle(auroc=best, epoch=1, last=auroc))
        for k, (auroc, best) in enumerate([(0.5, 0.7), (0.75, 0.75)])
    ]
    found = summary(traced, row("vae", [0.9, 0.9], seed=1), row("ae", [0.9, 0.9])).oracle
    assert list(found.index) == [("vae", "mnist")]
    assert found.to_numpy().tolist() == [pytest.approx([0.625, 0.725, 2])]
    assert summary(row("ae", [0.9])).oracle.empty


def test_a_failed_trial_is_not_a_number() -> None:
    failed = result("mnist", "vae", 1, classes=2, status="failed", error="boom")
    made = summary(row("vae", [0.8, 0.6])[:1], [failed])
    assert made.failed("mnist", "vae") == {1}
    assert made.ranks["mnist"] == {}
    assert list(made.by_class("mnist").loc["vae"].isna()) == [False, True]
