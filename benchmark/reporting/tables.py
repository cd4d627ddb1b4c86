"""The tables of the leaderboard's page."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from oodbench.benchmark.evaluation.measures import GENERATION
from oodbench.benchmark.reporting.format import DASH, Markdown, duration, markdown_cell, or_dash
from oodbench.benchmark.reporting.published import beside_ours
from oodbench.benchmark.reporting.summary import NOISE_BAR, Mean, Summary
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
EXTRA = "with extra data (ranked among themselves)"
"""Describes detectors that have seen images beyond the training images."""


def ranked(summary: Summary, dataset: str, *, unranked: bool = True) -> dict[str, Table]:
    """Return the ranked tables of a dataset: of detectors without extra data, and of those with, if there are any.

    Parameters
    ----------
    summary : Summary
        Of the results to show.
    dataset : str
        Its name.
    unranked : bool
        Whether detectors without a rank stand below those with one; otherwise they are left out.

    Returns
    -------
    dict of str to Table
        From a caption to a row a detector, best first; none of a table without rows.
    """
    shown = [label for label in summary.detectors_on(dataset) if unranked or label in summary.ranks[dataset]]
    groups = {
        dataset: [label for label in shown if label not in summary.extra_data],
        f"{dataset}, {EXTRA}": [label for label in shown if label in summary.extra_data],
    }
    return {caption: _ranked(summary, dataset, labels) for caption, labels in groups.items() if labels}


def _ranked(summary: Summary, dataset: str, labels: list[str]) -> Table:
    ranks = summary.ranks[dataset]
    columns = {
        "": [str(place) if label in ranks else DASH for place, label in enumerate(labels, start=1)],
        "detector": labels,
        "extra data": [summary.extra_data.get(label, "") for label in labels],
        "AUROC": [_marked(summary, dataset, label) for label in labels],
        "rank": [or_dash(ranks.get(label), "{:.2f}") for label in labels],
        "fit": [_fit_time(summary, dataset, label) for label in labels],
        "Fréchet": [_frechet(summary, dataset, label) for label in labels],
        "generates": ["yes" if summary.can_sample(label) else DASH for label in labels],
    }
    if not any(columns["extra data"]):
        del columns["extra data"]
    # with a distance one sees that images are generated
    del columns["generates" if len(summary.controls(dataset)) else "Fréchet"]
    return Table(list(columns), list(zip(*columns.values(), strict=True)))


def headline(summary: Summary) -> Markdown:
    """Return the tables at the top of the page: for each dataset the ranked ones, under their captions."""
    return _captioned(ranked(summary, dataset) for dataset in summary.datasets)


def readme_table(summary: Summary) -> Markdown:
    """Return the short tables for the top of a README.

    They have the ranked detectors alone, and the benchmark's own datasets alone where there are results of these.
    """
    own = [dataset for dataset in summary.datasets if dataset in BENCHMARK_DATASETS] or summary.datasets
    note = noise_note(summary, own)
    shown = _captioned(ranked(summary, dataset, unranked=False) for dataset in own)
    return Markdown(f"{shown}\n\n{note}") if note else shown


def noise_note(summary: Summary, datasets: Iterable[str]) -> str:
    """Return what `TAKES_NOISE` means; empty if no row of these datasets bears it."""
    marked = any(summary.takes_noise_for_normal(dataset, label) for dataset in datasets for label in summary.detectors)
    return TAKES_NOISE_NOTE if marked else ""


def _captioned(groups: Iterable[dict[str, Table]]) -> Markdown:
    tables = [(caption, table) for group in groups for caption, table in group.items()]
    return Markdown("\n\n".join(f"**{markdown_cell(caption)}**\n\n{table}" for caption, table in tables))


def by_class(summary: Summary, dataset: str) -> Table:
    """Return the AUROC of detectors × classes, the best of each class in bold, of those with extra data too."""
    table = summary.by_class(dataset)
    extra = table.index.isin(list(summary.extra_data))
    groups = [table[extra], table[~extra]]
    # the only row of its kind is not the best of any
    best = {detector: group.max() for group in groups if len(group) > 1 for detector in group.index}
    unhealthy = {(result.label, result.normal_class) for result in summary.unhealthy if result.dataset == dataset}
    rows = []
    for detector, values in table.to_dict(orient="index").items():
        failed = summary.failed(dataset, str(detector))
        cells = []
        for label in summary.class_names[dataset]:
            value = values[label]
            text = or_dash(value, "{:.3f}")
            text = f"**{text}**" if detector in best and value == best[detector][label] else text
            text = Markdown(f"{text} {UNHEALTHY}" if (detector, label) in unhealthy else text)
            cells.append("failed" if label in failed else text)
        rows.append([str(detector), *cells, _marked(summary, dataset, str(detector))])
    return Table(["detector", *summary.class_names[dataset].values(), "mean"], rows)


def published(summary: Summary, dataset: str) -> Table:
    """Return the figures of papers, beside which ours are compared."""
    header = ["method", *summary.class_names[dataset].values(), "mean"]
    return Table([*header, "ours − paper", "protocol", "source"], beside_ours(summary, dataset))


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
    """Return the measures of samples, the best Fréchet distance first, and those of the controls below.

    There is a column of ranks where the features are good enough to rank by.
    """
    ranks = summary.generation_ranks[dataset]
    rows = []
    for detector in summary.detectors_on(dataset):
        means = [summary.mean(dataset, detector, metric) for metric in GENERATION]
        first = means[0]
        if first:
            rank = [or_dash(ranks.get(detector), "{:.2f}")] if ranks else []
            cells = [over_seeds(mean) if mean else DASH for mean in means]
            place = detector in summary.extra_data, not first.complete, first.value
            rows.append((*place, [_named(detector, first), *rank, *cells]))
    text = [cells for *_, cells in sorted(rows)]
    no_rank = [DASH] if ranks else []
    for name, *values in summary.controls(dataset).itertuples():
        control = markdown_cell(CONTROLS.get(str(name), str(name)))
        text.append([Markdown(f"*{control}*"), *no_rank, *(f"{value:.3f}" for value in values)])
    return Table(["detector", *(["rank"] if ranks else []), *(GENERATION_TITLES[name] for name in GENERATION)], text)


def ablations(summary: Summary, dataset: str) -> Table:
    """Return each detector that also ran with changed hyperparameters, and below it how these rows differ from it."""
    frechet = len(summary.controls(dataset)) > 0
    present = summary.detectors_on(dataset)
    rows = []
    for base in present:
        changed = [label for label in present if summary.changed.get(label) == base]
        for label in [base, *changed] if changed else []:
            cells = [label, _auroc(summary, dataset, label), _difference(summary, dataset, label, base, "auroc")]
            if frechet:
                cells += [_frechet(summary, dataset, label), _difference(summary, dataset, label, base, "frechet")]
            rows.append(cells)
    return Table(["detector", "AUROC", "difference", *(["Fréchet", "difference"] if frechet else [])], rows)


def _difference(summary: Summary, dataset: str, label: str, base: str, metric: str) -> str:
    form = "{:+z.3f}" if metric == "auroc" else "{:+z.2f}"
    return "" if label == base else or_dash(summary.difference(dataset, label, base, metric), form)


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


def over_seeds(mean: Mean, form: str = ".3f") -> str:
    """Return a mean ± its standard deviation over seeds, if there are several."""
    deviation = f" ± {mean.deviation:{form}}" if len(mean.seeds) > 1 else ""
    return f"{mean.value:{form}}{deviation}"


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
