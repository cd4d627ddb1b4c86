from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from oodbench.benchmark.cli import app as cli
from oodbench.benchmark.cli.app import app

PLUGIN = Path(__file__).parents[1] / "plugin_for_tests.py"
FAST = ["--set", "ae.epochs=3", "--set", "vae.epochs=3"]


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where two detectors have run on one split."""
    folder = tmp_path_factory.mktemp("finished")
    select = ["--dataset", "digits", "--class", "3", "--detector", "ae", "--detector", "vae"]
    done = bench("run", *select, "--out", str(folder), *FAST)
    assert done.exit_code == 0, done.output
    return folder


def test_a_run_writes_the_leaderboard(finished: Path) -> None:
    page = (finished / "README.md").read_text()
    assert "ae@epochs=3" in page
    assert "1/10" in page
    assert {path.name for path in (finished / "plots").iterdir()} == {
        *("digits-auroc.png", "digits-roc.png", "digits-samples-ae@epochs=3.png", "digits-samples-vae@epochs=3.png")
    }


def test_nothing_selected_says_what_to_add() -> None:
    result = bench("run")
    assert result.exit_code == 2
    assert "Nothing is selected: add --all" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--detector", "vea"], "Unknown detector 'vea': did you mean vae"),
        (["run", "--dataset", "minst"], "Unknown dataset 'minst': did you mean mnist"),
        (["run", "--dataset", "digits", "--class", "ten"], "Unknown class of digits 'ten'"),
        (["run", "--dataset", "digits", "--set", "ae.latent=3"], "did you mean latent_size"),
        (["run", "--dataset", "digits", "--device", "tpu"], "--device is auto, cpu or cuda"),
        (["run", "--dataset", "digits", "--seeds", "2", "--seed", "1"], "give only one of them"),
        (["run", "--dataset", "digits", "--plugin", "nothing.py"], "There is no Python file nothing.py"),
        (["run", "--dataset", "digits", "--protocol", "svdd"], "Unknown protocol 'svdd': did you mean deep-svdd?"),
        (["leaderboard", "--protocol", "x"], "Unknown protocol 'x': there are deep-svdd, memae."),
        (["run", "--dataset", "digits", "--jobs", "0"], "Invalid value for '--jobs'"),
        (["show", "mnits", "3"], "did you mean mnist"),
        (["show", "digits", "3", "--out", "nowhere"], "There are no results of digits with normal class 3"),
        (["sample", "vae", "--dataset", "digits", "--class", "3", "--out", "nowhere"], "There is no stored model in"),
        (["leaderboard", "--out", "nowhere"], "There are no results in nowhere"),
        (["data", "imagenet"], "Unknown dataset 'imagenet'"),
        (["lis"], "No such command 'lis'"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments: list[str], message: str) -> None:
    result = bench(*arguments)
    assert result.exit_code == 2, result.output
    assert message in words(result.stderr)
    assert "Traceback" not in result.output


def test_failed_trials_are_listed_and_exit_code_is_1(tmp_path: Path) -> None:
    select = ["--detector", "test-raises", "--detector", "test-mean", "--dataset", "digits", "--class", "0"]
    result = bench("run", "--plugin", str(PLUGIN), *select, "--out", str(tmp_path))
    assert result.exit_code == 1
    assert "1 of 2 trials failed; the others are stored:" in result.output
    assert "--detector test-raises --seed 0: RuntimeError: this detector" in result.output
    assert "test-mean seed 0: AUROC" in result.output


def test_list_shows_what_there_is_and_where_from(tmp_path: Path) -> None:
    text = words(bench("list", "--plugin", str(PLUGIN)).stdout)
    for name in ("memvae", "mnist", "cifar10", "fashion-mnist", "digits", "built in", "test-mean"):
        assert name in text


def test_show(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.console, "_width", 200)
    result = bench("show", "digits", "3", "--out", str(finished))
    assert result.exit_code == 0
    assert "ae@epochs=3" in result.stdout
    assert "auroc" in result.stdout
    (row,) = (line for line in result.stdout.splitlines() if line.startswith("│ ae@epochs=3"))
    auroc, interval = (row.split("│")[index].strip() for index in (3, 7))
    low, high = map(float, interval.split("–"))
    assert low < float(auroc) < high
    assert f"for example {finished}/runs/digits/ae@epochs=3/class-3_seed-0\n" in result.stdout


def test_sample_draws_from_the_stored_model(finished: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "grid.png"
    select = ["vae", "--dataset", "digits", "--class", "3", "--set", "vae.epochs=3", "--out", str(finished)]
    result = bench("sample", *select, "-n", "16", "--output", str(output))
    assert result.exit_code == 0, result.output
    with Image.open(output) as image:
        assert image.size == (8 * (64 + 2) + 2, 2 * (64 + 2) + 2)


def test_sample_of_a_detector_that_cannot(tmp_path: Path) -> None:
    select = ["test-mean", "--dataset", "digits", "--class", "3", "--plugin", str(PLUGIN)]
    result = bench("sample", *select, "--output", str(tmp_path / "x.png"))
    assert result.exit_code == 2
    assert "test-mean cannot sample" in result.stderr


def test_leaderboard_and_its_check(finished: Path) -> None:
    assert bench("leaderboard", "--check", "--out", str(finished)).exit_code == 0
    page = finished / "README.md"
    page.write_text(page.read_text().replace("0.", "1."))
    result = bench("leaderboard", "--check", "--out", str(finished))
    assert result.exit_code == 1
    assert "README.md does not match the results" in result.output
    assert bench("leaderboard", "--out", str(finished)).exit_code == 0
    assert bench("leaderboard", "--check", "--out", str(finished)).exit_code == 0


def test_another_protocol_leaves_the_default_leaderboard_alone(tmp_path: Path) -> None:
    select = ["--dataset", "digits", "--detector", "mean", "--out", str(tmp_path)]
    memae = [*select, "--protocol", "memae"]
    assert bench("run", *select, "--class", "3").exit_code == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    done = bench("run", *memae)
    assert done.exit_code == 0, done.output
    assert "10 trials: 0 done already" in done.output
    assert {path: path.read_bytes() for path in before} == before
    apart = tmp_path / "protocol-memae"
    new = {path for path in tmp_path.rglob("*") if path.is_file()} - set(before)
    assert all(path.is_relative_to(apart) for path in new)
    assert (apart / "runs" / "digits" / "mean" / "class-3_seed-0" / "roc.png").is_file()
    page = (apart / "README.md").read_text()
    assert page.startswith(
        "# Leaderboard, protocol memae\n\nOut-of-distribution detection, one-vs-rest: **protocol memae**"
    )
    assert "bench run --dataset digits --class 0 --detector mean --seed 0 --protocol memae --force" in page
    assert "protocol" not in (tmp_path / "README.md").read_text()
    assert "10 done already, 0 to run" in bench("run", *memae).output
    out = ["--out", str(tmp_path)]
    for options in (out, [*out, "--protocol", "memae"]):
        assert bench("leaderboard", "--check", *options).exit_code == 0
    assert f"{apart}/runs/digits" in bench("show", "digits", "4", *out, "--protocol", "memae").stdout
    assert bench("show", "digits", "4", *out).exit_code == 2
    for other in (tmp_path, apart):
        assert "10 cells: 10 the same" in bench("diff", str(other), *out, "--protocol", "memae").stdout
    assert "add --protocol memae" in bench("diff", str(apart), *out).stderr


def test_sample_draws_from_the_model_of_its_protocol(tmp_path: Path) -> None:
    select = ["--dataset", "digits", "--class", "3", "--out", str(tmp_path)]
    assert bench("run", "--detector", "ppca", *select, "--protocol", "memae").exit_code == 0
    output = ["--output", str(tmp_path / "grid.png")]
    assert bench("sample", "ppca", *select, *output, "--protocol", "memae").exit_code == 0
    other = bench("sample", "ppca", *select, *output)
    assert other.exit_code == 2
    assert "There is no stored model in" in other.stderr


def test_data_says_what_is_there(data_dir: Path, tmp_path: Path) -> None:
    text = words(bench("data", "--data-dir", str(data_dir)).stdout)
    assert "cifar10 │ ready" in text
    assert "mnist │ ready" in text
    text = words(bench("data", "--data-dir", str(tmp_path / "empty")).stdout)
    assert "fashion-mnist │ missing train-images-idx3-ubyte and 3 more" in text
    assert "mnist: ready in" in bench("data", "mnist", "--data-dir", str(data_dir)).stdout


def test_help_names_every_verb() -> None:
    text = bench("--help").stdout
    for verb in ("run", "list", "leaderboard", "show", "sample", "data"):
        assert verb in text


def test_as_a_command_in_a_process_of_its_own(tmp_path: Path) -> None:
    """Plain lines where there is no terminal; and help without waiting for torch."""
    program = Path(sys.executable).with_name("bench")
    select = ["--dataset", "digits", "--class", "0", "--detector", "ae", "--set", "ae.epochs=2"]
    select += ["--set", "ae.channels=[16, 32]"]
    run = subprocess.run([program, "run", *select, "--out", tmp_path], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[0] == "1 trials: 0 done already, 1 to run, 1 at a time."
    shown = r"^\[1/1\] digits 0 ae@channels=\[16, 32\],epochs=2 seed 0: AUROC [01]\.\d{3}, fitted in"
    assert re.search(shown, run.stdout, re.MULTILINE)
    assert "\x1b" not in run.stdout
    loaded = "import sys, oodbench.benchmark.cli.app; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", loaded], text=True) == "False\n"
