from __future__ import annotations

from typing import Any

from oodbench.benchmark.evaluation.measures import GENERATION, Generation, Oracle
from oodbench.benchmark.reporting import tables
from oodbench.benchmark.reporting.page import render
from oodbench.benchmark.reporting.summary import Summary
from oodbench.benchmark.results.collection import Results
from oodbench.benchmark.results.result import TrialResult
from tests.benchmark.made_up import result, row


def summary(*rows: list[TrialResult], problems: list[str] | None = None) -> Summary:
    return Summary(Results((one for results in rows for one in results), problems or []))


def page_of(*rows: list[TrialResult]) -> str:
    return render(summary(*rows))


def cells(table: object, detector: str) -> list[str]:
    (line,) = (line for line in str(table).splitlines() if f" {detector} " in line and line.startswith("|"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def named(table: object, detector: str) -> dict[str, str]:
    """The cells of a row by the titles of the columns."""
    header = next(line for line in str(table).splitlines() if line.startswith("|"))
    return dict(zip((cell.strip() for cell in header.strip("|").split("|")), cells(table, detector), strict=True))


def generated(frechet: float) -> dict[str, Any]:
    return dict.fromkeys(GENERATION, 0.5) | {"frechet": frechet}


def measured(detector: str, aurocs: list[float], frechet: float, dataset: str = "mnist") -> list[TrialResult]:
    """A row with samples."""
    controls = {"replay": Generation(**generated(0.25)), "noise": Generation(**generated(50))}
    return row(detector, aurocs, dataset, classifier="abc", controls=controls, **generated(frechet))


def ranked(detector: str, gap: float, dataset: str = "mnist") -> list[TrialResult]:
    """Eight splits, with samples."""
    more: dict[str, Any] = {"classifier": "abc", "controls": {"replay": Generation(**generated(0.25))}}
    return [
        result(dataset, detector, k, auroc=0.9 - gap - 0.01 * k, classes=8, **more, **generated(1 + 5 * gap + 0.01 * k))
        for k in range(8)
    ]


RESULTS = [
    *(row("vae", [0.9, 0.75]) + row("vae", [0.9, 0.85], seed=1)),
    *(row("ae", [0.5, 0.8]) + row("ae", [0.5, 0.8], seed=1)),
]


def test_headline() -> None:
    table = tables.headline(summary(RESULTS))
    # the second class is a tie, so that its ranks are shared
    assert cells(table, "vae") == ["1", "vae", "0.850 ± 0.035", "1.25", "10 s", "yes"]
    assert cells(table, "ae")[:4] == ["2", "ae", "0.650 ± 0.000", "1.75"]


def test_each_dataset_has_a_table_of_its_own() -> None:
    own = [row(name, [auroc], data) for name, auroc in (("a", 0.9), ("b", 0.8)) for data in ("mnist", "cifar10")]
    before = tables.headline(summary(*own))
    after = tables.headline(summary(*own, row("b", [0.7], "digits"), row("c", [0.6], "digits")))
    assert after.startswith(before)
    assert before.count("**mnist**\n\n|") == before.count("**cifar10**\n\n|") == 1
    digits = after.removeprefix(before)
    assert (named(digits, "b")["rank"], named(digits, "c")["rank"]) == ("1.00", "2.00")
    assert " a " not in digits


def test_a_dataset_changes_no_section_of_another() -> None:
    own = [ranked(name, gap, data) for name, gap in (("a", 0.0), ("b", 0.1)) for data in ("mnist", "cifar10")]
    before, after = page_of(*own), page_of(*own, ranked("b", 0.0, "digits"), ranked("c", 0.1, "digits"))
    for start, end in (("## mnist", "## cifar10"), ("**mnist**", "**cifar10**")):
        assert before.partition(start)[2].partition(end)[0] == after.partition(start)[2].partition(end)[0]


def test_detectors_with_extra_data_have_a_table_of_their_own() -> None:
    made = summary(
        row("knn", [0.9, 0.8]),
        row("vae", [0.8, 0.9]),
        row("net", [0.99, 0.98], extra_data="ImageNet"),
        row("net", [0.99, 0.99], changes={"k": 3}, extra_data="ImageNet"),
    )
    own, extra = tables.ranked(made, "mnist").values()
    assert "extra data" not in own.header
    assert list(tables.ranked(made, "mnist")) == ["mnist", "mnist, with extra data (ranked among themselves)"]
    assert [row[:2] for row in own.rows] == [("1", "knn"), ("2", "vae")]
    assert [row[:5] for row in extra.rows] == [
        ("1", "net", "ImageNet", "0.985", "1.00"),
        ("—", "net@k=3", "ImageNet", "0.990", "—"),
    ]
    assert cells(tables.by_class(made, "mnist"), "knn")[1] == "**0.900**"  # best of its kind
    page = render(made)
    assert "they are ranked among themselves" in page
    assert "net@k=3" not in tables.readme_table(made)
    assert "extra data" not in page_of(RESULTS)


def test_changed_rows_stand_beside_the_unchanged_one() -> None:
    """Over the classes that both have; a changed row without its base is left out."""
    plain = measured("memae", [0.9, 0.8], 2.0)
    without = [
        one.model_copy(update={"label": "memae@memory=false", "changes": {"memory": False}})
        for one in measured("memae", [0.7, 0.8], 3.5)
    ]
    made = summary(plain, without[:1], row("vae", [0.9, 0.9], changes={"beta": 2}))
    assert tables.ablations(made, "mnist").rows == [
        ["memae", "0.850", "", "2.00", ""],
        ["memae@memory=false", "0.700 (1 of 2)", "-0.200", "3.50 (1 of 2)", "+1.50"],
    ]
    assert "**Ablations on the test part**" in render(made)
    assert "**Ablations" not in page_of(RESULTS)
    digits = summary(row("a", [0.9], "digits"), row("a", [0.8], "digits", changes={"k": 1}))
    assert tables.ablations(digits, "digits").rows[1] == ["a@k=1", "0.800", "-0.100"]


def test_samples_have_a_rank_or_the_page_says_why_not() -> None:
    page = page_of(measured("a", [0.9], 2.0), measured("a", [0.9], 2.0, "cifar10"))
    mnist, _, cifar10 = page.partition("## cifar10")
    assert "Rank: by Fréchet distance" in mnist
    assert "Not ranked: the samples of all methods lie far" in cifar10
    of_mnist, of_cifar10 = (named(part.partition("**Generation**")[2], "a") for part in (mnist, cifar10))
    assert of_mnist.pop("rank") == "1.00"
    assert of_mnist == of_cifar10


def test_best_of_each_column_is_bold() -> None:
    table = tables.by_class(summary(row("vae", [0.9, 0.75]), row("ae", [0.5, 0.8])), "mnist")
    assert cells(table, "vae") == ["vae", "**0.900**", "0.750", "0.825"]
    assert cells(table, "ae") == ["ae", "0.500", "**0.800**", "0.650"]


def test_the_best_with_extra_data_is_the_best_of_its_kind() -> None:
    rows = [row("vae", [0.9, 0.75]), row("ae", [0.5, 0.8]), row("pretrained", [0.95, 0.7], extra_data="ImageNet")]
    table = tables.by_class(summary(*rows), "mnist")
    assert cells(table, "vae") == ["vae", "**0.900**", "0.750", "0.825"]
    assert cells(table, "pretrained") == ["pretrained", "0.950", "0.700", "0.825"]  # the only one


def test_an_incomplete_row_shows_what_was_measured_and_is_not_ranked() -> None:
    made = summary(row("vae", [0.99, 0.97, 0.99])[:2], row("ae", [0.5, 0.5, 0.5]))
    assert cells(tables.headline(made), "vae")[:4] == ["—", "vae", "0.980 (2 of 3)", "—"]
    assert cells(tables.headline(made), "ae")[:4] == ["1", "ae", "0.500", "1.00"]
    assert cells(tables.by_class(made, "mnist"), "vae") == ["vae", "**0.990**", "**0.970**", "—", "0.980 (2 of 3)"]
    assert "A figure marked *(n of m)*" in render(made)
    assert "A figure marked *(n of m)*" not in page_of(row("ae", [0.5, 0.5]))


def test_a_page_of_one_class_shows_its_figures() -> None:
    page = render(summary(measured("vae", [0.95] * 10, 3.0)[3:4], measured("ae", [0.96] * 10, 2.0)[3:4]))
    headline, _, section = page.partition("## mnist")
    row_of_vae = named(headline, "vae")
    assert row_of_vae["AUROC"] == "0.950 (1 of 10)"
    assert row_of_vae["Fréchet"] == "3.00 (1 of 10)"
    assert (row_of_vae["fit"], row_of_vae["rank"], row_of_vae[""]) == ("10 s", "—", "—")
    assert headline.index(" ae ") < headline.index(" vae ")
    measures, _, generation = section.partition("**Generation**")
    assert cells(measures.partition("FPR@95TPR")[2], "vae (1 of 10)")[3] == "0.250"
    assert named(generation, "vae (1 of 10)")["Fréchet distance"] == "3.000"


def test_a_failed_trial_is_a_visible_cell_with_its_cause_and_its_command() -> None:
    failed = result("mnist", "vae", 1, classes=2, status="failed", error="FitDivergedError: the loss\nwas nan")
    page = page_of(row("vae", [0.9, 0.9])[:1], [failed])
    assert "| 0.900 | failed |" in page.replace("   ", " ").replace("  ", " ")
    assert (
        "- mnist, normal class 1, vae, seed 0: FitDivergedError: the loss was nan. Run it again: "
        "`bench run --dataset mnist --class 1 --detector vae --seed 0`\n" in page
    )
    assert named(tables.headline(summary([failed])), "vae")["AUROC"] == "failed"


def test_an_unhealthy_model_is_marked() -> None:
    phrase = "50% of the queries find no memory slot"
    unhealthy = row("memae", [0.6, 0.6], diagnostics={"dead_queries": 0.5}, unhealthy=(phrase,))
    page = page_of(unhealthy[:1], row("memae", [0.6, 0.6], diagnostics={"dead_queries": 0.0})[1:])
    assert "0.600 ⚠" in page
    assert f"- ⚠ mnist, normal class 0, memae, seed 0: {phrase}\n" in page
    assert "2 models report diagnostics of their own training; 1 of them is unhealthy." in page
    assert cells(page.partition("Means over classes and seeds:")[2], "memae") == ["memae", "mnist", "0.25"]


def test_a_slow_seed_does_not_move_the_time_of_a_fit() -> None:
    rows = [row("vae", [0.9, 0.8], seed=seed, fit_seconds=seconds) for seed, seconds in enumerate([4.0, 90.0, 6.0])]
    assert named(tables.headline(summary(*rows)), "vae")["fit"] == "6.0 s"


def test_mixed_code_versions_are_said() -> None:
    mixed = row("vae", [0.9, 0.9])[:1] + row("vae", [0.9, 0.9], fingerprint="other")[1:]
    assert "results of vae were computed by different versions of the code" in page_of(mixed)
    assert "Mixed" not in page_of(row("vae", [0.9, 0.9]))


def test_generation_has_its_deviation_over_seeds() -> None:
    seeds = [one.model_copy(update={"seed": s, **generated(1.0 + s)}) for s in (0, 1) for one in ranked("a", 0.0)]
    page = page_of(seeds)
    assert "1.50 ± 0.71" in page  # the headline
    assert "1.500 ± 0.707" in page  # the table of all measures


def test_what_the_threshold_achieves_is_shown() -> None:
    table = tables.measures(summary(row("vae", [0.9, 0.9], normal_kept=0.94, ood_caught=0.71)), "mnist")
    assert cells(table, "vae")[4:6] == ["0.940", "0.710"]
    without = tables.measures(summary(row("vae", [0.9, 0.9], normal_kept=None, ood_caught=None)), "mnist")
    assert cells(without, "vae")[4:6] == ["—", "—"]


def test_generation_is_sorted_and_stands_beside_its_controls() -> None:
    page = page_of(
        measured("vae", [0.9, 0.8], 3), measured("ae", [0.5, 0.5], 2), row("rotnet", [0.9, 0.9], can_sample=False)
    )
    table = page.partition("(weights abc)")[2].partition("## ")[0]
    names = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")][2:]
    assert names == ["ae", "vae", "*training images, replayed*", "*Gaussian noise, pixel by pixel*"]
    assert cells(table, "vae")[1:3] == ["2.00", "3.000"]
    assert cells(table, "*training images, replayed*")[1:3] == ["—", "0.250"]
    headline = page.partition("## mnist")[0]
    assert named(headline, "vae")["Fréchet"] == "3.00"
    assert cells(headline, "rotnet")[-1] == "—"


def test_what_was_not_measured_is_not_shown() -> None:
    page = page_of(row("vae", [0.9, 0.8]))
    assert "**Generation**" not in page
    assert "Fréchet" not in page


def test_the_oracle_epoch_is_shown_apart_and_changes_no_rank() -> None:
    traced = [
        one.model_copy(update={"oracle": Oracle(auroc=one.auroc + gain, epoch=2, last=one.auroc)})
        for one, gain in zip(row("ae", [0.5, 0.7]), (0.4, 0.2), strict=True)
    ]
    others = row("vae", [0.8, 0.8]) + row("ae", [0.5, 0.6], "cifar10")
    page = page_of(traced, others)
    section = page.partition("## Oracle epoch")[2].partition("## ")[0]
    assert cells(section, "ae") == ["ae", "mnist", "0.600", "0.900", "+0.300", "2"]
    assert "it is not ranked" in section
    assert page.replace(f"## Oracle epoch{section}", "") == page_of(row("ae", [0.5, 0.7]), others)


def test_the_page_says_of_which_protocol_it_is() -> None:
    default, memae = page_of(row("vae", [0.9, 0.8])), page_of(row("vae", [0.9, 0.8], protocol="memae"))
    assert (
        "# Leaderboard\n\nOut-of-distribution detection, one-vs-rest: a detector is trained on one class (90 %"
        in default
    )
    assert "protocol memae" not in default
    assert "**protocol memae**" in memae
    assert "30 % of the test images" in memae
    assert "bench run --dataset mnist --detector vae --protocol memae\n" in memae
    assert "`bench leaderboard --protocol memae` makes this page" in memae
    assert "they are shown but not measured, because" in memae
    assert "Fréchet" not in memae


def test_the_page_says_which_detectors_have_fewer_seeds() -> None:
    results = [*row("vae", [0.9, 0.8]), *row("vae", [0.8, 0.9], seed=1), *row("mean", [0.6, 0.7])]
    page = page_of(results)
    assert "AUROC by normal class, mean over 2 seeds (`mean` over 1)" in page
    assert "--seeds 2\n" in page
    assert "(some detectors with fewer seeds" in page
    assert "(some detectors with fewer seeds" not in page_of(results[:4])
    once = [*row("ae", [0.6, 0.7]), *row("pca", [0.6, 0.7])]
    assert "AUROC by normal class, of one seed (`vae` over 2)" in page_of([*results, *once])


def test_files_that_were_left_out_are_listed_last() -> None:
    page = render(summary(row("vae", [0.9]), problems=["results/mnist/vae/x.json is\nno result."]))
    assert page.endswith("## Results left out\n\n- results/mnist/vae/x.json is no result.\n")
    assert "Results left out" not in page_of(row("vae", [0.9]))


def test_names_with_bars_break_no_table() -> None:
    page = page_of(row("vae", [0.9, 0.8], changes={"prior": "a|b"}, command="bench run"))
    lines = [line for line in page.splitlines() if "a\\|b" in line]
    assert lines
    assert not [line for line in page.splitlines() if line.startswith("|") and "a|b" in line]


def test_probes_are_a_table_and_mark_who_takes_noise_for_normal() -> None:
    fooled = [*row("a", [0.9], probes={"noise": 0.5, "mnist": 0.25}), *row("a", [0.9], seed=1, probes={"noise": 0.7})]
    found = summary(fooled, row("b", [0.8], probes={"noise": 0.9}), row("c", [0.7]))
    table = tables.probes(found, "mnist")
    assert table.header == ["detector", "noise", "mnist"]
    assert [cells(table, name) for name in "abc"] == [
        ["a †", "**0.600**", "**0.250**"],
        ["b", "0.900", "—"],
        ["c", "—", "—"],
    ]
    (top,) = tables.ranked(found, "mnist").values()
    assert [named(top, name)["AUROC"][-1] for name in "abc"] == ["†", "0", "0"]
    page = render(found)
    assert "† takes noise for normal: the mean AUROC of normal test images against uniform noise is under 0.9." in page
    assert "† takes noise for normal" in tables.readme_table(found)
    honest = row("b", [0.8], probes={"noise": 0.9})
    assert "†" not in page_of(honest) + tables.readme_table(summary(honest))
    assert "Probes" not in page_of(row("c", [0.7]))
