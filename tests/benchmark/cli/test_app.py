from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.benchmark.cli.command import bench, done, words

VERBS = ["run", "leaderboard", "show", "diff", "sample", "score", "list", "data", "new", "check", "check-dataset"]
VERBS += ["tune", "ablation"]

ERRORS = [
    (["run"], "Nothing is selected: add --all"),
    (["run", "--detector", "vea"], "Unknown detector 'vea': did you mean vae"),
    (["run", "--detector", "knn,vea"], "Unknown detector 'vea': did you mean vae"),
    (["run", "--detector", "pyodd:HBOS"], "Unknown detector 'pyodd:HBOS'"),
    (["run", "--dataset", "minst"], "Unknown dataset 'minst': did you mean mnist"),
    (["run", "--dataset", "digits", "--class", "ten"], "Unknown class of digits 'ten'"),
    (["run", "--dataset", "digits", "--class", "3,12"], "Unknown class of digits '12'"),
    (["run", "--dataset", "digits", "--device", "tpu"], "--device is auto, cpu or cuda"),
    (["run", "--dataset", "digits", "--protocol", "svdd"], "Unknown protocol 'svdd': did you mean deep-svdd?"),
    (["run", "--dataset", "digits", "--plugin", "nothing.py"], "There is no Python file nothing.py"),
    (["run", "--dataset", "digits", "--detector", "nothing.py"], "There is no Python file nothing.py"),
    (["run", "--dataset", "digits", "--image-size", "16"], "--image-size is for datasets folder:PATH"),
    (
        ["run", "--dataset", "digits", "--out", __file__],
        "it is a file): choose another folder",
    ),
    (
        ["run", "--dataset", "digits", "--out", f"{__file__}/deeper"],
        f"({__file__}: it is a file)",
    ),
    (["run", "--dataset", "digits", "--seeds", "2", "--seed", "1"], "give only one of them"),
    (["run", "--dataset", "digits", "--seed", "1,x"], "--seed x: a seed is a whole number from 0 up"),
    (["run", "--dataset", "digits", "--jobs", "0"], "Invalid value for '--jobs'"),
    (
        ["run", "--all", "--dataset", "digits"],
        "--all is every detector on MNIST and CIFAR-10",
    ),
    (["run", "--dataset", "digits", "--trace", "--results-only"], "leave out --trace, or --results-only"),
    (["run", "--dataset", "digits", "--together", "--trace"], "--together goes with neither --trace nor --scheduler"),
    (["run", "--dataset", "digits", "--together", "--scheduler", "local:2"], "--together goes with neither --trace"),
    (["run", "--dataset", "digits", "--jobs", "2", "--scheduler", "local:2"], "--jobs is for this machine"),
    (["run", "--dataset", "digits", "--detectr", "vae"], "No such option: --detectr"),
    (["leaderboard", "--protocol", "x"], "Unknown protocol 'x': there are deep-svdd, memae."),
    (["show", "mnits", "3"], "did you mean mnist"),
    (["show", "digits", "three"], "Unknown class of digits 'three'"),
    (["sample", "vea", "--dataset", "digits", "--class", "3"], "Unknown detector 'vea'"),
    (["score", "nowhere", "x.png"], "nowhere holds no stored model"),
    (["data", "imagenet"], "Unknown dataset 'imagenet'"),
    (["check", "vea"], "Unknown detector 'vea'"),
    (["check"], "No detector is named"),
    (["check-dataset", "minst"], "Unknown dataset 'minst'"),
    (["tune", "vea", "--dataset", "mnist"], "Unknown detector 'vea'"),
    (["ablation", "vae", "--dataset", "minst"], "Unknown dataset 'minst'"),
    (["lis"], "No such command 'lis'"),
]
"""Command lines that cannot be meant, and what is said of them before torch is imported."""
PROGRAM = """
import json, sys
from typer.testing import CliRunner
from oodbench.benchmark.cli.app import app

found = [CliRunner().invoke(app, arguments) for arguments in json.load(sys.stdin)]
print(json.dumps([[result.exit_code, result.stderr, result.output] for result in found]))
print([module for module in ("torch", "scipy", "sklearn") if module in sys.modules])
"""


def test_bad_input_is_one_sentence_and_exit_code_2_before_torch_is_imported(tmp_path: Path) -> None:
    given = json.dumps([arguments for arguments, _ in ERRORS])
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=given, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    answers, imported = ended.stdout.splitlines()
    for (arguments, message), (code, stderr, output) in zip(ERRORS, json.loads(answers), strict=True):
        assert code == 2, (arguments, output)
        assert message in words(stderr), arguments
        assert "Traceback" not in output
    assert imported == "[]"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--dataset", "digits", "--set", "ae.latent=3"], "did you mean latent_size"),
        (["show", "digits", "3", "--out", "nowhere"], "There are no results of digits with normal class 3"),
        (["sample", "vae", "--dataset", "digits", "--class", "3", "--out", "nowhere"], "There is no stored model in"),
        (["leaderboard", "--out", "nowhere"], "There are no results in nowhere"),
        (["leaderboard", "--json", "--out", "nowhere"], "There are no results in nowhere"),
    ],
)
def test_other_bad_input_is_one_sentence_and_exit_code_2_too(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = bench(*arguments)
    assert result.exit_code == 2, result.output
    assert message in words(result.stderr)
    assert "Traceback" not in result.output


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    result = bench("run", "--dataset", "digits", "--out", tmp_path / "mine")
    assert result.exit_code == 2
    assert f"({tmp_path}: permission denied): choose another folder with --out" in result.stderr


def test_help_names_every_verb_with_its_whole_sentence() -> None:
    text = done("--help")
    listed = words(text.partition("Commands:")[2])
    for verb in VERBS:
        assert re.search(rf"(^| ){verb} [A-Z]", listed), verb
    assert "..." not in listed
    assert "Run the selected trials that are not done yet, then write the leaderboard" in listed


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_is_not_cut(verb: str) -> None:
    text = done(verb, "--help")
    assert "…" not in text


def test_version() -> None:
    assert done("--version") == f"oodbench {version('oodbench')}\n"


def test_help_does_not_wait_for_torch() -> None:
    loaded = "import sys, oodbench.benchmark.cli.app; print('torch' in sys.modules, 'pandas' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", loaded], text=True) == "False False\n"
