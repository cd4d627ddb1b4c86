"""What the command prints does nothing to a terminal, and can be copied."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from oodbench.benchmark.cli import terminal
from oodbench.benchmark.cli.display import LineDisplay, LiveDisplay
from oodbench.benchmark.cli.options import split_values
from oodbench.benchmark.cli.outcome import show_failures
from oodbench.benchmark.cli.tables import data_table, split_table
from oodbench.benchmark.cli.terminal import complain, make_table, say, show_json, show_tables
from oodbench.benchmark.results.collection import Results
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.trials import Trial
from tests.benchmark.cli.command import bench, done
from tests.benchmark.made_up import result

ODD = "a [/bold][red] :cat: \x1b[31m\x9b\x07\n\r\u202e猫 قط caf\udce9"
SHOWN = r"a [/bold][red] :cat: \x1b[31m\x9b\x07\n\r\u202e猫 قط caf\xe9"
TRIAL = Trial("digits\x1b]0;x\x07", "vae", 3, 0)


def test_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    say(ODD, style="red")
    complain(ODD)
    assert capsys.readouterr() == (f"{SHOWN}\n", f"{SHOWN}\n")


def test_tables(capsys: pytest.CaptureFixture[str]) -> None:
    table = make_table(("detector", ODD), title=ODD)
    table.add_row(ODD, "x", style="red")
    show_tables(table, data_table([(ODD, ODD)], Path(ODD)))
    assert capsys.readouterr().out.count(SHOWN) == 6


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    show_json({"name": ODD, "list": [1, "\u2028"]})
    text = capsys.readouterr().out
    assert "猫" in text
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e\ud800-\udfff]", text)
    assert json.loads(text) == {"name": ODD, "list": [1, "\u2028"]}


@pytest.mark.parametrize("display", [LineDisplay, LiveDisplay])
def test_progress(display: type[LineDisplay]) -> None:
    console = Console(file=io.StringIO(), width=400)  # knows markup and emoji codes
    with display(console) as shows:
        shows.begin(2, 2, 0, 1)
        shows.progress(TRIAL, 0, 1)
        shows.warn(ODD)
        shows.finished(TRIAL, result(class_name=ODD))
        shows.finished(TRIAL, result(status="failed", error=ODD))
        shows.progress(TRIAL, 0, 1)
        if isinstance(shows, LiveDisplay):
            console.print(shows.render())
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert SHOWN in text
    assert (
        r"digits\x1b]0;x\x07 a [/bold][red] :cat: \x1b[31m\x9b\x07\n\r\u202e猫 قط caf\udce9 vae seed 0: AUROC" in text
    )
    assert "\x1b]" not in text
    assert "\x9b" not in text


def test_a_failure_with_odd_names(capsys: pytest.CaptureFixture[str]) -> None:
    failed = result(
        status="failed", class_name="a'b\n", error="[/x]\nboom", command=TRIAL.command("a'b\n", ["--out", "x y"])
    )
    show_failures([failed], 1)
    line = capsys.readouterr().out.splitlines()[1]
    command, _, error = line.partition(": [/x] boom")
    assert not error
    spelt = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, check=True).stdout
    assert spelt.decode().split("\0")[:-1] == shlex.split(failed.command)


def test_a_split_with_odd_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_tables(
        split_table(Store.at(tmp_path), Results([result(class_name="[/x]\x1b", status="failed", error="a\n:cat:")]))
    )
    out = capsys.readouterr().out
    assert r"mnist, normal class [/x]\x1b" in out
    assert "a :cat:" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "digits", "\x1b[31m[/bold]:cat:"),
        ("run", "--dataset", "\x1b[31m[/bold]:cat:"),
        ("run", "--all", "--seed", "\x1b[31m[/bold]:cat:"),
        ("\x1b[31m[/bold]:cat:",),
        ("run", "--\x1b[31m[/bold]:cat:"),
        ("leaderboard", "\x1b[31m[/bold]:cat:"),
        ("score", "\x1b[31m[/bold]:cat:", "x"),
        ("diff", "\x1b[31m[/bold]:cat:"),
    ],
)
def test_errors_repeat_what_was_typed(arguments: tuple[str, ...]) -> None:
    result = bench(*arguments)
    assert result.exit_code == 2
    assert r"\x1b[31m[/bold]:cat:" in result.output
    assert "\x1b" not in result.output


def test_results_go_to_a_folder_whose_name_is_utf8(tmp_path: Path) -> None:
    error = bench("run", "--dataset", "digits", "--detector", "mean", "--out", f"{tmp_path}/caf\udce9").stderr
    assert error == f"Error: The name of {tmp_path}/caf\\xe9 is not UTF-8: choose another folder with --out.\n"


def test_a_folder_with_an_odd_name(tmp_path: Path) -> None:
    out = tmp_path / "[/bold]:cat: $x$ 猫\n\x1b'\""
    Store.at(out).write(result(command=TRIAL.command("3", ["--out", str(out)])))
    done("leaderboard", "--out", out)
    page = (out / "README.md").read_text(encoding="utf-8")
    commands = page.partition("```sh\n")[2].partition("\n```")[0].splitlines()
    spelt = subprocess.run(["bash", "-c", f"printf '%s\\0' {commands[0]}"], capture_output=True, check=True).stdout
    assert spelt.decode().split("\0")[:-1][-1] == str(out)
    done("leaderboard", "--check", "--out", out)


def test_names_with_spaces_around_them_are_found() -> None:
    known = {" a", "b ", "c,d"}.__contains__
    assert split_values([" a", " a,b ", "x , y", "c,d"], known) == [" a", " a", "b ", "x", "y", "c,d"]


def test_only_names_are_kept_whole() -> None:
    assert terminal.make_table(("detector", "x")).columns[0].no_wrap
    assert not terminal.make_table(("detector", "x")).columns[1].no_wrap
