"""`import oodbench as ob`: what a newcomer writes in a script or a notebook."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import oodbench as ob
from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.trials import Trial, make_detector

DETECTOR = '''
class MyDetector(ob.Detector):
    """Distance to the k-th nearest training image."""

    def __init__(self, *, k=5):
        self.k = k

    def fit(self, images, *, monitor=None):
        self.images_ = images.flatten(1)
        return self

    def score(self, images):
        return torch.cdist(images.flatten(1), self.images_).kthvalue(self.k, dim=1).values
'''


def script(folder: Path, text: str) -> str:
    """Run a script without a guard, in a process of its own; return what it printed."""
    path = folder / "script.py"
    path.write_text(text, encoding="utf-8")
    return output_of([sys.executable, path], folder)


def cell(folder: Path, text: str) -> str:
    """Run code that lies in no file, as that of a notebook's cell; return what it printed."""
    return output_of([sys.executable, "-"], folder, given=text)


def output_of(command: list[str | Path], folder: Path, given: str = "") -> str:
    ended = subprocess.run(command, input=given, capture_output=True, text=True, check=False, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def examples() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(recurse=False)
    objects: dict[str, Any] = {"oodbench": ob, **{name: getattr(ob, name) for name in ob.__all__}}
    return [test for name, thing in objects.items() for test in finder.find(thing, name, module=False) if test.examples]


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.name)
def test_examples(example: doctest.DocTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    example.globs = {}
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    said: list[str] = []
    runner.run(example, out=said.append)
    assert not runner.failures, "".join(said)


def test_every_name_has_an_example() -> None:
    sources = "\n".join(step.source for example in examples() for step in example.examples)
    for name in ob.__all__:
        assert f"ob.{name}" in sources, name


def test_importing_it_and_listing_import_no_torch() -> None:
    program = (
        "import sys, oodbench as ob\n"
        "assert not [name for name in sys.modules if name.startswith('oodbench.')], sys.modules\n"
        "ob.list_detectors(), ob.list_datasets(), ob.__version__, dir(ob)\n"
        "print('torch' in sys.modules)\n"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "False\n"


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="'oodbench' has no attribute 'evalute'"):
        ob.evalute  # noqa: B018


def test_a_class_written_in_a_script_is_evaluated_in_five_lines(tmp_path: Path) -> None:
    text = f"import torch\nimport oodbench as ob\n{DETECTOR}\n"
    text += "result = ob.evaluate(MyDetector(k=3), ob.load_split('digits', normal_class=3))\n"
    text += "print(result.auroc > 0.9, result.scores.shape, result.samples)\n"
    assert script(tmp_path, text) == "True (540,) None\n"


def test_a_class_written_in_a_notebook_is_run_in_worker_processes(tmp_path: Path) -> None:
    text = f"import torch\nimport oodbench as ob\nprint('once')\n{DETECTOR}\n"
    text += "results = ob.run(['knn', MyDetector], ['digits'], classes=[3], out='mine', progress=False)\n"
    text += "print([(result.detector, result.status) for result in results])\n"
    assert cell(tmp_path, text) == "once\n[('knn', 'done'), ('my-detector', 'done')]\n"
    assert "my-detector" in (tmp_path / "mine" / "README.md").read_text()


def test_the_figures_are_those_of_a_run(tmp_path: Path) -> None:
    settings = {"vae.epochs": 2}
    (stored,) = ob.run("vae", "digits", classes=[3], seeds=[1], settings=settings, out=tmp_path, progress=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    trial = Trial("digits", "vae", 3, 1, (("epochs", 2),))
    result = ob.evaluate(make_detector(Plugins.load(), trial), ob.load_split("digits", 3, seed=1))
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)
    for name in ("auroc", "aupr_in", "fpr95", "frechet", "kid", "coverage", "threshold", "diagnostics"):
        assert getattr(result, name) == getattr(stored, name), name
    scores = np.load(Store.at(tmp_path).run_folder(trial) / "scores.npz")["score"]
    np.testing.assert_array_equal(scores, result.scores)


def test_a_detector_may_be_given_by_name_class_or_file(tmp_path: Path) -> None:
    split = ob.load_split("digits", normal_class="3")
    path = tmp_path / "mine.py"
    registered = DETECTOR.replace("class", '@ob.register("mine")\nclass', 1)
    path.write_text(f"import torch\nimport oodbench as ob\n{registered}", encoding="utf-8")
    aurocs = {ob.evaluate(detector, split).auroc for detector in ("KNN", ob.detectors.KNN, ob.detectors.KNN())}
    assert len(aurocs) == 1
    assert 0.9 < ob.evaluate(path, split).auroc < 1
    (result,) = ob.run(path, "digits", classes=3, out=tmp_path / "out", progress=False)
    assert result.detector == "mine"
    assert result.command.endswith(f"--out {tmp_path / 'out'} --plugin {path}")
    folder = tmp_path / "out" / "runs" / "digits" / "mine" / "class-3_seed-0"
    with pytest.raises(UsageError, match="holds a model of 'mine', which is neither built in nor installed"):
        ob.load_model(folder)
    assert ob.load_model(folder, detector=path).score(torch.zeros(2, 1, 8, 8)).shape == (2,)


def test_a_run_returns_the_results_of_its_own_trials(tmp_path: Path) -> None:
    ob.run(["mean", "knn"], "digits", classes=[1, 3], out=tmp_path, progress=False)
    results = ob.run("mean", "digits", classes=[3], out=tmp_path, progress=False)
    assert [(result.detector, result.normal_class) for result in results] == [("mean", 3)]
    assert len(ob.load_results(tmp_path)) == 4


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: ob.load_split("minst", 3), "Unknown dataset 'minst': did you mean mnist"),
        (lambda: ob.load_split("digits", "ten"), "Unknown class of digits 'ten'"),
        (lambda: ob.load_split("digits", 3, protocol="svdd"), "Unknown protocol 'svdd'"),
        (lambda: ob.run(["vea"], ["digits"]), "Unknown detector 'vea': did you mean vae"),
        (lambda: ob.load_results("nowhere"), "There are no results in nowhere"),
        (lambda: ob.load_model("nowhere"), "nowhere holds no stored model"),
    ],
)
def test_bad_input_is_a_value_error_with_one_sentence(
    wrong: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        wrong()
    assert not list(tmp_path.iterdir())
