"""The leaderboard's page: a template, filled from one summary."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jinja2

from oodbench.benchmark.reporting import commands, notes, tables
from oodbench.benchmark.reporting.format import (
    Markdown,
    command_line,
    duration,
    in_one_line,
    markdown_cell,
    markdown_code,
)
from oodbench.benchmark.reporting.plots import Plot
from oodbench.benchmark.reporting.summary import NOISE_BAR, Summary
from oodbench.benchmark.reporting.table import Table
from oodbench.datasets.components.protocols import DEFAULT_PROTOCOL, PROTOCOLS

ABREAST = 4
"""Pictures side by side."""


@dataclass(frozen=True)
class Section:
    """What the page shows of one dataset.

    Attributes
    ----------
    dataset : str
        Its name.
    seeds : Markdown
        Over how many seeds its figures are means.
    by_class, published, measures, probes, generation, ablations : Table
        Empty where there is nothing to show.
    classifiers : str
        Digests of the classifiers in whose features samples are measured.
    plots : list of Plot
        Below each other.
    samples : list of Table
        Pictures of samples side by side.
    """

    dataset: str
    seeds: Markdown
    by_class: Table
    published: Table
    measures: Table
    probes: Table
    generation: Table
    ablations: Table
    classifiers: str
    plots: list[Plot]
    samples: list[Table]


def render(summary: Summary, plots: Sequence[Plot] = ()) -> str:
    """Write the page.

    Parameters
    ----------
    summary : Summary
        What it says.
    plots : sequence of Plot
        Pictures that lie in ``plots/``.

    Returns
    -------
    str
        Markdown.
    """
    results = summary.results
    seeds = summary.frame.groupby("detector")["seed"].nunique()
    text = _template().render(
        summary=summary,
        protocol=PROTOCOLS[summary.protocol],
        by_default=summary.protocol == DEFAULT_PROTOCOL,
        headline=tables.headline(summary),
        measured={len(summary.controls(dataset)) > 0 for dataset in summary.datasets},
        partial=_has_partial_rows(summary),
        mixed=notes.mixed_versions(summary),
        sections=[_section(summary, dataset, plots) for dataset in summary.datasets],
        oracle=tables.oracle(summary),
        diagnosed=sum(bool(result.diagnostics) for result in results),
        diagnostics=tables.diagnostics(summary),
        failed=[result for result in results if result.status == "failed"],
        run_commands=commands.run_commands(summary),
        leaderboard_command=commands.leaderboard_command(summary),
        fewer_seeds=seeds.min() < seeds.max(),
        dates=sorted({result.finished[:10] for result in results}),
        fitting=duration(summary.done["fit_seconds"].sum()),
        environments=tables.environments(summary),
        UNHEALTHY=tables.UNHEALTHY,
        noise_note=tables.noise_note(summary, summary.datasets),
        BAR=NOISE_BAR,
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("oodbench.benchmark.reporting"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # of HTML
        finalize=_shown,
    )
    environment.filters |= {
        "as_it_is": Markdown,
        "code": lambda command: markdown_code(command_line(command)),
        "command": lambda command: Markdown(command_line(command)),
        "in_one_line": in_one_line,
    }
    return environment.get_template("page.md.j2")


def _shown(value: Any) -> str:
    """Escape what the template shows, unless it is Markdown."""
    return markdown_cell(value if isinstance(value, str) else str(value))


def _section(summary: Summary, dataset: str, plots: Sequence[Plot]) -> Section:
    mine = [plot for plot in plots if plot.dataset == dataset]
    used = {result.classifier for result in summary.results if result.dataset == dataset and result.controls}
    return Section(
        dataset=dataset,
        seeds=notes.over_seeds(summary, dataset),
        by_class=tables.by_class(summary, dataset),
        published=tables.published(summary, dataset),
        measures=tables.measures(summary, dataset),
        probes=tables.probes(summary, dataset),
        generation=tables.generation(summary, dataset),
        ablations=tables.ablations(summary, dataset),
        classifiers=", ".join(sorted(name for name in used if name)),
        plots=[plot for plot in mine if not plot.detector],
        samples=_side_by_side([plot for plot in mine if plot.detector]),
    )


def _side_by_side(plots: Sequence[Plot]) -> list[Table]:
    groups = [plots[start : start + ABREAST] for start in range(0, len(plots), ABREAST)]
    return [Table([plot.detector for plot in group], [[plot.markdown for plot in group]]) for group in groups]


def _has_partial_rows(summary: Summary) -> bool:
    means = (summary.mean(dataset, label) for dataset in summary.datasets for label in summary.detectors)
    return any(mean is not None and not mean.complete for mean in means)
