from __future__ import annotations

from typing import Any

import pytest

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
    """Eight splits, enough to tell three detectors apart, with samples."""
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


def test_each_dataset_has_columns_of_its_own() -> None:
    own = [row(name, [auroc], data) for name, auroc in (("a", 0.9), ("b", 0.8)) for data in ("mnist", "cifar10")]
    before = tables.headline(summary(*own))
    table = tables.headline(summary(*own, row("b", [0.7], "digits"), row("c", [0.6], "digits")))
    assert [name for name in table.header if name.endswith(("AUROC", "rank"))] == [
        *("mnist AUROC", "mnist rank", "cifar10 AUROC", "cifar10 rank", "digits AUROC", "digits rank", "average rank")
    ]
    for detector in ("a", "b"):
        assert named(before, detector).items() <= named(table, detector).items()
    assert named(table, "a")["digits AUROC"] == named(table, "a")["digits rank"] == "—"
    assert named(table, "b")["digits rank"] == "1.00"
    of_digits_alone = named(table, "c")
    assert (of_digits_alone[""], of_digits_alone["digits rank"], of_digits_alone["average rank"]) == ("—", "2.00", "—")


def test_a_dataset_changes_no_section_of_another() -> None:
    own = [ranked(name, gap, data) for name, gap in (("a", 0.0), ("b", 0.1)) for data in ("mnist", "cifar10")]
    before, after = page_of(*own), page_of(*own, ranked("b", 0.0, "digits"), ranked("c", 0.1, "digits"))
    for start, end in (("## mnist", "## cifar10"), ("Which differences", "Each AUROC")):
        assert before.partition(start)[2].partition(end)[0] == after.partition(start)[2].partition(end)[0]
    assert "over the 8 splits" in after.partition("## digits")[2]  # which is compared for itself
    assert "Which differences" not in after.partition("## mnist")[2].partition("## digits")[0]


def test_best_of_each_column_is_bold() -> None:
    table = tables.by_class(summary(row("vae", [0.9, 0.75]), row("ae", [0.5, 0.8])), "mnist")
    assert cells(table, "vae") == ["vae", "**0.900**", "0.750", "0.825"]
    assert cells(table, "ae") == ["ae", "0.500", "**0.800**", "0.650"]


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
    assert row_of_vae["mnist AUROC"] == "0.950 (1 of 10)"
    assert row_of_vae["mnist Fréchet"] == "3.00 (1 of 10)"
    assert (row_of_vae["mnist fit"], row_of_vae["mnist rank"], row_of_vae[""]) == ("10 s", "—", "—")
    assert headline.index(" ae ") < headline.index(" vae ")
    measures, _, generation = section.partition("**Generation**")
    assert cells(measures.partition("FPR@95TPR")[2], "vae (1 of 10)")[3] == "0.250"
    assert cells(generation, "vae (1 of 10)")[1:3] == ["—", "3.000"]


def test_a_failed_trial_is_a_visible_cell_with_its_cause_and_its_command() -> None:
    failed = result("mnist", "vae", 1, classes=2, status="failed", error="FitDivergedError: the loss\nwas nan")
    page = page_of(row("vae", [0.9, 0.9])[:1], [failed])
    assert "| 0.900 | failed |" in page.replace("   ", " ").replace("  ", " ")
    assert (
        "- mnist, normal class 1, vae, seed 0: FitDivergedError: the loss was nan. Run it again: "
        "`bench run --dataset mnist --class 1 --detector vae --seed 0`\n" in page
    )
    assert named(tables.headline(summary([failed])), "vae")["mnist AUROC"] == "failed"


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
    assert named(tables.headline(summary(*rows)), "vae")["mnist fit"] == "6.0 s"


def test_mixed_code_versions_are_said() -> None:
    mixed = row("vae", [0.9, 0.9])[:1] + row("vae", [0.9, 0.9], fingerprint="other")[1:]
    assert "results of vae were computed by different versions of the code" in page_of(mixed)
    assert "Mixed" not in page_of(row("vae", [0.9, 0.9]))


@pytest.mark.parametrize("dataset", ["mnist", "digits"])
def test_both_sides_are_tested(dataset: str) -> None:
    page = page_of(*(ranked(name, gap, dataset) for name, gap in (("a", 0.0), ("b", 0.1), ("c", 0.2))))
    both = page.partition("Which differences are more than chance?")[2]
    assert both.count("- All differences between detectors are significant.") == 2
    assert "The same for generation" in both
    alike = page_of(*(ranked(name, gap, dataset) for name, gap in (("a", 0.0), ("b", 0.1), ("c", 0.1))))
    assert alike.count("- `b` is not significantly better than `c`.") == 2


def test_generation_has_its_deviation_over_seeds() -> None:
    seeds = [one.model_copy(update={"seed": s, **generated(1.0 + s)}) for s in (0, 1) for one in ranked("a", 0.0)]
    page = page_of(seeds)
    assert "1.50 ± 0.71" in page  # the headline
    assert "1.500 ± 0.707" in page  # the table of all measures


def test_one_sees_at_once_whether_training_longer_pays() -> None:
    page = page_of(
        row("pca", [0.9, 0.8], fit_seconds=1.0),
        row("mean", [0.5, 0.6], fit_seconds=0.1),
        row("vae", [0.9, 0.9], fit_seconds=20.0),
        row("ae", [0.8, 0.7], fit_seconds=30.0),
    )
    assert (
        "- mnist: the best method that fits in under 5 s is `pca` (0.850 in 1.0 s). Slower and better: `vae`. "
        "Slower and no better: `ae`."
    ) in page
    assert "Does longer training pay?" not in page_of(row("vae", [0.9, 0.9]))


def test_what_the_threshold_achieves_is_shown() -> None:
    table = tables.measures(summary(row("vae", [0.9, 0.9], normal_kept=0.94, ood_caught=0.71)), "mnist")
    assert cells(table, "vae")[4:6] == ["0.940", "0.710"]
    without = tables.measures(summary(row("vae", [0.9, 0.9], normal_kept=None, ood_caught=None)), "mnist")
    assert cells(without, "vae")[4:6] == ["—", "—"]


def test_generation_is_sorted_and_stands_beside_its_controls() -> None:
    page = page_of(
        measured("vae", [0.9, 0.8], 3), measured("ae", [0.5, 0.5], 2), row("geotrans", [0.9, 0.9], can_sample=False)
    )
    table = page.partition("(weights abc)")[2].partition("## ")[0]
    names = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")][2:]
    assert names == ["ae", "vae", "*training images, replayed*", "*Gaussian noise, pixel by pixel*"]
    assert cells(table, "vae")[1:3] == ["2.00", "3.000"]
    assert cells(table, "*training images, replayed*")[1:3] == ["—", "0.250"]
    headline = page.partition("## mnist")[0]
    assert named(headline, "vae")["mnist Fréchet"] == "3.00"
    assert cells(headline, "geotrans")[-2:] == ["—", "—"]


def test_what_was_not_measured_is_not_shown() -> None:
    page = page_of(row("vae", [0.9, 0.8]))
    assert "**Generation**" not in page
    assert "mnist Fréchet" not in page


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


def test_words_on_what_is_not_significant() -> None:
    """Two that differ by chance, and one that is always worse."""
    places = [0.9 + 0.001 * (-1) ** k * k for k in range(10)]
    worse = [value - 0.3 - 0.01 * k for k, value in enumerate(places)]
    page = page_of(row("ae", places), row("vae", places[::-1]), row("mean", worse))
    assert "over the 10 splits, with Holm's correction for 3 pairs, at 5%" in page
    sentences = [line for line in page.splitlines() if "is not significantly better than" in line]
    assert sentences in (
        ["- `ae` is not significantly better than `vae`."],
        ["- `vae` is not significantly better than `ae`."],
    )
    assert "correction for 1 pair, at" in page_of(row("ae", places), row("mean", worse))
    page = page_of(row("ae", [0.9] * 3), row("vae", [0.8] * 3))
    assert "3 splits are too few to tell for 2 detectors" in page
    assert "more than chance" not in page_of(row("ae", [0.9] * 3))


def test_the_page_says_which_detectors_have_fewer_seeds() -> None:
    results = [*row("vae", [0.9, 0.8]), *row("vae", [0.8, 0.9], seed=1), *row("mean", [0.6, 0.7])]
    page = page_of(results)
    assert "AUROC by normal class, mean over 2 seeds (`mean` over 1)" in page
    assert "--seeds 2\n" in page
    assert "(some detectors with fewer seeds" in page
    assert "(some detectors with fewer seeds" not in page_of(results[:4])


def test_files_that_were_left_out_are_listed_last() -> None:
    page = render(summary(row("vae", [0.9]), problems=["results/mnist/vae/x.json is\nno result."]))
    assert page.endswith("## Results left out\n\n- results/mnist/vae/x.json is no result.\n")
    assert "Results left out" not in page_of(row("vae", [0.9]))


def test_names_with_bars_break_no_table() -> None:
    page = page_of(row("vae", [0.9, 0.8], changes={"prior": "a|b"}, command="bench run"))
    lines = [line for line in page.splitlines() if "a\\|b" in line]
    assert lines
    assert not [line for line in page.splitlines() if line.startswith("|") and "a|b" in line]


def test_the_table_at_the_end_of_a_run() -> None:
    made = summary(row("vae", [0.9, 0.8], "digits"), row("knn", [0.95, 0.9], "digits"), row("ae", [0.7, 0.7], "mnist"))
    table = tables.ranked_rows(Summary(made.results.select(dataset="digits")))
    assert table.header == ["", "detector", "digits AUROC", "digits rank", "digits fit"]
    assert [list(cells) for cells in table.rows] == [
        ["1", "knn", "0.925", "1.00", "10 s"],
        ["2", "vae", "0.850", "2.00", "10 s"],
    ]


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
    assert [named(tables.headline(found), name)["mnist AUROC"][-1] for name in "abc"] == ["†", "0", "0"]
    page = render(found)
    assert "† takes noise for normal: the mean AUROC of normal test images against uniform noise is under 0.9." in page
    assert "† takes noise for normal" in tables.readme_table(found)
    honest = row("b", [0.8], probes={"noise": 0.9})
    assert "†" not in page_of(honest) + tables.readme_table(summary(honest))
    assert "Probes" not in page_of(row("c", [0.7]))
