from __future__ import annotations

import pytest

from oodbench.benchmark.evaluation.measures import Oracle
from oodbench.benchmark.reporting.summary import Summary
from oodbench.benchmark.results.collection import Results
from oodbench.benchmark.results.result import TrialResult
from tests.benchmark.made_up import result, row


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
    assert made.ranking["mnist"].ranks == {"ae": 1}
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
    assert made.ranking["mnist"].ranks == {}


def test_overall_ranks_are_averaged_over_splits_of_the_benchmark_s_datasets() -> None:
    made = summary(
        row("a", [0.9, 0.9]),
        row("b", [0.8, 0.9]),
        row("a", [0.5, 0.6, 0.7], "cifar10"),
        row("b", [0.6, 0.5, 0.6], "cifar10"),
    )
    # on mnist a is first and then shares 1.5; on cifar10 it is 2, 1, 1
    assert made.overall is not None
    assert made.overall.ranks == pytest.approx({"a": (1 + 1.5 + 2 + 1 + 1) / 5, "b": (2 + 1.5 + 1 + 2 + 2) / 5})
    assert made.ranking["mnist"].ranks == pytest.approx({"a": 1.25, "b": 1.75})
    assert made.ranking["cifar10"].ranks == pytest.approx({"a": 4 / 3, "b": 5 / 3})
    assert made.detectors == ["a", "b"]
    assert made.datasets == ["mnist", "cifar10"]


def test_a_dataset_that_a_detector_lacks_takes_nothing_from_anybody() -> None:
    """Neither from those that lack it, nor from the figures of the other datasets."""
    own = [one for dataset in ("mnist", "cifar10") for name in ("a", "b", "c") for one in row(name, [0.9], dataset)]
    before = summary(own)
    after = summary(own, row("a", [0.9, 0.8], "digits"), row("d", [0.8, 0.9], "digits"), row("d", [0.99]))
    assert before.overall is not None
    assert after.overall is not None
    assert after.overall.ranks == before.overall.ranks
    assert after.ranking["cifar10"].ranks == before.ranking["cifar10"].ranks
    assert after.ranking["digits"].ranks == {"a": 1.5, "d": 1.5}
    assert after.ranking["mnist"].ranks == {"d": 1.0, "a": 3.0, "b": 3.0, "c": 3.0}  # which it was run on
    assert after.detectors == ["a", "b", "c", "d"]
    assert after.datasets == ["mnist", "cifar10", "digits"]


def test_without_the_benchmark_s_datasets_there_is_no_overall_ranking() -> None:
    assert summary(row("a", [0.9]), row("b", [0.8])).overall is None
    both = summary(row("a", [0.9]), row("b", [0.8]), row("a", [0.5], "cifar10"))
    assert both.overall is None  # of one detector alone
    assert both.ranking["mnist"].ranks == {"a": 1, "b": 2}


def test_changed_hyperparameters_are_a_row_of_their_own_and_not_ranked() -> None:
    made = summary(row("vae", [0.5, 0.6]), row("vae", [0.9, 0.9], changes={"latent_size": 3}))
    assert made.detectors == ["vae", "vae@latent_size=3"]
    assert made.ranking["mnist"].ranks == {"vae": 1}
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
    assert made.ranking["mnist"].ranks == {}
    assert list(made.by_class("mnist").loc["vae"].isna()) == [False, True]
