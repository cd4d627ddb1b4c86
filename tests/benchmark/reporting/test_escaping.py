"""Names and messages are shown as they are, whatever they hold, and do nothing where they are shown."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from oodbench.benchmark.cli.terminal import make_table
from oodbench.benchmark.reporting import figures, leaderboard, pictures, tables
from oodbench.benchmark.reporting.commands import run_commands
from oodbench.benchmark.reporting.format import (
    Markdown,
    command_line,
    csv_cell,
    figure_text,
    markdown_cell,
    markdown_code,
    plain,
)
from oodbench.benchmark.reporting.page import render
from oodbench.benchmark.reporting.plots import Plot
from oodbench.benchmark.reporting.run_folder import _write_csv
from oodbench.benchmark.reporting.summary import Summary
from oodbench.benchmark.reporting.table import as_csv
from oodbench.benchmark.results.collection import Results
from oodbench.benchmark.results.result import TrialResult
from oodbench.benchmark.results.store import Store
from tests.benchmark.made_up import result

ODD = (
    *("a|b", "<img src=x onerror=alert(1)>", "`", "``x`", "[/bold]", "[red]x", ":cat:", "*x*", "_x_", "~~x~~"),
    *(
        "$x^$",
        "a$",
        r"\$\frac{$",
        "a\nb",
        "\x1b[31mred",
        "\x9b31m",
        "\r",
        "\x00",
        "caf\udce9",
        "\u202egnp.exe",
        "\u2028",
    ),
    *(
        "=1+1",
        "+1",
        "-1",
        "@x",
        "'x",
        "\t=1",
        "# x",
        "- x",
        "1. x",
        "---",
        "&lt;",
        "猫",
        "قط",
        "😀",
        "]( x )",
        "![x](y)",
    ),
    *(" a  b ", "C:\\cats\\", "x,y", '"x"', "{label} {0} {x!r}", "%s", "nan", "<!-- /headline -->", "a" * 300, "", " "),
)
HARMLESS = (
    "memae@memory=false",
    "memvae@memory_size=200,epochs=3",
    "pyod:ECOD",
    "folder:my/cats@24",
    "folder:scans (1)",
)
# more often what means something somewhere than by chance
TEXTS = st.one_of(
    st.sampled_from(ODD),
    st.text(
        alphabet=st.one_of(st.sampled_from("|<>`$[]\\*_~:#-+=@'&\n\r\x1b\x00\x9b\u202e\udcff猫"), st.characters()),
        max_size=12,
    ),
)
QUICK = settings(max_examples=25, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate))
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""All but the line feed, which ends lines."""


def storable(text: str) -> str:
    """Return a name that a result may have: datasets and detectors are UTF-8, and not empty."""
    return text.encode("utf-8", "replace").decode() or "x"


def made_up(dataset: str, detector: str, names: list[str], error: str) -> list[TrialResult]:
    """Results of two detectors with odd names, one of which failed on the last class."""
    trials = [(dataset, label, kind) for label in (detector, "vae") for kind in enumerate(names)]
    results = [
        result(
            *(name, label, number, 0, 0.9 - 0.1 * number),
            classes=len(names),
            class_name=class_name,
            diagnostics={"x_y": 0.5},
            unhealthy=(storable(error),),
            environment={"processor": storable(error)},
            command=shlex.join(["bench", "run", "--class", class_name]),
        )
        for name, label, (number, class_name) in dict.fromkeys(trials)
    ]
    failed = result(
        *(dataset, "vae", len(names) - 1, 1),
        classes=len(names),
        class_name=names[-1],
        status="failed",
        error=error or "x",
        command=shlex.join(["bench", "run", "--class", names[-1]]),
    )
    return [*results, failed]


def unescaped_bars(line: str) -> int:
    return len(re.findall(r"(?<!\\)(?:\\\\)*\|", line))


def outside_code(page: str) -> str:
    """Return what of a page is neither a block of code nor a code span."""
    without_blocks = re.sub(r"```sh\n.*?\n```\n", "", page, flags=re.DOTALL)
    return re.sub(r"(?<![`\\])(`+)(?!`)(.*?)(?<!`)\1(?!`)", "", without_blocks)


@given(st.lists(TEXTS, min_size=1, max_size=2), TEXTS, TEXTS, TEXTS)
@settings(QUICK, max_examples=12)
def test_a_page_keeps_its_shape(names: list[str], dataset: str, detector: str, error: str) -> None:
    odd = Summary(Results(made_up(storable(dataset), storable(detector), names, error), [error]))
    tame = Summary(Results(made_up("dataset", "detector", ["x"] * len(names), "error"), ["error"]))
    page, expected = render(odd), render(tame)
    same = len(odd.detectors) == len(tame.detectors)
    rows, expected_rows = (
        [unescaped_bars(line) for line in text.splitlines() if line.startswith("|")] for text in (page, expected)
    )
    assert not same or sorted(rows) == sorted(expected_rows)
    assert not same or page.count("\n## ") == expected.count("\n## ")
    assert "<" not in outside_code(page)
    assert not CONTROL.search(page)
    page.encode()


@given(st.lists(TEXTS, min_size=1, max_size=3), TEXTS, TEXTS)
@QUICK
def test_csv_reads_back(names: list[str], dataset: str, detector: str) -> None:
    frame = Summary(Results(made_up(storable(dataset), storable(detector), names, "error"))).frame
    text = as_csv(frame, float_format="%.6g")
    back = pd.read_csv(io.StringIO(text), keep_default_na=False)
    assert back.columns.tolist() == frame.columns.tolist()
    for column in ("dataset", "detector", "status"):
        cells = [str(cell) for cell in back[column]]
        assert cells == list(map(csv_cell, frame[column]))
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
        assert [cell.removeprefix("'") for cell in cells] == list(map(plain, frame[column]))
    assert not CONTROL.search(text)


@given(TEXTS, TEXTS, TEXTS)
@QUICK
def test_a_terminal_is_told_nothing(dataset: str, detector: str, error: str) -> None:
    made = Summary(Results(made_up(storable(dataset), storable(detector), ["x"], error)))
    ((caption, ranked),) = tables.ranked(made, storable(dataset)).items()
    table = make_table(ranked.header, caption)
    for row in ranked.rows:
        table.add_row(*row, style="red")
    console = Console(file=io.StringIO(), width=10_000, markup=False, emoji=False)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert not CONTROL.search(shown)
    assert plain(storable(detector)).strip() in shown
    assert plain(storable(dataset)).strip() in shown
    assert len({line.count("│") for line in shown.splitlines() if line.startswith("│")}) == 1 or "│" in shown


@pytest.mark.parametrize("start", range(3))
def test_pictures_are_drawn_with_any_name(start: int, tmp_path: Path) -> None:
    name, *others = ODD[start::3]
    labels = list(map(storable, (name, *others)))
    table = pd.DataFrame(np.linspace(0.4, 1, 2 * len(labels)).reshape(-1, 2), index=labels, columns=[name, others[0]])
    sides = table.set_axis(["auroc", "frechet"], axis=1)
    scores = np.arange(8, dtype=np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures.draw_heat_map(tmp_path / "1.png", table=table, dataset=name)
        figures.draw_both_sides(tmp_path / "3.png", table=sides, dataset=name, replay=1.0)
        pictures.draw_roc(tmp_path / "4.png", scores, scores > 3, name)
        pictures.draw_history(tmp_path / "5.png", [{"step": 1, **dict.fromkeys(others[:3], 1.0)}], name)
        pictures.draw_trace(tmp_path / "6.png", [{"step": 1, "auroc": 1.0}], name)
    for picture in tmp_path.iterdir():
        with Image.open(picture) as image:
            image.load()
            assert max(image.size) < 3000


def test_curves_and_samples_are_drawn_with_any_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "scores.npz", score=np.arange(8, dtype=np.float32), is_ood=np.arange(8) > 3)
    np.save(tmp_path / "samples.npy", np.zeros((10, 1, 8, 8), np.uint8))
    names = dict(enumerate(ODD[::4]))
    runs = {(storable(name), label): tmp_path for label, name in names.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures.draw_roc_panels(tmp_path / "1.png", names=names, runs=runs)
        figures.draw_samples(tmp_path / "2.png", names=names, runs=runs)


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_names_stay_what_they_are(name: str) -> None:
    for shown in (plain, command_line, markdown_cell, figure_text, csv_cell):
        assert shown(name) == name
    assert markdown_code(name) == f"`{name}`"


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("a|b", r"a\|b"),
        ("<img onerror=x>", "&lt;img onerror=x&gt;"),
        ("a_b _c_", r"a_b \_c\_"),
        ("**x** `y` ~z~ [l](u)", r"\*\*x\*\* \`y\` \~z\~ \[l\](u)"),
        ("$x$", r"\$x\$"),
        ("&amp; A&B & c", "&amp;amp; A&amp;B & c"),
        ("a\n b\t\x1b", r"a b \\x1b"),
        ("# a #", r"\# a \#"),
        ("- a", r"\- a"),
        ("-0.5", "-0.5"),
        ("+0.012", "+0.012"),
        ("1. a", r"1\. a"),
        (":cat: 12:30:45", ":&#8288;cat: 12:30:45"),
        (Markdown("**x**"), "**x**"),
    ],
)
def test_markdown_cells(text: str, cell: str) -> None:
    assert markdown_cell(text) == cell


@pytest.mark.parametrize(
    ("text", "code"),
    [("x", "`x`"), ("a`b", "``a`b``"), ("`", "`` ` ``"), ("a\nb", r"`a\nb`"), ("<b>", "`<b>`"), ("a  b", "`a  b`")],
)
def test_markdown_code(text: str, code: str) -> None:
    assert markdown_code(text) == code


def test_control_characters_are_visible() -> None:
    assert plain("a\n\t\x1b\x9b\x7f\udce9\u202e\u2028é猫") == r"a\n\t\x1b\x9b\x7f\xe9\u202e\u2028é猫"


def test_a_picture_shows_dollars_and_what_its_font_lacks() -> None:
    assert figure_text("$x$ é") == r"\$x\$ é"
    assert figure_text("猫\n") == r"\u732b\n"
    assert figure_text("_x") == " _x"
    assert len(figure_text("x" * 300)) == 80


@pytest.mark.parametrize(
    ("text", "cell"), [("=1", "'=1"), ("-x", "'-x"), ("'x", "''x"), ("a\r\nb", r"a\r\nb"), ("a=", "a=")]
)
def test_csv_cells(text: str, cell: str) -> None:
    assert csv_cell(text) == cell


@pytest.mark.parametrize("word", [text for text in ODD if "\x00" not in text and "\ud800" not in text])
def test_a_command_does_the_same_when_it_is_copied(word: str) -> None:
    line = command_line(shlex.join(["printf", "%s", word, "a'b \\n"]))
    assert not CONTROL.search(line)
    assert "\n" not in line
    ran = subprocess.run(["bash", "-c", line], capture_output=True, check=True)
    assert ran.stdout == (word + "a'b \\n").encode("utf-8", "surrogateescape")


def test_a_command_that_was_cut_off_ends_nothing() -> None:
    cut = [result(command="bench run --dataset 'mni"), result(normal_class=4, command="'\x1b")]
    assert run_commands(Summary(Results(cut))) == ["bench run --dataset mnist --class 3,4 --detector vae"]
    assert r"'\x1b" in render(Summary(Results(cut[::-1]))) or "$'" in render(Summary(Results(cut[::-1])))


def test_links_of_pictures_hold_their_name() -> None:
    plot = Plot("folder-猫 (1)@24-roc.png", "ROC ](x", "d", "", "", None)
    assert plot.markdown == r"![ROC \](x](plots/folder-%E7%8C%AB%20%281%29@24-roc.png)"


def test_files_of_odd_results_are_written_and_checked(tmp_path: Path) -> None:
    store = Store.at(tmp_path)
    for one in made_up(
        "folder:$a|b`<x>\x1b", 'pyod:"=$x$"', ["<img onerror=x>", "猫\n", "$_"], "[/bold] caf\udce9 :cat:"
    ):
        store.write(one)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        leaderboard.update(store)
    assert leaderboard.check(store) == []
    assert len(store.read_all()) == 7


def test_an_error_that_names_a_file_that_is_no_utf8_is_stored(tmp_path: Path) -> None:
    store = Store.at(tmp_path)
    store.write(result(status="failed", error="no file caf\udce9", traceback="caf\udce9"))
    assert store.read_all()[0].error == r"no file caf\udce9"


def test_a_class_may_be_called_like_a_column_of_published_figures() -> None:
    named = [result(normal_class=k, class_name=name, classes=3) for k, name in enumerate(("paper", "mean", "method"))]
    rows = tables.published(Summary(Results(named)), "mnist").rows
    assert {cell for row in rows for cell in row[1:4]} == {"—"}


def test_measures_that_a_detector_reports_are_fit_for_a_spreadsheet(tmp_path: Path) -> None:
    _write_csv(tmp_path / "history.csv", [{"step": 1, "=loss\x1b": 0.5}])
    assert (tmp_path / "history.csv").read_text() == "step,'=loss\\x1b\n1,0.5\n"


def test_combining_marks_need_no_escape() -> None:
    assert not [mark for mark in map(chr, range(0x300, 0x370)) if unicodedata.combining(mark) and plain(mark) != mark]
