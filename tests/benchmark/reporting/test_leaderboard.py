from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.evaluation.metrics import GENERATION
from oodbench.benchmark.files import PARTIAL
from oodbench.benchmark.reporting import leaderboard
from oodbench.benchmark.reporting.statistics import Statistics
from oodbench.benchmark.results.store import Result, Store
from oodbench.benchmark.trials import Trial
from tests.benchmark.made_up import row


def stored(folder: Path, results: list[Result]) -> Store:
    store = Store.at(folder)
    for one in results:
        changes = tuple(sorted(one["changes"].items()))
        store.write(Trial(one["dataset"], one["detector"], one["normal_class"], one["seed"], changes), one)
    return store


def cells(table: str, detector: str) -> list[str]:
    (line,) = (line for line in table.splitlines() if f" {detector} " in line)
    return [cell.strip() for cell in line.strip("|").split("|")]


RESULTS = (
    row("vae", [0.9, 0.75]) + row("vae", [0.9, 0.85], seed=1) + row("ae", [0.5, 0.8]) + row("ae", [0.5, 0.8], seed=1)
)


def test_headline() -> None:
    table = leaderboard.headline_table(Statistics(RESULTS))
    # the second class is a tie, so that its ranks are shared
    assert cells(table, "vae") == ["1", "vae", "0.850 ± 0.035", "1.25", "10 s", "yes"]
    assert cells(table, "ae")[2] == "0.650 ± 0.000"


def test_best_of_each_column_is_bold() -> None:
    table = leaderboard.class_table(Statistics(row("vae", [0.9, 0.75]) + row("ae", [0.5, 0.8])), "mnist")
    assert cells(table, "vae") == ["vae", "**0.900**", "0.750", "0.825"]
    assert cells(table, "ae") == ["ae", "0.500", "**0.800**", "0.650"]


def test_an_incomplete_row_says_so_and_is_not_ranked() -> None:
    statistics = Statistics(row("vae", [0.99, 0.99, 0.99])[:2] + row("ae", [0.5, 0.5, 0.5]))
    assert cells(leaderboard.headline_table(statistics), "vae")[:3] == ["—", "vae", "2/3"]
    assert cells(leaderboard.headline_table(statistics), "ae")[:3] == ["1", "ae", "0.500"]
    assert cells(leaderboard.class_table(statistics, "mnist"), "vae") == ["vae", "**0.990**", "**0.990**", "—", "2/3"]


def test_a_failed_trial_is_a_visible_cell_with_its_cause() -> None:
    failed = {**row("vae", [0, 0])[1], "status": "failed", "error": "FitDivergedError: the loss\nwas nan"}
    del failed["auroc"]
    page = leaderboard.render(Statistics([*row("vae", [0.9, 0.9])[:1], failed]))
    assert "| 0.900 | failed |" in page.replace("   ", " ").replace("  ", " ")
    assert "- mnist, normal class 1, vae, seed 0: FitDivergedError: the loss was nan" in page


def test_a_sick_model_is_marked() -> None:
    sick = row("memae", [0.6, 0.6], health={"dead_queries": 0.5, "reconstruction_variance": 0.1})
    page = leaderboard.render(Statistics(sick[:1] + row("memae", [0.6, 0.6], health={"dead_queries": 0.0})[1:]))
    assert "0.600 ⚠" in page
    assert "⚠ mnist, normal class 0, memae, seed 0: 50% of the queries find no memory slot" in page
    assert "1 of them is sick" in page


def test_a_slow_seed_does_not_move_the_time_of_a_fit() -> None:
    rows = [
        one
        for seed, seconds in enumerate([4.0, 90.0, 6.0])
        for one in row("vae", [0.9, 0.8], seed=seed, fit_seconds=seconds)
    ]
    assert cells(leaderboard.headline_table(Statistics(rows)), "vae")[4] == "6.0 s"


def test_mixed_code_versions_are_said() -> None:
    results = row("vae", [0.9, 0.9])
    results[0] = {**results[0], "fingerprint": "other"}
    assert "results of vae were computed by different versions of the code" in leaderboard.render(Statistics(results))
    assert "Mixed" not in leaderboard.render(Statistics(row("vae", [0.9, 0.9])))


def test_files_are_written_and_checked(tmp_path: Path) -> None:
    store = stored(tmp_path, RESULTS)
    page = leaderboard.update(store)
    assert page.read_text().startswith("# Leaderboard")
    assert leaderboard.check(store) == []
    table = pd.read_csv(tmp_path / "results.csv")
    assert list(table.columns[:8]) == [
        *("dataset", "detector", "normal_class", "seed", "auroc", "aupr_out", "aupr_in", "fpr95")
    ]
    assert len(table) == len(RESULTS)
    with Image.open(tmp_path / "plots" / "mnist-auroc.png") as image:
        assert image.width > 300


def test_pictures_are_the_same_drawn_by_several_processes(tmp_path: Path) -> None:
    rows = [one for name, gap in (("a", 0.0), ("b", 0.1), ("c", 0.2)) for one in ranked(name, gap)]
    pictures = []
    for jobs in (1, 2):
        store = stored(tmp_path / str(jobs), rows)
        leaderboard.update(store, jobs=jobs)
        pictures.append({path.name: path.read_bytes() for path in store.plots.iterdir()})
    assert pictures[0] == pictures[1]
    assert {"ranks.png", "both-sides.png", "mnist-auroc.png"} <= set(pictures[0])


def test_a_picture_that_cannot_be_drawn_leaves_nothing_half_written(tmp_path: Path) -> None:
    store = stored(tmp_path, RESULTS)
    store.plots.mkdir(parents=True)
    (store.plots / "mnist-auroc.png").mkdir()  # a file cannot take its place
    (store.plots / f"{PARTIAL}999999999-mnist-roc.png").touch()  # of a process that was killed
    with pytest.raises(OSError, match=r"mnist-auroc\.png"):
        leaderboard.update(store, jobs=2)
    assert not list(tmp_path.rglob(f"{PARTIAL}*"))


@pytest.mark.parametrize("spoil", ["README.md", "results.csv", "plots/mnist-auroc.png"])
def test_check_notices_what_is_missing_or_does_not_match(tmp_path: Path, spoil: str) -> None:
    store = stored(tmp_path, RESULTS)
    leaderboard.update(store)
    (tmp_path / spoil).unlink()
    assert any(f"{spoil} is missing" in problem for problem in leaderboard.check(store))


def test_check_notices_every_missing_plot(tmp_path: Path) -> None:
    store = stored(tmp_path, [one for name, gap in (("a", 0.0), ("b", 0.1), ("c", 0.2)) for one in ranked(name, gap)])
    leaderboard.update(store)
    for name in ("ranks.png", "both-sides.png"):
        (tmp_path / "plots" / name).unlink()
        assert any(f"{name} is missing" in problem for problem in leaderboard.check(store))


def ranked(detector: str, gap: float) -> list[Result]:
    """Eight splits, enough to tell three detectors apart, with samples."""
    return [
        {
            **one,
            **generated(1 + 5 * gap + 0.01 * one["normal_class"]),
            "classifier": "abc",
            "controls": {"replay": generated(0.25)},
        }
        for one in row(detector, [0.9 - gap - 0.01 * split for split in range(8)])
    ]


def test_both_sides_are_tested(tmp_path: Path) -> None:
    page = leaderboard.render(Statistics([*ranked("a", 0.0), *ranked("b", 0.1), *ranked("c", 0.2)]))
    both = page.partition("Which differences are more than chance?")[2].partition("Each AUROC")[0]
    assert both.count("- All differences between detectors are significant.") == 2
    assert "The same of generation" in both
    alike = leaderboard.render(Statistics([*ranked("a", 0.0), *ranked("b", 0.1), *ranked("c", 0.1)]))
    assert alike.count("- `b` is not significantly better than `c`.") == 2


def test_generation_has_its_deviation_over_seeds() -> None:
    seeds = [{**one, "seed": seed, **generated(1.0 + seed)} for seed in (0, 1) for one in ranked("a", 0.0)]
    page = leaderboard.render(Statistics(seeds))
    assert "1.50 ± 0.71" in page  # the headline
    assert "1.500 ± 0.707" in page  # the table of all measures


def test_check_notices_a_changed_result(tmp_path: Path) -> None:
    store = stored(tmp_path, RESULTS)
    leaderboard.update(store)
    stored(tmp_path, [{**RESULTS[0], "auroc": 0.91}])
    problems = "; ".join(leaderboard.check(store))
    assert "README.md does not match" in problems
    assert "results.csv does not match" in problems
    assert "mnist-auroc.png was drawn from other results" in problems


def test_plots_without_results_are_removed(tmp_path: Path) -> None:
    store = stored(tmp_path, RESULTS)
    (tmp_path / "plots").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "plots" / "mnist-samples-old.png")
    leaderboard.update(store)
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["mnist-auroc.png"]


def test_a_spoilt_picture_is_noticed_and_drawn_anew(tmp_path: Path) -> None:
    store = stored(tmp_path, RESULTS)
    leaderboard.update(store)
    picture = tmp_path / "plots" / "mnist-auroc.png"
    picture.write_bytes(picture.read_bytes()[:5])
    assert any("mnist-auroc.png was drawn from other results" in problem for problem in leaderboard.check(store))
    leaderboard.update(store)
    assert leaderboard.check(store) == []
    assert [path.name for path in picture.parent.iterdir()] == ["mnist-auroc.png"]


def test_the_page_depends_on_the_results_only(tmp_path: Path) -> None:
    first = leaderboard.update(stored(tmp_path / "a", RESULTS)).read_text()
    assert leaderboard.update(stored(tmp_path / "b", RESULTS[::-1])).read_text() == first


def test_no_results(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"There are no results in .* run `bench run` first"):
        leaderboard.update(Store.at(tmp_path))


def test_one_sees_at_once_whether_training_longer_pays() -> None:
    statistics = Statistics(
        row("pca", [0.9, 0.8], fit_seconds=1.0)
        + row("mean", [0.5, 0.6], fit_seconds=0.1)
        + row("vae", [0.9, 0.9], fit_seconds=20.0)
        + row("ae", [0.8, 0.7], fit_seconds=30.0)
    )
    assert (
        "- mnist: the best method that fits in under 5 s is `pca` (0.850 in 1.0 s). Slower and better: `vae`. "
        "Slower and no better: `ae`."
    ) in leaderboard.render(statistics)
    assert "Does training longer pay?" not in leaderboard.render(Statistics(row("vae", [0.9, 0.9])))


def test_what_the_threshold_achieves_is_shown() -> None:
    table = leaderboard.measures_table(Statistics(row("vae", [0.9, 0.9], normal_kept=0.94, ood_caught=0.71)), "mnist")
    assert cells(table, "vae")[4:6] == ["0.940", "0.710"]
    without = leaderboard.measures_table(Statistics(row("vae", [0.9, 0.9], normal_kept=None, ood_caught=None)), "mnist")
    assert cells(without, "vae")[4:6] == ["—", "—"]


def test_names_that_are_paths_make_no_folders(tmp_path: Path) -> None:
    store = stored(tmp_path, row("pyod:ECOD", [0.9, 0.8], dataset="folder:my/cats@24"))
    leaderboard.update(store)
    assert (tmp_path / "plots" / "folder-my-cats@24-auroc.png").is_file()
    assert leaderboard.check(store) == []


def generated(frechet: float) -> dict[str, Any]:
    return dict.fromkeys(GENERATION, 0.5) | {"frechet": frechet}


def test_generation_is_sorted_and_stands_beside_its_controls() -> None:
    more: dict[str, Any] = {"classifier": "abc", "controls": {"replay": generated(0.25), "noise": generated(50)}}
    results = row("vae", [0.9, 0.8], **more, **generated(3)) + row("ae", [0.5, 0.5], **more, **generated(2))
    page = leaderboard.render(Statistics(results + row("geotrans", [0.9, 0.9], can_sample=False)))
    table = page.partition("(weights abc)")[2].partition("## ")[0]
    names = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")][2:]
    assert names == ["ae", "vae", "*training images, replayed*", "*Gaussian noise, pixel by pixel*"]
    assert cells(table, "*training images, replayed*")[1] == "0.250"
    headline = page.partition("## mnist")[0]
    assert "mnist Fréchet" in headline
    assert cells(headline, "vae")[-3:] == ["3.00", "2.00", "yes"]
    assert cells(headline, "geotrans")[-3:] == ["—", "—", "—"]


def test_what_was_not_measured_is_not_shown() -> None:
    page = leaderboard.render(Statistics(row("vae", [0.9, 0.8])))
    assert "**Generation**" not in page
    assert "mnist Fréchet" not in page


def test_the_oracle_epoch_is_shown_apart_and_changes_no_rank() -> None:
    traced = [
        {**one, "oracle": {"auroc": one["auroc"] + gain, "epoch": 2, "last": one["auroc"]}}
        for one, gain in zip(row("ae", [0.5, 0.7]), (0.4, 0.2), strict=True)
    ]
    plain = Statistics(row("ae", [0.5, 0.7]) + row("vae", [0.8, 0.8]) + row("ae", [0.5, 0.6], "cifar10"))
    statistics = Statistics([*traced, *plain.results[2:]])
    page = leaderboard.render(statistics)
    section = page.partition("## Oracle epoch")[2].partition("## ")[0]
    assert cells(section, "ae") == ["ae", "mnist", "0.600", "0.900", "+0.300", "2"]
    assert "is not ranked" in section
    assert page.replace(f"## Oracle epoch{section}", "") == leaderboard.render(plain)
    assert statistics.average_rank == plain.average_rank


def test_the_page_says_of_which_protocol_it_is() -> None:
    default = leaderboard.render(Statistics(row("vae", [0.9, 0.8])))
    memae = leaderboard.render(Statistics(row("vae", [0.9, 0.8], protocol="memae")))
    assert (
        "# Leaderboard\n\nOut-of-distribution detection, one-vs-rest: a detector is trained on one class (90 %"
        in default
    )
    assert "protocol memae" not in default
    assert "**protocol memae**" in memae
    assert "30 % of the test images" in memae
    assert "--protocol memae`: 2 trials" in memae
    assert "`bench leaderboard --protocol memae` makes this page" in memae
    assert "they are shown and not measured, because" in memae
    assert "Fréchet" not in memae


def test_words_on_what_is_not_significant() -> None:
    """Two that differ by chance, and one that is always worse."""
    places = [0.9 + 0.001 * (-1) ** k * k for k in range(10)]
    results = (
        row("ae", places)
        + row("vae", places[::-1])
        + row("mean", [value - 0.3 - 0.01 * k for k, value in enumerate(places)])
    )
    page = leaderboard.render(Statistics(results))
    assert "over the 10 splits, corrected by Holm for 3 pairs, at 5%" in page
    sentences = [line for line in page.splitlines() if "is not significantly better than" in line]
    assert sentences in (
        ["- `ae` is not significantly better than `vae`."],
        ["- `vae` is not significantly better than `ae`."],
    )
    page = leaderboard.render(Statistics(row("ae", [0.9] * 3) + row("vae", [0.8] * 3)))
    assert "3 splits are too few to say so of 2 detectors" in page
    assert "more than chance" not in leaderboard.render(Statistics(row("ae", [0.9] * 3)))


def test_the_page_says_which_detectors_have_fewer_seeds() -> None:
    results = [*row("vae", [0.9, 0.8]), *row("vae", [0.8, 0.9], seed=1), *row("mean", [0.6, 0.7])]
    page = leaderboard.render(Statistics(results))
    assert "AUROC by normal class, mean over 2 seeds (`mean` over 1)" in page
    assert "--seeds 2` (some detectors with fewer seeds" in page
    assert "(some detectors with fewer seeds" not in leaderboard.render(Statistics(results[:4]))
