from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from oodbench.benchmark.cli.app import app
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.tuning import ablation
from oodbench.benchmark.tuning.ablation import WHOLE, _trained_alike, ablate, page, variants

PLUGIN = Path(__file__).parents[1] / "plugin_to_tune.py"


def test_only_parts_that_a_method_has_are_taken_away(plugins: Plugins) -> None:
    of = {name: set(variants(plugins.detectors[name], plugins.datasets["mnist"])) for name in ("ae", "memvae", "mean")}
    assert of["mean"] == of["ae"] == {WHOLE}
    assert "memory" in of["memvae"]


def test_parts_of_the_score_alone_need_one_training(plugins: Plugins) -> None:
    detector = plugins.detectors["typical:pca"]
    found = variants(detector, plugins.datasets["cifar10"])
    first, *others = _trained_alike(found, detector.SCORE_ONLY)
    assert first[0] == WHOLE
    assert "typicality of the latent" in first
    assert others == [["blur before the complexity"]]
    assert sorted(part for group in (first, *others) for part in group) == sorted(found)


def test_what_was_judged_is_not_judged_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugins, store = Plugins.load([PLUGIN]), Store.at(tmp_path)
    detector, dataset = plugins.detectors["test-choice"], plugins.datasets["test-no-test-part"]
    ablate(detector, dataset, plugins, store, data=tmp_path)
    table = pd.read_csv(tmp_path / "ablations.csv").set_index("without")["auroc"]
    assert table[WHOLE] + table["its sign"] == pytest.approx(1, abs=1e-5)
    monkeypatch.setattr(ablation, "judging", lambda *_, **__: pytest.fail("judged again"))
    ablate(detector, dataset, plugins, store, data=tmp_path)
    assert "its sign" in (tmp_path / "ablations.md").read_text(encoding="utf-8")


def test_further_seeds_are_judged_beside_those_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugins, store = Plugins.load([PLUGIN]), Store.at(tmp_path)
    detector, dataset = plugins.detectors["test-choice"], plugins.datasets["test-no-test-part"]
    ablate(detector, dataset, plugins, store, data=tmp_path)
    before = pd.read_csv(tmp_path / "ablations.csv")
    ablate(detector, dataset, plugins, store, data=tmp_path, seeds=3)
    table = pd.read_csv(tmp_path / "ablations.csv")
    assert sorted(zip(table["without"], table["seed"], strict=True)) == [
        (part, seed) for part in ("its sign", WHOLE) for seed in (0, 1, 2)
    ]
    pd.testing.assert_frame_equal(table[table["seed"] == 0].reset_index(drop=True), before)
    assert "test-choice (3 seeds)" in (tmp_path / "ablations.md").read_text(encoding="utf-8")


def test_a_detector_that_leaves_ends_it_with_one_sentence(tmp_path: Path) -> None:
    where = ["--dataset", "test-no-test-part", "--plugin", str(PLUGIN), "--out", str(tmp_path)]
    done = CliRunner().invoke(app, ["ablation", "test-misbehaves-by-default", *where])
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: test-no-test-part 0 test-misbehaves-by-default")
    assert "SystemExit: enough" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_page_gives_differences_from_the_whole() -> None:
    rows = [
        ("mnist", "ae", WHOLE, 0, 0.98),
        ("mnist", "ae", "typicality of the latent", 0, 0.97),
        ("mnist", "vae", WHOLE, 0, 0.9),
    ]
    text = page(pd.DataFrame(rows, columns=["dataset", "detector", "without", "seed", "auroc"]))
    assert "| 0.9700 (-0.0100) |" in text
    assert "## mnist" in text


def test_differences_are_taken_seed_by_seed() -> None:
    rows = [
        ("mnist", "ae", WHOLE, 0, 0.90),
        ("mnist", "ae", WHOLE, 1, 0.94),
        ("mnist", "ae", "typicality of the latent", 0, 0.88),
        ("mnist", "ae", "typicality of the latent", 1, 0.92),
        ("mnist", "ae", "both typicalities", 1, 0.93),
    ]
    text = page(pd.DataFrame(rows, columns=["dataset", "detector", "without", "seed", "auroc"]))
    assert "0.9200 ± 0.0283 |" in text
    assert "0.9000 ± 0.0283 (-0.0200 ± 0.0000) |" in text
    assert "0.9300 (-0.0100) |" in text
