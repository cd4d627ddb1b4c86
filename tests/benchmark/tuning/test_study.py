from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from oodbench.benchmark.cli.app import app
from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.tuning import defaults
from oodbench.benchmark.tuning import study as tuning
from oodbench.benchmark.tuning.journal import study_path
from oodbench.benchmark.tuning.objective import Judgement, Settings, judging
from oodbench.benchmark.tuning.study import Candidate, tune
from oodbench.datasets import as_float
from oodbench.datasets.components.split import selection_split
from oodbench.detectors.ae import AE
from oodbench.detectors.base import FitDivergedError
from oodbench.detectors.memae import MemAE
from oodbench.detectors.vae import VAE
from tests.conftest import REPOSITORY

PLUGIN = Path(__file__).parents[1] / "plugin_to_tune.py"
FOUR = ("ae", "vae", "memae", "memvae")


@pytest.fixture(scope="module")
def with_choice() -> Plugins:
    return Plugins.load([PLUGIN])


def tried(plugins: Plugins, folder: Path, trials: int, **more: object) -> list[Candidate]:
    store = Store.at(folder)
    return tune("test-choice", "test-no-test-part", plugins, store, trials=trials, data=folder, **more)  # type: ignore[arg-type]


def test_the_better_setting_is_found_and_the_test_part_never_read(with_choice: Plugins, tmp_path: Path) -> None:
    # the dataset's test part raises when it is loaded
    heard: list[Candidate] = []
    candidates = tried(with_choice, tmp_path, 6, listener=heard.append)
    assert [candidate.number for candidate in heard] == list(range(6))
    assert heard[0].settings == {"sign": -1, "fails": False}  # the default comes first
    best = candidates[0]
    assert best.settings == {"sign": 1, "fails": False}
    by_hand = []
    part = with_choice.datasets["digits"](tmp_path).load("train")
    for label in range(10):
        split = selection_split(part, label)
        normal = as_float(split.train).mean(0)
        scores = (as_float(split.test) - normal).square().flatten(1).sum(1)
        by_hand.append(float(roc_auc_score(split.is_ood, scores)))
    assert best.auroc == pytest.approx(sum(by_hand) / 10, abs=1e-6)
    # a setting that was judged is not judged again, one that diverges is given up and told so
    assert len({candidate.auroc for candidate in heard if candidate.settings == best.settings}) == 1
    diverged = [candidate for candidate in heard if candidate.settings["fails"]]
    assert all(candidate.verdict == "given up: The loss was nan." for candidate in diverged)


def test_a_study_goes_on_as_if_it_had_not_been_interrupted(with_choice: Plugins, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    at_once = tried(with_choice, whole, 5)
    tried(with_choice, parts, 2)

    def interrupt(_: Candidate) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tried(with_choice, parts, 5, listener=interrupt)
    assert [candidate.settings for candidate in tried(with_choice, parts, 5)] == [c.settings for c in at_once]
    assert not list(tried(with_choice, parts, 5, listener=lambda _: pytest.fail("all had been tried")))[5:]


@pytest.fixture
def _a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give AE one that does not change when it is tuned."""
    monkeypatch.setattr(AE, "DEFAULTS", {**AE.DEFAULTS, "tiny": {**AE.DEFAULTS["tiny"], "latent_size": 32}})


@pytest.mark.usefixtures("_a_default")
def test_a_setting_below_the_median_is_given_up(plugins: Plugins, tmp_path: Path) -> None:
    heard: list[Candidate] = []
    judged: list[int] = []

    def judge(settings: Settings) -> Iterator[Judgement]:
        for _ in range(10):
            judged.append(settings["latent_size"])
            yield Judgement(settings["latent_size"] / 64)

    study = tuning._study(AE, plugins.datasets["digits"], tmp_path / "study.jsonl", "a study")
    tuning._search(study, {"latent_size": range(64)}, 30, judge, heard.append)
    given_up = [candidate for candidate in heard if candidate.auroc is None]
    assert given_up
    assert "classes" in given_up[0].verdict
    assert len(judged) < 10 * len(heard)
    assert max(judged) == study.best_params["latent_size"]


def test_a_trained_detector_scored_by_other_settings_is_as_good_as_one_trained_with_them(
    plugins: Plugins, tmp_path: Path
) -> None:
    quick, other = {"n_components": 4}, {"latent_weight": 2.0}
    store, digits = Store.at(tmp_path), plugins.datasets["digits"]
    with judging(plugins.detectors["typical:pca"], digits, plugins, store, data=tmp_path) as judge:
        whole = list(judge(quick, [other]))
        assert [(found.auroc,) for found in judge({**quick, **other})] == [found.rescored for found in whole]
    assert any(found.rescored != (found.auroc,) for found in whole)


@pytest.mark.usefixtures("_a_default")
def test_a_setting_that_makes_an_unhealthy_model_is_given_up(plugins: Plugins, tmp_path: Path) -> None:
    heard: list[Candidate] = []

    def judge(settings: Settings) -> Iterator[Judgement]:
        # the unhealthy one tells images apart best
        yield Judgement(1.0, unhealthy=["one memory slot"]) if settings["latent_size"] == 8 else Judgement(0.5)

    study = tuning._study(AE, plugins.datasets["digits"], tmp_path / "study.jsonl", "a study")
    tuning._search(study, {"latent_size": (8, 32)}, 4, judge, heard.append)
    assert tuning._ranked(study)[0].settings == {"latent_size": 32}
    assert "given up: unhealthy: one memory slot" in {candidate.verdict for candidate in heard}


def test_settings_that_all_diverge_leave_nothing_to_choose(
    with_choice: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(_: Settings) -> Iterator[Judgement]:
        raise FitDivergedError("The loss was nan.")

    monkeypatch.setattr(tuning, "judging", lambda *_, **__: nullcontext(diverge))
    with pytest.raises(UsageError, match=r"None of 2 settings could be judged. The first: given up: The loss was nan."):
        tried(with_choice, tmp_path, 2)


def test_a_detector_that_misbehaves_is_given_up_and_the_others_go_on(with_choice: Plugins, tmp_path: Path) -> None:
    """Whatever it raises, and where it ends its process; NumPy's and torch's numbers are numbers."""
    verdicts: dict[str, str] = {}
    store, data = Store.at(tmp_path), tmp_path

    def listener(candidate: Candidate) -> None:
        verdicts[candidate.settings["how"]] = candidate.verdict

    best, *_ = tune(
        "test-misbehaves", "test-no-test-part", with_choice, store, trials=20, data=data, jobs=1, listener=listener
    )
    assert best.settings == {"how": ""}
    assert verdicts.pop("").startswith("AUROC 0.")
    causes = {
        "exit": "SystemExit: enough",
        "interrupt": "KeyboardInterrupt: ",
        "error": "RuntimeError: no luck",
        "text": "ValueError: diagnostics gave 'text' as a str; it must be a number.",
        "die": "A worker process died 2 times",
    }
    assert len(verdicts) >= 4
    for how, verdict in verdicts.items():
        assert verdict.startswith("given up: test"), how
        assert causes[how] in verdict


def test_one_call_at_a_time_goes_on_with_a_study(with_choice: Plugins, tmp_path: Path) -> None:
    path = study_path(
        Store.at(tmp_path), with_choice.datasets["test-no-test-part"], with_choice.detectors["test-choice"]
    )
    with (
        Store.at(tmp_path).lock(f"studies/{path.parent.name}/{path.name}"),
        pytest.raises(UsageError, match="test-choice is being tuned on test-no-test-part already: wait"),
    ):
        tried(with_choice, tmp_path, 1)
    assert len(tried(with_choice, tmp_path, 1)) == 1


def test_what_has_nothing_to_choose_is_refused(plugins: Plugins, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mean names no hyperparameters"):
        tune("mean", "digits", plugins, Store.at(tmp_path), trials=1, data=tmp_path)


def test_the_best_setting_becomes_the_default_of_its_kind_of_image(
    plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "vae.json"
    shutil.copy(REPOSITORY / "detectors" / "vae.json", copy)
    before = json.loads(copy.read_text(encoding="utf-8"))
    monkeypatch.setattr(defaults, "defaults_file", lambda _: copy)
    assert defaults.write_defaults(VAE, plugins.datasets["digits"], {"variance": 7.5}) == copy
    after = json.loads(copy.read_text(encoding="utf-8"))
    assert after["tiny"] == {**before["tiny"], "variance": 7.5}
    assert {**after, "tiny": None} == {**before, "tiny": None}


def test_defaults_in_code_cannot_be_written(tmp_path: Path) -> None:
    given = ["test-choice", "--dataset", "digits", "--plugin", str(PLUGIN), "--out", str(tmp_path), "--write"]
    result = CliRunner().invoke(app, ["tune", *given])
    assert result.exit_code == 2
    assert "The defaults of test-choice stand in its code" in result.stderr


@pytest.mark.parametrize("name", FOUR)
def test_the_defaults_are_among_the_choices(plugins: Plugins, name: str) -> None:
    cls = plugins.detectors[name]
    for dataset in ("digits", "mnist", "cifar10"):
        settings = cls().hyperparameters(plugins.datasets[dataset].shape)
        for parameter, choices in cls.SEARCH.items():
            assert settings[parameter] in choices, (dataset, parameter)


@pytest.mark.parametrize("dataset", ["digits", "mnist", "cifar10"])
@pytest.mark.parametrize("name", FOUR)
def test_the_defaults_are_the_best_of_the_stored_study(plugins: Plugins, name: str, dataset: str) -> None:
    cls, of_dataset = plugins.detectors[name], plugins.datasets[dataset]
    path = study_path(Store.at(REPOSITORY / "leaderboard"), of_dataset, cls)
    best = tuning.stored_candidates(path)[0]
    defaults = cls().hyperparameters(of_dataset.shape)
    assert best.settings == {parameter: defaults[parameter] for parameter in best.settings}


@pytest.mark.slow
def test_tuning_on_digits_gives_the_chosen_setting_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The study up to the setting that it chose."""
    stored = tuning.stored_candidates(REPOSITORY / "leaderboard" / "studies" / "digits" / "memae.jsonl")
    chosen = MemAE().hyperparameters((1, 8, 8))
    in_order = sorted(stored, key=lambda candidate: candidate.number)[: stored[0].number + 1]
    assert in_order[0].settings != stored[0].settings  # it was not chosen already
    monkeypatch.setattr(
        MemAE, "DEFAULTS", {**MemAE.DEFAULTS, "tiny": {**MemAE.DEFAULTS["tiny"], **in_order[0].settings}}
    )
    given = ["memae", "--dataset", "digits", "--trials", str(len(in_order)), "--out", str(tmp_path)]
    result = CliRunner().invoke(app, ["tune", *given])
    assert result.exit_code == 0, result.output
    again = tuning.stored_candidates(tmp_path / "studies" / "digits" / "memae.jsonl")
    assert [candidate.settings for candidate in sorted(again, key=lambda candidate: candidate.number)] == [
        candidate.settings for candidate in in_order
    ]
    assert again[0].auroc == pytest.approx(stored[0].auroc, abs=1e-3)
    assert again[0].settings == {parameter: chosen[parameter] for parameter in again[0].settings}
