"""The leaderboard's page and table, derived from the stored results and nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from oodbench.benchmark.cli.display import duration, or_dash
from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.evaluation.health import symptoms
from oodbench.benchmark.evaluation.metrics import GENERATION
from oodbench.benchmark.files import write_text
from oodbench.benchmark.reporting.plots import Plot, plots_of, stored_digest
from oodbench.benchmark.reporting.published import beside_ours
from oodbench.benchmark.reporting.significance import LEVEL
from oodbench.benchmark.reporting.statistics import Statistics
from oodbench.benchmark.results.store import Result, Store
from oodbench.benchmark.running.interruption import interruption_held_back, result_of
from oodbench.benchmark.running.workers import worker_pool
from oodbench.benchmark.trials import BENCHMARK_DATASETS, protocol_option
from oodbench.datasets.components.protocols import DEFAULT_PROTOCOL, PROTOCOLS

DASH, SICK = "—", "⚠"
ABREAST = 4
"""Pictures side by side."""
QUICK = 5
"""Seconds that a method may take to fit to be called quick."""

MEASURES = (
    "The other measures, as means over all classes. AUPR: average precision with OOD (out) or normal (in) as positive. "
    "FPR95: the share of normal images flagged when 95 % of the OOD images are; lower is better. Normal kept and OOD "
    "caught: what a threshold does on the test part that was set to keep 95 % of held-out normal images, without any "
    "OOD image."
)
GENERATED = (
    "**Generation**: as many samples as there are normal test images, against these, in the features of a classifier "
    "of all classes (weights {weights}). Fréchet and kernel distance: 0 is best. Density: about 1 is best. Coverage: "
    "the share of the real images' neighbourhoods that hold a sample. Class fidelity: the share of samples that the "
    "classifier takes for the normal class. Novelty: how far samples lie from the nearest training image; 0 is a copy, "
    "1 is as far as test images. In italics, what is known, to compare with; half of the real images are half as many "
    "as the samples of a detector, which alone makes their Fréchet distance larger. Means over all classes, ± their "
    "standard deviation over seeds where there are several."
)
CONTROLS = {
    "real": "half of the real test images",
    "replay": "training images, replayed",
    "noise": "Gaussian noise, pixel by pixel",
    "mean": "the mean image",
}
ORACLE = (
    "Of the trials that were run with `--trace`: the mean AUROC as ranked, after the last epoch, and with the oracle "
    "epoch, chosen for each trial as the best on its test images, as much published code does. This shows how much "
    "such a choice flatters; it is no result, is not ranked and stands nowhere else."
)
FROM_PAPERS = (
    "**From papers**: not measured here and not ranked. *Ours − paper* is the difference of the means, of the same "
    "method under the same protocol (each of ours has a page of its own). Networks and epochs differ, and so does the "
    "score of `ae`, `vae`, `memae` and `memvae`, to which much of the difference is due: with `plain_score=true` they "
    "score as in their papers. Figures that were *recalled* have not been checked against the paper: look them up "
    "before you quote them."
)


def update(store: Store, *, jobs: int = 1) -> Path:
    """Write page, CSV and plots anew from the stored results.

    Plots that need run folders (ROC curves, samples) are drawn where these are there; earlier ones are kept if they
    show the same results.

    Parameters
    ----------
    store : Store
        Where the results lie.
    jobs : int
        Processes that draw; more than one pay after a run, whose workers have a server that is ready to fork them.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    UsageError
        There are no results.
    """
    if not store.results.is_dir():
        raise _no_results(store)
    with store.lock("leaderboard"):  # or a slower run that read less would have the last word
        statistics = _statistics(store)
        folder = store.plots
        folder.mkdir(parents=True, exist_ok=True)
        plots = plots_of(statistics, store)
        try:
            _draw([plot for plot in plots if plot.draw is not None], folder, jobs)
        except BaseException:
            store.clear()  # after workers that were killed
            raise
        for path in _outdated(folder, plots):
            path.unlink()
        for name, text in _texts(statistics, store, plots).items():
            write_text(store.leaderboard / name, text)
    return store.leaderboard / "README.md"


def _draw(plots: Sequence[Plot], folder: Path, jobs: int) -> None:
    if jobs == 1:
        for plot in plots:
            plot.save(folder / plot.name)
        return
    with worker_pool(jobs) as pool:
        with interruption_held_back():
            futures = [pool.submit(plot.save, folder / plot.name) for plot in plots]
        for future in futures:
            result_of(future)


def check(store: Store) -> list[str]:
    """Compare what is in the leaderboard's folder with what the stored results give.

    Parameters
    ----------
    store : Store
        Where the results lie.

    Returns
    -------
    list of str
        What does not match; empty if all does.

    Raises
    ------
    UsageError
        There are no results.
    """
    statistics = _statistics(store)
    plots = plots_of(statistics, store)
    problems = []
    for name, text in _texts(statistics, store, plots).items():
        path = store.leaderboard / name
        if not path.is_file():
            problems.append(f"{path} is missing")
        elif path.read_text(encoding="utf-8") != text:
            problems.append(f"{path} does not match the results")
    folder = store.plots
    problems += [f"{path} was drawn from other results" for path in _outdated(folder, plots)]
    drawn = [folder / plot.name for plot in plots if plot.draw is not None]
    return problems + [f"{path} is missing" for path in drawn if not path.is_file()]


def _outdated(folder: Path, plots: Sequence[Plot]) -> list[Path]:
    """Pictures that show other results than the stored ones."""
    current = {(plot.name, plot.digest) for plot in plots}
    return [path for path in sorted(folder.glob("*.png")) if (path.name, stored_digest(path)) not in current]


def _statistics(store: Store) -> Statistics:
    results = store.read_all()
    if not results:
        raise _no_results(store)
    return Statistics(results)


def _no_results(store: Store) -> UsageError:
    return UsageError(f"There are no results in {store.results} yet: run `bench run` first, or name --out.")


def _texts(statistics: Statistics, store: Store, plots: Sequence[Plot]) -> dict[str, str]:
    present = [plot for plot in plots if (store.plots / plot.name).is_file()]
    return {
        "README.md": render(statistics, present),
        "results.csv": statistics.frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"),
    }


def render(statistics: Statistics, plots: Sequence[Plot] = ()) -> str:
    """Write the page.

    Parameters
    ----------
    statistics : Statistics
        What it says.
    plots : sequence of Plot
        Pictures that lie in ``plots/``.

    Returns
    -------
    str
        Markdown.
    """
    blocks = [
        "# Leaderboard" + ("" if statistics.protocol == DEFAULT_PROTOCOL else f", protocol {statistics.protocol}"),
        f"Out-of-distribution detection, one-vs-rest: {PROTOCOLS[statistics.protocol].summary} AUROC: 1 is perfect, "
        "0.5 is chance.",
        headline_table(statistics),
        *_headline_notes(statistics),
        *_images([plot for plot in plots if not plot.dataset]),
    ]
    for dataset in statistics.datasets:
        blocks += [
            f"## {dataset}",
            f"AUROC by normal class{_over_seeds(statistics, dataset)}; the best of each column is bold.",
            class_table(statistics, dataset),
            *_from_papers(statistics, dataset),
            MEASURES,
            measures_table(statistics, dataset),
            *_generation(statistics, dataset),
            *_images([plot for plot in plots if plot.dataset == dataset]),
        ]
    blocks += _oracle(statistics) + _health(statistics) + _failures(statistics) + _how(statistics)
    return "\n\n".join(blocks) + "\n"


def _images(plots: Sequence[Plot]) -> list[str]:
    """Show plots below each other, and those of single detectors side by side."""
    shown = [f"![{plot.caption}](plots/{plot.name})" for plot in plots if not plot.detector]
    single = {plot.detector: f"![{plot.caption}](plots/{plot.name})" for plot in plots if plot.detector}
    if single:
        names = list(single)
        tables = [names[start : start + ABREAST] for start in range(0, len(names), ABREAST)]
        shown += ["Samples, a row for each normal class:"]
        shown += [_markdown(table, [[single[name] for name in table]]) for table in tables]
    return shown


def headline_table(statistics: Statistics) -> str:
    """Give the table that everybody looks at first, as Markdown."""
    rows = []
    measured = [dataset for dataset in statistics.datasets if len(statistics.controls(dataset))]
    for place, detector in enumerate(statistics.detectors, start=1):
        ranked = detector in statistics.average_rank
        rows.append(
            [
                place if ranked else DASH,
                detector,
                *(_mean_over_classes(statistics, dataset, detector) for dataset in statistics.datasets),
                _rank(statistics.average_rank, detector),
                *(_fit_time(statistics, dataset, detector) for dataset in statistics.datasets),
                *(_frechet(statistics, dataset, detector) for dataset in measured),
                *([_rank(statistics.generation_rank, detector)] if measured else []),
                "yes" if statistics.can_sample(detector) else DASH,
            ]
        )
    auroc = [f"{dataset} AUROC" for dataset in statistics.datasets]
    fit = [f"{dataset} fit" for dataset in statistics.datasets]
    frechet = [f"{dataset} Fréchet" for dataset in measured]
    rank = ["generation rank"] if measured else []
    return _markdown(["", "detector", *auroc, "average rank", *fit, *frechet, *rank, "generates"], rows)


def class_table(statistics: Statistics, dataset: str) -> str:
    """Give the AUROC of detectors × classes, as Markdown."""
    table = statistics.by_class(dataset)
    best = table.max()
    sick = {(result["label"], result["normal_class"]) for result in _sick(statistics) if result["dataset"] == dataset}
    rows = []
    for detector in table.index:
        failed = statistics.failures(dataset, detector)
        cells = []
        for label in statistics.class_names[dataset]:
            value = table.loc[detector, label]
            text = or_dash(value, "{:.3f}")
            text = f"**{text}**" if value == best[label] and len(table) > 1 else text
            text = f"{text} {SICK}" if (detector, label) in sick else text
            cells.append("failed" if label in failed else text)
        rows.append([detector, *cells, _mean_over_classes(statistics, dataset, detector)])
    return _markdown(["detector", *statistics.class_names[dataset].values(), "mean"], rows)


def _from_papers(statistics: Statistics, dataset: str) -> list[str]:
    """Give what papers say, apart from our own table."""
    rows = beside_ours(statistics, dataset)
    if not rows:
        return []
    header = ["method", *statistics.class_names[dataset].values(), "mean"]
    return [FROM_PAPERS, _markdown([*header, "ours − paper", "protocol", "source", "figures were"], rows)]


def measures_table(statistics: Statistics, dataset: str) -> str:
    """Give the means of the other measures, as Markdown."""
    columns = {
        "aupr_out": ("AUPR out", "{:.3f}"),
        "aupr_in": ("AUPR in", "{:.3f}"),
        "fpr95": ("FPR95", "{:.3f}"),
        "normal_kept": ("normal kept", "{:.3f}"),
        "ood_caught": ("OOD caught", "{:.3f}"),
        "score_images_per_second": ("images scored a second", "{:,.0f}"),
        "parameters": ("parameters", "{:,.0f}"),
        "peak_memory_mb": ("peak memory, MB", "{:,.0f}"),
    }
    rows = []
    for detector in statistics.by_class(dataset).index:
        means = {metric: statistics.by_seed(dataset, detector, metric) for metric in columns}
        cells = [
            form.format(means[metric].mean()) if len(means[metric]) else DASH for metric, (_, form) in columns.items()
        ]
        rows.append([detector, *cells])
    return _markdown(["detector", *(title for title, _ in columns.values())], rows)


def _generation(statistics: Statistics, dataset: str) -> list[str]:
    """Give the measures of samples, best Fréchet distance first, with the controls below."""
    rows = []
    for detector in statistics.by_class(dataset).index:
        means = [statistics.by_seed(dataset, detector, metric) for metric in GENERATION]
        if all(len(mean) for mean in means):
            rows.append((means[0].mean(), detector, [_over(mean) for mean in means]))
    text = [[detector, *cells] for _, detector, cells in sorted(rows)]
    for name, *measures in statistics.controls(dataset).itertuples():
        text.append([f"*{CONTROLS[str(name)]}*", *(f"{value:.3f}" for value in measures)])
    if not text:
        return []
    used = sorted({result["classifier"] for result in statistics.results if _measured(result, dataset)})
    header = ["detector", *(name.replace("_", " ") for name in GENERATION)]
    return [GENERATED.format(weights=", ".join(used)), _markdown(header, text)]


def _measured(result: Result, dataset: str) -> bool:
    return bool(result["dataset"] == dataset and result.get("controls"))


def _mean_over_classes(statistics: Statistics, dataset: str, detector: str) -> str:
    """Mean over all classes ± standard deviation over seeds; n/10 where classes are missing."""
    seeds = statistics.by_seed(dataset, detector)
    if not len(seeds):
        return f"{statistics.classes_done(dataset, detector)}/{statistics.class_count[dataset]}"
    return _over(seeds)


def _over(seeds: pd.Series, form: str = ".3f") -> str:
    """Mean ± standard deviation over seeds, if there are several."""
    deviation = f" ± {seeds.std():{form}}" if len(seeds) > 1 else ""
    return f"{seeds.mean():{form}}{deviation}"


def _rank(ranks: Mapping[str, float], detector: str) -> str:
    return f"{ranks[detector]:.2f}" if detector in ranks else DASH


def _frechet(statistics: Statistics, dataset: str, detector: str) -> str:
    """Mean Fréchet distance of samples over all classes."""
    seeds = statistics.by_seed(dataset, detector, "frechet")
    return _over(seeds, ".2f") if len(seeds) else DASH


def _fit_time(statistics: Statistics, dataset: str, detector: str) -> str:
    seconds = _fit_seconds(statistics, dataset, detector)
    return DASH if math.isnan(seconds) else duration(seconds)


def _fit_seconds(statistics: Statistics, dataset: str, detector: str) -> float:
    """Seconds a class; of several seeds the median, since other work beside a run may have made some of them slow."""
    return float(statistics.by_seed(dataset, detector, "fit_seconds").median())


def _over_seeds(statistics: Statistics, dataset: str) -> str:
    rows = statistics.done[statistics.done["dataset"] == dataset]
    counts = rows.groupby("detector")["seed"].nunique()
    if not len(counts) or counts.max() == 1:
        return ""
    fewer = [
        f"{', '.join(f'`{detector}`' for detector in group.index)} over {count}"
        for count, group in counts[counts < counts.max()].groupby(counts)
    ]
    return f", mean over {counts.max()} seeds" + (f" ({'; '.join(fewer)})" if fewer else "")


def _headline_notes(statistics: Statistics) -> list[str]:
    notes = [
        *_against_quick(statistics),
        *_not_told_apart(statistics),
        "Each AUROC is the mean over all classes of the dataset, ± its standard deviation over seeds where there are "
        "several. Average rank: by AUROC in each split, over all splits shown (1 is best). Fit: mean time to train on "
        f"one class, beside other processes; of several seeds the median. {_on_generation(statistics)}",
        "A row that lacks classes shows how many it has (n/10) instead of a mean, and is not ranked."
        + (" Rows with changed hyperparameters (`name@parameter=value`) are not ranked." if statistics.changed else ""),
    ]
    mixed = _mixed(statistics)
    if mixed:
        notes.append(
            f"**Mixed versions:** the results of {', '.join(mixed)} were computed by different versions of the code; "
            f"`bench run` computes the older ones again."
        )
    return notes


def _on_generation(statistics: Statistics) -> str:
    if PROTOCOLS[statistics.protocol].tests_test_part_only:
        return (
            "Fréchet: distance of new images from real ones in the features of a classifier, mean ± deviation like "
            "AUROC; 0 is best, see *Generation* below; generation rank: by it in each split. Generates: whether new "
            "images can be sampled."
        )
    return (
        "Generates: whether new images can be sampled; they are shown and not measured, because the classifiers in "
        "whose features that is done were trained on some of the images that are tested here."
    )


def _against_quick(statistics: Statistics) -> list[str]:
    """Say for each dataset which slower methods beat the best one that fits in seconds, and which do not."""
    lines = []
    for dataset in statistics.datasets:
        auroc = {label: statistics.by_seed(dataset, label).mean() for label in statistics.ranked}
        seconds = {label: _fit_seconds(statistics, dataset, label) for label in statistics.ranked}
        quick = [label for label in auroc if seconds[label] < QUICK]
        slow = sorted((label for label in auroc if seconds[label] >= QUICK), key=lambda label: -auroc[label])
        if not quick or not slow:
            continue
        best = max(quick, key=lambda label: auroc[label])
        better = [f"`{label}`" for label in slow if auroc[label] > auroc[best]]
        worse = [f"`{label}`" for label in slow if auroc[label] <= auroc[best]]
        lines.append(
            f"- {dataset}: the best method that fits in under {QUICK} s is `{best}` ({auroc[best]:.3f} in "
            f"{duration(seconds[best])}). Slower and better: {', '.join(better) or 'none'}. Slower and no better: "
            f"{', '.join(worse) or 'none'}."
        )
    return ["Does training longer pay?\n\n" + "\n".join(lines)] if lines else []


def _not_told_apart(statistics: Statistics) -> list[str]:
    """Say in words which differences between ranked detectors are not significant, on both sides."""
    splits, detectors = statistics.over_splits().shape[1], len(statistics.ranked)
    if detectors < 2:
        return []
    if statistics.p_values is None:
        return [
            f"Which differences are more than chance? {splits} splits are too few to say so of {detectors} detectors: "
            f"corrected for all pairs, no test could find any difference significant."
        ]
    pairs = detectors * (detectors - 1) // 2
    blocks = [
        f"Which differences are more than chance? By Wilcoxon's signed-rank test over the {splits} splits, corrected "
        f"by Holm for {pairs} pairs, at {LEVEL:.0%}, best average rank first. The splits of a dataset share their test "
        "images, which the test does not know: it takes them for independent.\n\n" + _alike(statistics.p_values)
    ]
    if statistics.generation_p_values is not None:
        blocks.append(
            "The same of generation, by the Fréchet distance, for the pairs of those that sample:\n\n"
            + _alike(statistics.generation_p_values)
        )
    return blocks


def _alike(p_values: pd.DataFrame) -> str:
    """List the pairs, the better one before, that are not told apart."""
    lines = []
    for place, better in enumerate(p_values.index):
        alike = [f"`{worse}`" for worse in p_values.index[place + 1 :] if p_values.loc[better, worse] >= LEVEL]
        if alike:
            lines.append(f"- `{better}` is not significantly better than {', '.join(alike)}.")
    return "\n".join(lines or ["- All differences between detectors are significant."])


def _oracle(statistics: Statistics) -> list[str]:
    """Show what choosing the epoch on the test images would bring, where trials were traced."""
    rows = [
        [*names, f"{auroc:.3f}", f"{best:.3f}", f"{best - auroc:+z.3f}", trials]
        for names, auroc, best, trials in statistics.oracle.itertuples()
    ]
    header = ["detector", "dataset", "as ranked", "with the oracle epoch", "difference", "trials"]
    return ["## Oracle epoch", ORACLE, _markdown(header, rows)] if rows else []


def _mixed(statistics: Statistics) -> list[str]:
    versions: dict[str, set[str]] = {}
    for result in statistics.results:
        versions.setdefault(result["label"], set()).add(result.get("fingerprint", ""))
    return sorted(label for label, found in versions.items() if len(found) > 1)


def _sick(statistics: Statistics) -> list[Result]:
    return [result for result in statistics.results if result["status"] == "done" and symptoms(result["health"])]


def _health(statistics: Statistics) -> list[str]:
    sick = _sick(statistics)
    checked = [result for result in statistics.results if result.get("health")]
    blocks = [
        "## Health",
        f"{len(checked)} models report on themselves (dead memory queries, slot usage, active latent units, variance "
        f"of the reconstructions); {len(sick) or 'none'} of them {'is' if len(sick) in (0, 1) else 'are'} sick.",
    ]
    if sick:
        blocks.append(
            "\n".join(f"- {SICK} {_cell(result)}: {'; '.join(symptoms(result['health']))}" for result in sick)
        )
    rows = [row for detector in statistics.detectors for row in _health_rows(statistics, detector)]
    if rows:
        signs = sorted({sign for row in rows for sign in row if sign not in ("detector", "dataset")})
        blocks.append("Means over classes and seeds:")
        blocks.append(
            _markdown(
                ["detector", "dataset", *(sign.replace("_", " ") for sign in signs)],
                [[row["detector"], row["dataset"], *(row.get(sign, DASH) for sign in signs)] for row in rows],
            )
        )
    return blocks if checked else []


def _health_rows(statistics: Statistics, detector: str) -> list[dict[str, str]]:
    rows = []
    for dataset in statistics.datasets:
        mine = [
            result["health"]
            for result in statistics.results
            if (result["label"], result["dataset"]) == (detector, dataset) and result.get("health")
        ]
        if mine:
            means = pd.DataFrame(mine).mean()
            signs = {str(sign): f"{value:.3g}" for sign, value in means.items()}
            rows.append({"detector": detector, "dataset": dataset, **signs})
    return rows


def _failures(statistics: Statistics) -> list[str]:
    failed = [result for result in statistics.results if result["status"] == "failed"]
    if not failed:
        return []
    lines = [f"- {_cell(result)}: {' '.join(result['error'].split())}" for result in failed]
    return ["## Failed trials", "\n".join(lines)]


def _cell(result: Result) -> str:
    return f"{result['dataset']}, normal class {result['class_name']}, {result['label']}, seed {result['seed']}"


def _how(statistics: Statistics) -> list[str]:
    seeds = sorted(set(statistics.frame["seed"]))
    standard = set(BENCHMARK_DATASETS) == set(statistics.datasets)
    which = "--all" if standard else " ".join(f"--dataset {dataset}" for dataset in statistics.datasets)
    many = f" --seeds {len(seeds)}" if seeds == list(range(len(seeds))) and len(seeds) > 1 else ""
    of_each = statistics.frame.groupby("detector")["seed"].nunique()
    fewer = " (some detectors with fewer seeds, as the tables say)" if of_each.min() < len(seeds) else ""
    option = protocol_option(statistics.protocol)
    environments = pd.DataFrame([result["environment"] for result in statistics.results]).drop_duplicates()
    dates = sorted(result["finished"][:10] for result in statistics.results)
    total = statistics.done["fit_seconds"].sum()
    example = next(iter(statistics.results))
    return [
        "## How it was run",
        f"`bench run {which}{many}{option}`{fewer}: {len(statistics.results)} trials, {dates[0]}"
        + (f" to {dates[-1]}" if dates[-1] != dates[0] else "")
        + f", {duration(total)} of fitting in all, each trial in a process of one thread.",
        _markdown(list(environments.columns), environments.astype(str).to_numpy().tolist()),
        "Every figure stands in `results.csv` (a row a trial) and, with all hyperparameters, in `results/` (a JSON "
        f"file a trial), from which `bench leaderboard{option}` makes this page.",
        "## Run one cell again",
        f"```sh\n{example['command']} --force\n```",
        "A dataset, a class, a detector or a seed that is left out means all of it; without `--force`, what is done is "
        "not done again.",
    ]


def _markdown(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    align = ["left" if name in ("detector", "dataset", "method", "protocol", "source") else "right" for name in header]
    return tabulate(
        [list(map(str, row)) for row in rows], header, tablefmt="pipe", colalign=align, disable_numparse=True
    )
