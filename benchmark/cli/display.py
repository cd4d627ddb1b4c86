"""What a run shows: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import deque
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from oodbench.benchmark.cli.terminal import shown
from oodbench.benchmark.reporting.format import duration, in_one_line
from oodbench.benchmark.results.result import TrialResult
from oodbench.benchmark.running.listener import Display
from oodbench.benchmark.trials import Trial

LAST = 8
"""Results that the live view keeps in sight."""


class LineDisplay(Display):
    """Prints a line for each result, with the time left.

    Parameters
    ----------
    console : Console
        Where to print.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.todo = self.jobs = self.count = 0
        self.started: dict[Trial, float] = {}
        self.share: dict[Trial, float] = {}
        self.durations: list[float] = []

    def begin(self, total: int, todo: int, stale: int, jobs: int) -> None:
        """Print the plan."""
        self.todo, self.jobs = todo, jobs
        done = total - todo
        parts = [f"{total} trial{'s' if total != 1 else ''}: {done} done already, {todo} to run"]
        if stale:
            parts.append(f" ({stale} of them stale: stored by other code or settings)")
        if todo:
            parts.append(f", {jobs} at a time")
        self.console.print(shown("".join(parts) + "."), soft_wrap=True)

    def warn(self, text: str) -> None:
        """Print the warning."""
        self.console.print(shown(text), style="yellow", soft_wrap=True)

    def progress(self, trial: Trial, step: int, steps: int) -> None:
        """Remember when a trial began and how far it is."""
        if step == 0 or trial not in self.started:
            self.started[trial] = time.monotonic()
        self.share[trial] = step / steps

    def finished(self, trial: Trial, result: TrialResult) -> None:
        """Print the result."""
        self._note(trial)
        line = f"[{self.count:>{len(str(self.todo))}}/{self.todo}] {describe(trial, result)}"
        left = self.time_left()
        self.console.print(shown(line + (f"   {left} left" if left else "")), soft_wrap=True)

    def time_left(self) -> str:
        """Return an estimate from the trials so far, which are mixed like those to come; empty if nothing is known."""
        remaining = self.todo - self.count - sum(self.share.values())
        if not self.durations or self.todo == self.count:
            return ""
        return duration(max(remaining, 0) * sum(self.durations) / len(self.durations) / self.jobs)

    def _note(self, trial: Trial) -> None:
        self.count += 1
        self.share.pop(trial, None)
        if trial in self.started:
            self.durations.append(time.monotonic() - self.started.pop(trial))


class LiveDisplay(LineDisplay):
    """Shows progress of the whole run and of each running trial, with the time left, and the last results."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.last: deque[Text] = deque(maxlen=LAST)
        self.live = Live(console=console, get_renderable=self.render, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last results on the screen."""
        self.live.stop()
        for line in self.last:
            self.console.print(line)

    def finished(self, trial: Trial, result: TrialResult) -> None:
        """Add the result to the last ones."""
        self._note(trial)
        self.last.append(shown(describe(trial, result), "red" if result.status == "failed" else ""))

    def render(self) -> RenderableType:
        """Draw the view."""
        table = Table.grid(padding=(0, 2))
        left = self.time_left()
        table.add_row(
            "all trials",
            ProgressBar(self.todo, self.count + sum(self.share.values()), width=40),
            f"{self.count}/{self.todo}",
            f"{left} left" if left else "",
        )
        for trial, begun in self.started.items():
            share = self.share.get(trial, 0.0)
            table.add_row(
                shown(str(trial)),
                ProgressBar(1.0, share, width=40),
                f"{share:.0%}",
                duration(time.monotonic() - begun),
            )
        return Group(*self.last, table)


def make_display(console: Console) -> Display:
    """Return a live view for a terminal, and plain lines for everything else."""
    return LiveDisplay(console) if console.is_terminal else LineDisplay(console)


def describe(trial: Trial, result: TrialResult) -> str:
    """Return a result as one line."""
    name = f"{trial.dataset} {result.class_name} {trial.label} seed {trial.seed}"
    if result.status == "failed":
        return f"{name}: FAILED, {in_one_line(result.error or '')}"
    return f"{name}: AUROC {result.auroc:.3f}, fitted in {duration(result.fit_seconds)}"
