from __future__ import annotations

import io

from rich.console import Console

from oodbench.benchmark.cli.display import LineDisplay, LiveDisplay, make_display
from oodbench.benchmark.trials import Trial
from tests.benchmark.made_up import result

TRIAL = Trial("mnist", "vae", 3, 0)


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_plain_lines_in_a_pipe_and_a_live_view_on_a_terminal() -> None:
    assert type(make_display(console(terminal=False))) is LineDisplay
    assert type(make_display(console(terminal=True))) is LiveDisplay


def test_lines() -> None:
    out = console(terminal=False)
    display = LineDisplay(out)
    display.begin(12, 10, 1, 2)
    display.progress(TRIAL, 0, 1)
    display.finished(TRIAL, result())
    display.finished(Trial("mnist", "ae", 3, 0), result(status="failed", error="boom\n  [x]"))
    lines = text(out).splitlines()
    assert lines[0] == (
        "12 trials: 2 done already, 10 to run (1 of them stale: stored by other code or settings), 2 at a time."
    )
    assert lines[1].startswith("[ 1/10] mnist 3 vae seed 0: AUROC 0.900, fitted in 10 s")
    assert lines[1].endswith("left")
    assert lines[2].startswith("[ 2/10] mnist 3 ae seed 0: FAILED, boom [x]")


def test_live_view_shows_what_runs_and_what_is_done() -> None:
    out = console(terminal=True)
    display = LiveDisplay(out)
    display.begin(2, 2, 0, 1)
    with display:
        display.progress(TRIAL, 0, 1)
        display.finished(TRIAL, result())
        display.progress(Trial("mnist", "ae", 4, 0), 5, 20)
        out.print(display.render())
    assert "AUROC 0.900" in text(out)
    assert "mnist 4 ae seed 0" in text(out)
    assert "25%" in text(out)
