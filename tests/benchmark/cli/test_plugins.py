"""`bench list`, `new`, `check`, `check-dataset` and `data`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmark.cli.command import bench, done, words

PLUGIN = Path(__file__).parents[1] / "plugin_for_tests.py"
DETECTOR = '''
from oodbench.detectors import Detector, check_images, register

@register("mine")
class Mine(Detector):
    """Distance to the mean training image."""

    def fit(self, images, *, monitor=None):
        check_images(images)
        self.mean_ = images.mean(0)
        return self

    def score(self, images):
        check_images(images, self.mean_.shape)
        return (images - self.mean_).flatten(1).norm(dim=1)
'''


def test_list_shows_what_there_is_and_where_from() -> None:
    text = words(done("list", "--plugin", PLUGIN))
    for name in ("memvae", "mnist", "cifar10", "fashion-mnist", "digits", "built in", "test-mean"):
        assert name in text


def test_list_as_json() -> None:
    found = json.loads(done("list", "--plugin", PLUGIN, "--json"))
    by_name = {entry["name"]: entry for entry in found["detectors"]}
    assert by_name["vae"]["samples"] is True
    assert by_name["knn"]["samples"] is False
    assert by_name["test-mean"]["source"] == f"file {PLUGIN}"
    assert {"name": "digits", "classes": 10}.items() <= {entry["name"]: entry for entry in found["datasets"]}[
        "digits"
    ].items()


def test_a_file_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(DETECTOR, encoding="utf-8")
    for arguments in (["mine.py"], ["--plugin", "mine.py"], ["mine", "--plugin", "mine.py"]):
        assert " 0 failed" in words(done("check", *arguments))


def test_a_file_without_what_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "empty.py"
    path.write_text("", encoding="utf-8")
    for verb in ("check", "check-dataset"):
        result = bench(verb, path)
        assert result.exit_code == 2
        assert 'put @register("its-name") before the class' in result.stderr


def test_a_file_that_cannot_be_imported(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("import no_such_module", encoding="utf-8")
    for arguments in (["check", path], ["run", "--detector", path, "--dataset", "digits", "--out", tmp_path]):
        result = bench(*arguments)
        assert result.exit_code == 2
        assert f"file {path} cannot be used: ModuleNotFoundError: No module named 'no_such_module'" in result.stderr


def test_data_says_what_is_there(tmp_path: Path) -> None:
    text = words(done("data", "--data-dir", tmp_path))
    assert "digits │ ready" in text
    command = f"`bench data mnist --data-dir {tmp_path}` downloads what is missing"
    assert f"mnist │ missing train-images-idx3-ubyte and 3 more; {command}" in text
    states = {entry["dataset"]: entry["state"] for entry in json.loads(done("data", "--json", "--data-dir", tmp_path))}
    assert states["digits"] == "ready"
    assert states["cifar10"].startswith("missing")


def test_data_verifies_what_is_named(data_dir: Path) -> None:
    text = done("data", "mnist,digits", "--data-dir", data_dir)
    assert text == f"mnist: ready in {data_dir}\ndigits: ready in {data_dir}\n"
