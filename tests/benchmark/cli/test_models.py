"""`bench sample` and `score`."""

from __future__ import annotations

import re
from pathlib import Path

from PIL import Image

from tests.benchmark.cli.command import bench, done, pasted

PLUGIN = Path(__file__).parents[1] / "plugin_for_tests.py"


def test_sample_draws_from_the_stored_model(finished: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "grid.png"
    select = ["VAE", "--dataset", "digits", "--class", "3", "--set", "vae.epochs=3", "--out", finished]
    done("sample", *select, "-n", "16", "--output", output)
    with Image.open(output) as image:
        assert image.size == (8 * (64 + 2) + 2, 2 * (64 + 2) + 2)


def test_sample_of_a_detector_that_cannot(tmp_path: Path) -> None:
    select = ["test-mean", "--dataset", "digits", "--class", "3", "--plugin", PLUGIN]
    result = bench("sample", *select, "--output", tmp_path / "x.png")
    assert result.exit_code == 2
    assert "test-mean cannot sample" in result.stderr


def test_sample_draws_from_the_model_of_its_protocol(tmp_path: Path) -> None:
    select = ["--dataset", "digits", "--class", "3", "--out", tmp_path]
    done("run", "--detector", "gmm", *select, "--protocol", "memae")
    output = ["--output", tmp_path / "grid.png"]
    done("sample", "gmm", *select, *output, "--protocol", "memae")
    other = bench("sample", "gmm", *select, *output)
    assert other.exit_code == 2
    assert "There is no stored model in" in other.stderr


def test_the_command_that_sample_names_makes_the_model(tmp_path: Path) -> None:
    select = ["gmm", "--dataset", "digits", "--class", "3"]
    sample = ["sample", *select, "--out", tmp_path, "--output", tmp_path / "x.png"]
    (command,) = re.findall(r"run `(.+)` to make it", bench(*sample).stderr)
    assert pasted(command).exit_code == 0
    done(*sample)


def test_scores_of_images_are_shown_with_whole_names(finished: Path, tmp_path: Path) -> None:
    path = tmp_path / f"{'long-name-' * 12}.png"
    Image.new("L", (8, 8)).save(path)
    assert f" {path} " in done("score", finished / "runs" / "digits" / "gmm" / "class-3_seed-0", path)
