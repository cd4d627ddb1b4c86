from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from oodbench.benchmark.reporting import leaderboard
from oodbench.benchmark.results.store import Store
from tests.benchmark.cli.command import bench, done, pasted

PLUGIN = Path(__file__).parents[1] / "plugin_for_tests.py"
DIGITS = ["--dataset", "digits", "--class", "0"]


def trials(folder: Path) -> set[str]:
    return {str(result.trial) for result in Store.at(folder).read_all()}


def test_a_run_writes_the_leaderboard(finished: Path) -> None:
    page = (finished / "README.md").read_text()
    assert "vae@epochs=3" in page
    plots = {path.name for path in (finished / "plots").iterdir()}
    assert {"digits-auroc.png", "digits-roc.png", "digits-samples-vae@epochs=3.png"} <= plots


def test_a_run_says_first_and_last_where_it_writes_and_shows_the_ranks(tmp_path: Path) -> None:
    first, *shown, last = done("run", *DIGITS, "--detector", "mean,gmm", "--out", tmp_path).splitlines()
    assert first == f"Writing to {tmp_path} (results, leaderboard) and {tmp_path}/runs (run folders)."
    assert shown[0].startswith("2 trials: 0 done already, 2 to run, ")
    assert last == f"Leaderboard: {tmp_path}/README.md, results: {tmp_path}/results, run folders: {tmp_path}/runs"
    assert "Writing the leaderboard: page, table and plots." in shown
    rows = [line.split("│") for line in shown if "│" in line]
    assert {row[2].strip() for row in rows} == {"mean", "gmm"}


def test_the_ranks_are_of_the_datasets_that_were_run(tmp_path: Path) -> None:
    for dataset in ("digits", "folder:unknown"):
        bench("run", "--dataset", dataset, "--class", "0", "--detector", "mean", "--out", tmp_path)
    text = done("run", *DIGITS, "--detector", "mean", "--out", tmp_path)
    assert "\ndigits " in text  # above its table
    assert "folder:" not in text


def test_values_may_be_joined_and_names_match_whatever_their_case(tmp_path: Path) -> None:
    done(
        "run",
        "--dataset",
        "Digits",
        "--class",
        "3,4",
        "--detector",
        "Mean,COMPLEXITY",
        "--seed",
        "0,1",
        "--out",
        tmp_path,
    )
    assert trials(tmp_path) == {f"digits {label} {name} seed 0" for label in (3, 4) for name in ("mean", "complexity")}


def test_a_file_stands_for_the_detectors_that_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done("new", "mine")
    done("run", *DIGITS, "--detector", "mine.py,mean", "--out", "results")
    results = Store.at(Path("results")).read_all()
    assert {result.detector for result in results} == {"mine", "mean"}
    assert {result.command.partition("--seed 0 ")[2] for result in results} == {"--out results --plugin mine.py"}


def test_failed_trials_are_listed_with_a_command_that_runs_them_again(tmp_path: Path, data_dir: Path) -> None:
    given = ["--out", tmp_path, "--plugin", PLUGIN, "--data-dir", data_dir, "--device", "cpu", "--results-only"]
    result = bench("run", *DIGITS, "--detector", "test-raises", "--detector", "test-mean", *given)
    assert result.exit_code == 1
    assert "1 of 2 trials failed; the others are stored:" in result.stdout
    assert "test-mean seed 0: AUROC" in result.stdout
    (line,) = (line.strip() for line in result.stdout.splitlines() if line.startswith("  bench run"))
    command, cause = line.split(": RuntimeError: this detector", 1)
    for option, value in zip(given[0:8:2], given[1:8:2], strict=True):
        assert f"{option} {value}" in command
    before = trials(tmp_path)
    again = pasted(command)
    assert again.exit_code == 1
    assert "1 trial: 0 done already, 1 to run" in again.stdout
    assert f"{command}: RuntimeError: this detector{cause}" in again.stdout
    assert trials(tmp_path) == before


def test_a_command_of_the_page_runs_its_trials_again(tmp_path: Path) -> None:
    done("run", *DIGITS, "--detector", "test-mean", "--plugin", PLUGIN, "--out", tmp_path / "a b")
    page = (tmp_path / "a b" / "README.md").read_text()
    command = re.findall(r"`(bench run [^`]+)`|^(bench run .+)$", page, flags=re.MULTILINE)[0]
    again = pasted("".join(command))
    assert again.exit_code == 0, again.output
    assert "1 done already, 0 to run" in again.stdout


def test_a_run_with_nothing_to_do_starts_no_process(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    select = ["--dataset", "digits", "--class", "3", "--detector", "gmm,vae", "--set", "vae.epochs=3"]
    program = (
        "import sys, multiprocessing.forkserver as server\n"
        "from oodbench.benchmark.cli.app import app\n"
        "app(sys.argv[1:], standalone_mode=False)\n"
        "print(server._forkserver._forkserver_pid, 'torchvision' in sys.modules)\n"
    )
    command = [sys.executable, "-c", program, "run", *select, "--out", str(finished)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert shown[1] == "2 trials: 2 done already, 0 to run."
    assert shown[-1] == "None False"


def test_a_worker_that_dies_while_plots_are_drawn_costs_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again, and if that fails, too, said in one sentence."""
    select = ["--dataset", "digits", "--class", "0", "--detector", "mean", "--out", tmp_path, "--jobs", "2"]
    with monkeypatch.context() as patched:
        patched.setattr(leaderboard, "_save", die)
        result = bench("run", *select)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: A worker process died 2 times")
    assert result.stderr.endswith("Everything that had finished is stored: the same command goes on from there.\n")
    assert len(result.stderr.splitlines()) == 1
    assert "1 done already, 0 to run" in done("run", *select)
    assert (tmp_path / "plots" / "digits-roc.png").is_file()


def die(*_: object) -> None:
    """Stand where a worker is to draw."""
    os._exit(0)


def test_another_protocol_leaves_the_default_leaderboard_alone(tmp_path: Path) -> None:
    select = ["--dataset", "digits", "--detector", "mean", "--out", tmp_path]
    memae = [*select, "--protocol", "memae"]
    done("run", *select, "--class", "3")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert "10 trials: 0 done already" in done("run", *memae)
    assert {path: path.read_bytes() for path in before} == before
    apart = tmp_path / "protocol-memae"
    new = {path for path in tmp_path.rglob("*") if path.is_file()} - set(before)
    assert all(path.is_relative_to(apart) for path in new)
    assert (apart / "runs" / "digits" / "mean" / "class-3_seed-0" / "roc.png").is_file()
    page = (apart / "README.md").read_text()
    assert page.startswith("# Leaderboard, protocol memae")
    assert "--protocol memae" in page
    assert "--protocol" not in (tmp_path / "README.md").read_text()
    assert "10 done already, 0 to run" in done("run", *memae)
    out = ["--out", tmp_path]
    for options in (out, [*out, "--protocol", "memae"]):
        done("leaderboard", "--check", *options)
    assert f"{apart}/runs/digits" in done("show", "digits", "4", *out, "--protocol", "memae")
    assert bench("show", "digits", "4", *out).exit_code == 2
    for other in (tmp_path, apart):
        assert "10 cells: 10 the same" in done("diff", other, *out, "--protocol", "memae")
    assert "add --protocol memae" in bench("diff", apart, *out).stderr


def test_as_a_command_in_a_process_of_its_own(tmp_path: Path) -> None:
    """Plain lines, unbroken, where there is no terminal."""
    program = Path(sys.executable).with_name("bench")
    select = ["--dataset", "digits", "--class", "0", "--detector", "ae", "--set", "ae.epochs=2"]
    select += ["--set", "ae.channels=[16, 32]"]
    run = subprocess.run([program, "run", *select, "--out", tmp_path], capture_output=True, text=True, check=True)
    lines = run.stdout.splitlines()
    assert lines[1] == "1 trial: 0 done already, 1 to run, 1 at a time."
    shown = r"^\[1/1\] digits 0 ae@channels=\[16, 32\],epochs=2 seed 0: AUROC [01]\.\d{3}, fitted in"
    assert re.search(shown, run.stdout, re.MULTILINE)
    assert "│ ae@channels=[16, 32],epochs=2 │" in run.stdout
    assert "\x1b" not in run.stdout
