from __future__ import annotations

import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from sklearn.metrics import roc_auc_score

from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.files import PARTIAL, file_name
from oodbench.benchmark.reporting import leaderboard
from oodbench.benchmark.reporting.plots import DIGEST, stored_digest
from oodbench.benchmark.results.result import TrialResult
from oodbench.benchmark.results.store import Store
from tests.benchmark.made_up import result, row
from tests.benchmark.reporting.test_page import RESULTS, ranked

LEADERBOARD = Path(__file__).resolve().parents[3] / "leaderboard"
THREE = [one for name, gap in (("a", 0.0), ("b", 0.1), ("c", 0.2)) for one in ranked(name, gap)]


def stored(folder: Path, results: Sequence[TrialResult]) -> Store:
    store = Store.at(folder)
    for one in results:
        store.write(one)
    return store


def files_of(store: Store) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.plots.iterdir()}


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


def test_pictures_are_the_same_drawn_by_other_processes(tmp_path: Path) -> None:
    """What is handed to another process is pickled."""

    def elsewhere(function: Callable[..., Any], plots: Sequence[Any]) -> list[Any]:
        function, plots = pickle.loads(pickle.dumps((function, plots)))
        return [function(plot) for plot in reversed(plots)]

    here, there = stored(tmp_path / "1", THREE), stored(tmp_path / "2", THREE)
    leaderboard.update(here)
    leaderboard.update(there, map=elsewhere)
    assert files_of(here) == files_of(there)
    assert set(files_of(here)) == {"mnist-both-sides.png", "mnist-auroc.png"}


def test_a_picture_that_cannot_be_drawn_leaves_nothing_half_written(tmp_path: Path) -> None:
    store = stored(tmp_path, RESULTS)
    store.plots.mkdir(parents=True)
    (store.plots / "mnist-auroc.png").mkdir()  # a file cannot take its place
    (store.plots / f"{PARTIAL}999999999-mnist-roc.png").touch()  # of a process that was killed
    with pytest.raises(OSError, match=r"mnist-auroc\.png"):
        leaderboard.update(store)
    assert not list(tmp_path.rglob(f"{PARTIAL}*"))


@pytest.mark.parametrize("spoil", ["README.md", "results.csv", "plots/mnist-auroc.png"])
def test_check_notices_what_is_missing(tmp_path: Path, spoil: str) -> None:
    store = stored(tmp_path, RESULTS)
    leaderboard.update(store)
    (tmp_path / spoil).unlink()
    assert any(f"{spoil} is missing" in problem for problem in leaderboard.check(store))


def test_check_notices_every_missing_plot(tmp_path: Path) -> None:
    store = stored(tmp_path, THREE)
    leaderboard.update(store)
    for name in ("mnist-auroc.png", "mnist-both-sides.png"):
        (tmp_path / "plots" / name).unlink()
        assert any(f"{name} is missing" in problem for problem in leaderboard.check(store))


def test_check_notices_a_changed_result(tmp_path: Path) -> None:
    store = stored(tmp_path, RESULTS)
    leaderboard.update(store)
    stored(tmp_path, [RESULTS[0].model_copy(update={"auroc": 0.91})])
    problems = "; ".join(leaderboard.check(store))
    assert "README.md does not match" in problems
    assert "results.csv does not match" in problems
    assert "mnist-auroc.png was drawn from other results" in problems


def test_only_plots_that_were_drawn_here_are_removed(tmp_path: Path) -> None:
    store = stored(tmp_path, RESULTS)
    store.plots.mkdir()
    ours = PngInfo()
    ours.add_text(DIGEST, "0123456789abcdef")
    Image.new("RGB", (4, 4)).save(store.plots / "mnist-samples-old.png", pnginfo=ours)
    Image.new("RGB", (4, 4)).save(store.plots / "of-somebody-else.png")
    (store.plots / "notes.txt").write_text("mine", encoding="utf-8")
    leaderboard.update(store)
    assert set(files_of(store)) == {"mnist-auroc.png", "of-somebody-else.png", "notes.txt"}
    assert leaderboard.check(store) == []


def test_a_damaged_picture_is_noticed_and_drawn_anew(tmp_path: Path) -> None:
    store = stored(tmp_path, RESULTS)
    leaderboard.update(store)
    picture = tmp_path / "plots" / "mnist-auroc.png"
    picture.write_bytes(picture.read_bytes()[:5])
    assert any("mnist-auroc.png is missing or damaged" in problem for problem in leaderboard.check(store))
    leaderboard.update(store)
    assert leaderboard.check(store) == []
    assert [path.name for path in picture.parent.iterdir()] == ["mnist-auroc.png"]


def test_another_dataset_touches_no_plot(tmp_path: Path) -> None:
    own = [one.model_copy(update={"dataset": data}) for data in ("mnist", "cifar10") for one in THREE]
    store = stored(tmp_path, own)
    leaderboard.update(store)
    before = files_of(store)
    times = {path: path.stat().st_mtime_ns for path in store.plots.iterdir()}
    # where samples are not ranked, no picture ranks them
    assert set(before) == {"mnist-both-sides.png", "mnist-auroc.png", "cifar10-auroc.png"}
    stored(tmp_path, [one.model_copy(update={"dataset": "digits"}) for one in THREE[8:]])
    leaderboard.update(store)
    assert before.items() <= files_of(store).items()
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    assert {"digits-auroc.png", "digits-both-sides.png"} <= set(files_of(store))


def test_digests_stay_what_they_are(tmp_path: Path) -> None:
    """Plots whose run folders are gone are kept by their digest: 16 digits of the SHA-256 of what they show."""
    store = stored(tmp_path, row("vae", [0.9, 0.75]))
    leaderboard.update(store)
    assert stored_digest(store.plots / "mnist-auroc.png") == "1ff6370c786c9065"


def with_scores(store: Store, one: TrialResult) -> TrialResult:
    """Leave scores in a run folder, and the AUROC that they have."""
    generator = np.random.default_rng(one.normal_class)
    is_ood = np.arange(40) >= 20
    scores = generator.normal(is_ood * 1.0, 1).astype(np.float32)
    folder = store.run_folder(one.trial)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "scores.npz", score=scores, is_ood=is_ood)
    return one.model_copy(update={"auroc": float(roc_auc_score(is_ood, scores))})


def test_a_run_of_one_class_does_not_replace_the_curves_of_all(tmp_path: Path) -> None:
    store = Store.at(tmp_path)
    results = [with_scores(store, one) for one in row("vae", [0.9, 0.8], can_sample=False)]
    stored(tmp_path, results)
    leaderboard.update(store)
    whole = files_of(store)["mnist-roc.png"]
    folders = [store.run_folder(one.trial) / "scores.npz" for one in results]
    kept = folders[1].read_bytes()
    folders[1].write_bytes(b"damaged")
    leaderboard.update(store)
    assert files_of(store)["mnist-roc.png"] == whole
    (store.plots / "mnist-roc.png").unlink()
    leaderboard.update(store)
    assert files_of(store)["mnist-roc.png"] != whole  # of one class
    folders[1].write_bytes(kept)
    leaderboard.update(store)
    assert files_of(store)["mnist-roc.png"] == whole


def test_curves_are_of_a_later_seed_where_the_first_ones_run_folders_are_gone(tmp_path: Path) -> None:
    store = Store.at(tmp_path)
    first = row("vae", [0.9, 0.8], can_sample=False)
    second = [with_scores(store, one.model_copy(update={"seed": 1})) for one in first]
    stored(tmp_path, [*first, *second])
    leaderboard.update(store)
    assert "mnist-roc.png" in files_of(store)


def test_another_detector_does_not_replace_the_curves_of_those_whose_run_folders_are_gone(tmp_path: Path) -> None:
    store = Store.at(tmp_path)
    vae = row("vae", [0.9, 0.8], can_sample=False)
    stored(tmp_path, [with_scores(store, one) for one in vae])
    leaderboard.update(store)
    whole = files_of(store)["mnist-roc.png"]
    for one in vae:
        (store.run_folder(one.trial) / "scores.npz").unlink()
    more = [with_scores(store, one) for one in row("mine", [0.9, 0.8], can_sample=False)]
    stored(tmp_path, more[:1])
    page = leaderboard.update(store).read_text()
    assert files_of(store)["mnist-roc.png"] == whole
    assert "plots/mnist-roc.png" in page
    stored(tmp_path, more)
    leaderboard.update(store)
    assert files_of(store)["mnist-roc.png"] != whole  # as many curves of later results
    stored(tmp_path, [more[0].model_copy(update={"auroc": 0.123})])
    assert any("mnist-roc.png was drawn from other" in problem for problem in leaderboard.check(store))


def test_the_page_depends_on_the_results_only(tmp_path: Path) -> None:
    first = leaderboard.update(stored(tmp_path / "a", RESULTS)).read_text()
    assert leaderboard.update(stored(tmp_path / "b", RESULTS[::-1])).read_text() == first


def test_no_results(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"There are no results in .* run `bench run` first"):
        leaderboard.update(Store.at(tmp_path))


def test_a_damaged_result_is_named_on_the_page_and_ends_nothing(tmp_path: Path) -> None:
    store = stored(tmp_path, row("vae", [0.9, 0.8]))
    store.result_path(result(normal_class=1).trial).write_text("{", encoding="utf-8")
    page = leaderboard.update(store).read_text()
    assert "- results/mnist/vae/class-1_seed-0.json" in page.partition("## Results left out")[2]
    assert str(tmp_path) not in page
    assert "0.900 (1 of 2)" in page
    assert leaderboard.check(store) == []


def test_names_that_are_paths_make_no_folders(tmp_path: Path) -> None:
    store = stored(tmp_path, row("pyod:ECOD", [0.9, 0.8], dataset="folder:my/cats@24"))
    leaderboard.update(store)
    assert (tmp_path / "plots" / f"{file_name('folder:my/cats@24')}-auroc.png").is_file()
    assert leaderboard.check(store) == []


BUILD = """
import sys
from pathlib import Path
from oodbench.benchmark.reporting import leaderboard
from oodbench.benchmark.results.store import Store
UNWANTED = ("torch", "oodbench.benchmark.running", "oodbench.benchmark.cli")
leaderboard.update(Store.at(Path(sys.argv[1])))
sys.exit(" ".join(name for name in sys.modules if name in UNWANTED) or None)
"""


def test_a_page_is_built_without_torch_processes_or_command_line(tmp_path: Path) -> None:
    stored(tmp_path, RESULTS)
    run = subprocess.run([sys.executable, "-c", BUILD, tmp_path], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr.strip()) == (0, "")


@pytest.mark.parametrize("folder", [LEADERBOARD, LEADERBOARD / "protocol-memae"], ids=lambda folder: folder.name)
def test_the_committed_page_marks_who_takes_noise_for_normal(folder: Path) -> None:
    page, frame = (folder / "README.md").read_text(), pd.read_csv(folder / "results.csv")
    probed = frame.reindex(columns=["dataset", "detector", "probe_noise"]).dropna()
    for dataset, rows in probed.groupby("dataset"):
        section = re.split(rf"^## {dataset}$", page, flags=re.MULTILINE)[1].partition("\n## ")[0]
        for detector, noise in rows.groupby("detector")["probe_noise"].mean().items():
            assert (f"| {detector} † " in section) == (noise < 0.9), (dataset, detector)
