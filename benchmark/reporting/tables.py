"""The tables of the leaderboard's page."""

from __future__ import annotations

import pandas as pd

from oodbench.benchmark.evaluation.measures import GENERATION
from oodbench.benchmark.reporting.format import DASH, Markdown, duration, markdown_cell, or_dash
from oodbench.benchmark.reporting.published import beside_ours
from oodbench.benchmark.reporting.summary import NOISE_BAR, Mean, Ranking, Summary
from oodbench.benchmark.reporting.table import Table
from oodbench.benchmark.results.collection import PROBED
from oodbench.benchmark.trials import BENCHMARK_DATASETS

UNHEALTHY = "⚠"
"""Marks the figure of an unhealthy model."""
TAKES_NOISE = "†"
"""Marks the figure of a detector to which noise is no more out of distribution than normal images are."""
TAKES_NOISE_NOTE = (
    f"{TAKES_NOISE} takes noise for normal: the mean AUROC of normal test images against uniform noise is under "
    f"{NOISE_BAR}."
)
MEASURES = {
    "aupr_out": ("AUPR out", "{:.3f}"),
    "aupr_in": ("AUPR in", "{:.3f}"),
    "fpr95": ("FPR@95TPR", "{:.3f}"),
    "normal_kept": ("normal kept", "{:.3f}"),
    "ood_caught": ("OOD caught", "{:.3f}"),
    "score_images_per_second": ("images scored per second", "{:,.0f}"),
    "parameters": ("parameters", "{:,.0f}"),
    "peak_memory_mb": ("peak memory, MB", "{:,.0f}"),
}
"""The measures beside AUROC: title and format."""
GENERATION_TITLES = {
    "frechet": "Fréchet distance",
    "kid": "KID",
    "density": "density",
    "coverage": "coverage",
    "class_fidelity": "class fidelity",
    "novelty": "novelty",
}
CONTROLS = {
    "real": "half of the real test images",
    "replay": "training images, replayed",
    "noise": "Gaussian noise, pixel by pixel",
    "mean": "the mean image",
}
"""What the controls are."""

Columns = list[tuple[str, list[str]]]
"""Titles, of which two may be alike, and cells."""


def headline(summary: Summary) -> Table:
    """Return the table at the top: a row a detector; for each dataset AUROC and rank, fit time and Fréchet distance."""
    measured = [dataset for dataset in summary.datasets if len(summary.controls(dataset))]
    overall, generation = summary.overall, summary.overall_generation if measured else None
    columns: Columns = [("", places(summary)), ("detector", summary.detectors)]
    for dataset in summary.datasets:
        columns.append((f"{dataset} AUROC", [_marked(summary, dataset, label) for label in summary.detectors]))
        columns.append((f"{dataset} rank", _ranks(summary, summary.ranking[dataset])))
    if overall:
        columns.append(("average rank", _ranks(summary, overall)))
    for dataset in summary.datasets:
        columns.append((f"{dataset} fit", [_fit_time(summary, dataset, label) for label in summary.detectors]))
    for dataset in measured:
        columns.append((f"{dataset} Fréchet", [_frechet(summary, dataset, label) for label in summary.detectors]))
    if generation:
        columns.append(("generation rank", _ranks(summary, generation)))
    columns.append(("generates", ["yes" if summary.can_sample(label) else DASH for label in summary.detectors]))
    return _from_columns(columns)


def readme_table(summary: Summary) -> str:
    """Return the short table for the top of a README, as Markdown.

    It has the ranked detectors alone, and the benchmark's own datasets alone where there is an overall ranking.
    """
    ranking = summary.overall or summary.ranking[summary.datasets[0]]
    datasets = list(BENCHMARK_DATASETS) if summary.overall else summary.datasets
    labels = list(ranking.ranks)
    columns: Columns = [("rank", [str(place) for place in range(1, len(labels) + 1)]), ("detector", labels)]
    for dataset in datasets:
        columns.append((f"{dataset} AUROC", [_marked(summary, dataset, label) for label in labels]))
    for dataset in datasets:
        columns.append((f"{dataset} fit", [_fit_time(summary, dataset, label) for label in labels]))
    for dataset in datasets:
        if len(summary.controls(dataset)):
            columns.append((f"{dataset} Fréchet", [_frechet(summary, dataset, label) for label in labels]))
    marked = any(summary.takes_noise_for_normal(dataset, label) for dataset in datasets for label in labels)
    return str(_from_columns(columns)) + f"\n\n{TAKES_NOISE_NOTE}" * marked


def ranked_rows(summary: Summary) -> Table:
    """Return the table that a terminal shows at the end of a run: detectors, best first, with AUROC, rank and fit time.

    Parameters
    ----------
    summary : Summary
        Of the results to show: ``Summary(results.select(dataset=…))`` for those of some datasets.

    Returns
    -------
    Table
    """
    columns: Columns = [("", places(summary)), ("detector", summary.detectors)]
    for dataset in summary.datasets:
        columns.append((f"{dataset} AUROC", [_auroc(summary, dataset, label) for label in summary.detectors]))
        columns.append((f"{dataset} rank", _ranks(summary, summary.ranking[dataset])))
        columns.append((f"{dataset} fit", [_fit_time(summary, dataset, label) for label in summary.detectors]))
    return _from_columns(columns)


def by_class(summary: Summary, dataset: str) -> Table:
    """Return the AUROC of detectors × classes, the best of each class in bold."""
    table = summary.by_class(dataset)
    best = table.max()
    unhealthy = {(result.label, result.normal_class) for result in summary.unhealthy if result.dataset == dataset}
    rows = []
    for detector, values in table.to_dict(orient="index").items():
        failed = summary.failed(dataset, str(detector))
        cells = []
        for label in summary.class_names[dataset]:
            value = values[label]
            text = or_dash(value, "{:.3f}")
            text = f"**{text}**" if value == best[label] and len(table) > 1 else text
            text = Markdown(f"{text} {UNHEALTHY}" if (detector, label) in unhealthy else text)
            cells.append("failed" if label in failed else text)
        rows.append([str(detector), *cells, _marked(summary, dataset, str(detector))])
    return Table(["detector", *summary.class_names[dataset].values(), "mean"], rows)


def published(summary: Summary, dataset: str) -> Table:
    """Return the figures of papers, beside which ours are compared."""
    header = ["method", *summary.class_names[dataset].values(), "mean"]
    return Table([*header, "ours − paper", "protocol", "source", "figures were"], beside_ours(summary, dataset))


def measures(summary: Summary, dataset: str) -> Table:
    """Return the means of the measures beside AUROC."""
    rows = []
    for detector in summary.detectors_on(dataset):
        means = {metric: summary.mean(dataset, detector, metric) for metric in MEASURES}
        cells = [or_dash(mean.value if mean else None, MEASURES[metric][1]) for metric, mean in means.items()]
        rows.append([_named(detector, summary.mean(dataset, detector)), *cells])
    return Table(["detector", *(title for title, _ in MEASURES.values())], rows)


def probes(summary: Summary, dataset: str) -> Table:
    """Return the AUROC of normal test images against each probe, in bold below `NOISE_BAR`; empty without any."""
    rows = summary.detectors_on(dataset)
    columns = {
        name: means
        for column, name in PROBED.items()
        if any(means := [summary.mean(dataset, detector, column) for detector in rows])
    }
    cells = [[_marked(summary, dataset, detector, detector) for detector in rows]]
    cells += [[_highlighted(mean) for mean in means] for means in columns.values()]
    header = ["detector", *(name.replace("_", " ") for name in columns)]
    return Table(header, list(zip(*cells, strict=True)) if columns else [])


def generation(summary: Summary, dataset: str) -> Table:
    """Return the measures of samples, the best Fréchet distance first, and those of the controls below."""
    ranks = summary.generation_ranking[dataset].ranks
    rows = []
    for detector in summary.detectors_on(dataset):
        means = [summary.mean(dataset, detector, metric) for metric in GENERATION]
        first = means[0]
        if first:
            rank = or_dash(ranks.get(detector), "{:.2f}")
            cells = [over_seeds(mean) if mean else DASH for mean in means]
            rows.append((not first.complete, first.value, [_named(detector, first), rank, *cells]))
    text = [cells for *_, cells in sorted(rows)]
    for name, *values in summary.controls(dataset).itertuples():
        control = markdown_cell(CONTROLS.get(str(name), str(name)))
        text.append([Markdown(f"*{control}*"), DASH, *(f"{value:.3f}" for value in values)])
    return Table(["detector", "rank", *(GENERATION_TITLES[metric] for metric in GENERATION)], text)


def oracle(summary: Summary) -> Table:
    """Return what choosing the epoch on the test images would bring, for trials that were traced."""
    rows = [
        [*names, f"{auroc:.3f}", f"{best:.3f}", f"{best - auroc:+z.3f}", str(trials)]
        for names, auroc, best, trials in summary.oracle.itertuples()
    ]
    return Table(["detector", "dataset", "as ranked", "with the oracle epoch", "difference", "trials"], rows)


def diagnostics(summary: Summary) -> Table:
    """Return what detectors report of their own training, as means over classes and seeds."""
    found = {
        (detector, dataset): pd.DataFrame(reported).mean()
        for detector in summary.detectors
        for dataset in summary.datasets
        if (reported := _diagnostics(summary, detector, dataset))
    }
    signs = sorted({str(sign) for means in found.values() for sign in means.index})
    rows = [[*names, *(or_dash(means.get(sign), "{:.3g}") for sign in signs)] for names, means in found.items()]
    return Table(["detector", "dataset", *(sign.replace("_", " ") for sign in signs)], rows)


def environments(summary: Summary) -> Table:
    """Return the versions and processors that the results come from."""
    found = pd.DataFrame([result.environment for result in summary.results], dtype=object).drop_duplicates()
    rows = [[DASH if pd.isna(value) else str(value) for value in row] for row in found.to_numpy()]
    return Table(list(map(str, found.columns)), rows)


def places(summary: Summary) -> list[str]:
    """Return the place of each detector in the overall ranking, or in that of the first dataset; else a dash."""
    ranked = (summary.overall or summary.ranking[summary.datasets[0]]).ranks
    return [str(place) if label in ranked else DASH for place, label in enumerate(summary.detectors, start=1)]


def over_seeds(mean: Mean, form: str = ".3f") -> str:
    """Return a mean ± its standard deviation over seeds, if there are several."""
    deviation = f" ± {mean.deviation:{form}}" if len(mean.seeds) > 1 else ""
    return f"{mean.value:{form}}{deviation}"


def _from_columns(columns: Columns) -> Table:
    return Table([title for title, _ in columns], list(zip(*(cells for _, cells in columns), strict=True)))


def _auroc(summary: Summary, dataset: str, detector: str) -> str:
    mean = summary.mean(dataset, detector)
    if mean is None:
        return "failed" if summary.failed(dataset, detector) else DASH
    return over_seeds(mean) + _extent(mean)


def _marked(summary: Summary, dataset: str, detector: str, text: str | None = None) -> str:
    """Return an AUROC, or a text in its place, with a mark if the detector takes noise for normal."""
    mark = f" {TAKES_NOISE}" * summary.takes_noise_for_normal(dataset, detector)
    return (_auroc(summary, dataset, detector) if text is None else text) + mark


def _highlighted(mean: Mean | None) -> str:
    """Return the AUROC against a probe, in bold if it is under the bar."""
    if mean is None:
        return DASH
    return Markdown(f"**{mean.value:.3f}**") if mean.value < NOISE_BAR else f"{mean.value:.3f}"


def _frechet(summary: Summary, dataset: str, detector: str) -> str:
    mean = summary.mean(dataset, detector, "frechet")
    return over_seeds(mean, ".2f") + _extent(mean) if mean else DASH


def _fit_time(summary: Summary, dataset: str, detector: str) -> str:
    mean = summary.mean(dataset, detector, "fit_seconds")
    return duration(mean.median) if mean else DASH


def _ranks(summary: Summary, ranking: Ranking) -> list[str]:
    return [or_dash(ranking.ranks.get(label), "{:.2f}") for label in summary.detectors]


def _named(detector: str, mean: Mean | None) -> str:
    """Mark a detector whose figures are not over all classes."""
    return detector + (_extent(mean) if mean else "")


def _extent(mean: Mean) -> str:
    """Describe over how many classes a mean is, if not over all of them with one seed."""
    return "" if mean.complete else f" ({mean.classes} of {mean.of})"


def _diagnostics(summary: Summary, detector: str, dataset: str) -> list[dict[str, float]]:
    return [
        result.diagnostics
        for result in summary.results
        if (result.label, result.dataset) == (detector, dataset) and result.diagnostics
    ]
