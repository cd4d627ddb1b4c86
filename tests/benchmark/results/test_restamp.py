from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results import restamp
from oodbench.benchmark.results.fingerprint import fingerprint
from oodbench.benchmark.results.restamp import difference, differences, main, stamped
from oodbench.benchmark.results.result import TrialResult
from oodbench.benchmark.results.store import Store
from tests.benchmark.made_up import result

OLD: dict[str, Any] = {
    "hyperparameters": {"components": 64, "neighbours": 5},
    "fingerprint": "old",
    "can_sample": False,
}


def test_a_result_gets_todays_fingerprint_and_names_and_is_otherwise_the_same(plugins: Plugins) -> None:
    old = result("digits", "knn", **OLD)
    new = stamped(old, plugins)
    assert new.fingerprint == fingerprint(plugins.detectors["knn"])
    assert new.hyperparameters == {"n_components": 64, "n_neighbors": 5}
    assert not differences(new, plugins)
    kept = new.model_dump(exclude={"fingerprint", "hyperparameters"})
    assert kept == old.model_dump(exclude={"fingerprint", "hyperparameters"})


def test_other_settings_or_a_changed_parameter_of_another_name_are_no_match(plugins: Plugins) -> None:
    other = stamped(result("digits", "knn", **{**OLD, "hyperparameters": {"components": 32, "neighbours": 5}}), plugins)
    assert "have other hyperparameters" in differences(other, plugins)
    changed = result("digits", "knn", changes={"neighbours": 3}, **OLD)
    assert differences(changed, plugins) == "have changes with other names now"


def test_outcomes_are_compared_bit_for_bit() -> None:
    scores = torch.tensor([1.0, 2.0])
    one = {"scores": scores, "count": 3, "samples": "DetectorError"}
    assert difference(one, {**one, "scores": scores.clone()}) == ""
    assert difference(one, {**one, "scores": scores + 2e-7}) == "compute other scores than before"
    assert difference(one, {**one, "scores": scores.double()}) == "compute other scores than before"
    assert difference(one, {**one, "count": 4, "samples": scores}) == "compute other count, samples than before"
    assert difference(one, {"error": "ValueError: no"}) == "could not be compared (ValueError: no)"


def test_only_results_of_the_commit_whose_code_computes_the_same_are_stamped_anew(
    tmp_path: Path, plugins: Plugins, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    proved = {"digits/mean": "", "digits/pca": "compute other scores than before"}
    monkeypatch.setattr(restamp, "compare", lambda *_: (proved, {"mean": "old", "pca": "old"}))
    store = Store.at(tmp_path)
    given = {("mean", 0): "old", ("mean", 1): "other", ("pca", 0): "old"}
    for (detector, normal_class), of in given.items():
        store.write(result("digits", detector, normal_class, fingerprint=of, can_sample=False))
    path = store.result_path(result("digits", "mean", 0).trial)
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 1}))
    before = {path: path.read_text() for path in store.results.rglob("*.json")}
    main(["abc", "--folder", str(tmp_path)])
    assert {path: path.read_text() for path in store.results.rglob("*.json")} == before
    assert capsys.readouterr().out.splitlines() == [
        "digits/mean: 1 of other code than abc",
        "digits/mean: 1 stamped anew",
        "digits/pca: 1 compute other scores than before",
        "Nothing was written: add --write.",
    ]
    main(["abc", "--folder", str(tmp_path), "--write"])
    assert [path for path, text in before.items() if path.read_text() != text] == [path]
    assert TrialResult.from_disk(path).fingerprint == fingerprint(plugins.detectors["mean"])
    assert json.loads(path.read_text())["schema"] == 2
