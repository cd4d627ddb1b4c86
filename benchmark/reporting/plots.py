"""The leaderboard's pictures. Each carries a digest of the results that it shows."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo
from sklearn.metrics import roc_auc_score

from oodbench.benchmark.files import file_name, replacing
from oodbench.benchmark.reporting import pictures
from oodbench.benchmark.reporting.statistics import Statistics
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.trials import trial_path

DIGEST = "oodbench-results"
SAMPLES_A_CLASS = 10
CURVES = 6
"""Detectors that the ROC panels show; more would hide each other."""
HALVES = (0, 0.5, 1)
"""Ticks of a ROC panel."""
MARKERS = "os^vDPX*<>"
"""One a detector, each with a colour of its own."""


@dataclass(frozen=True)
class Plot:
    """A picture of the leaderboard.

    Attributes
    ----------
    name : str
        Its file name.
    caption : str
        What it shows.
    dataset : str
        Where on the page it belongs; empty if at the top.
    detector : str
        Whose it is; empty if it shows all.
    digest : str
        Of the results that it shows.
    draw : callable or None
        Draws it to a path; None where the run folders that it needs are not there.
    """

    name: str
    caption: str
    dataset: str
    detector: str
    digest: str
    draw: Callable[[Path], None] | None

    def save(self, path: Path) -> None:
        """Draw it, and write the digest into it."""
        assert self.draw is not None
        information = PngInfo()
        information.add_text(DIGEST, self.digest)
        with replacing(path) as temporary:
            self.draw(temporary)
            with Image.open(temporary) as image:
                image.save(temporary, pnginfo=information)


def stored_digest(path: Path) -> str | None:
    """Read from a picture the digest of the results that it was drawn from; None if it has none or is spoilt."""
    try:
        with Image.open(path) as image:
            return image.info.get(DIGEST)
    except UnidentifiedImageError:
        return None


def plots_of(statistics: Statistics, store: Store) -> list[Plot]:
    """List the pictures that belong to results.

    Parameters
    ----------
    statistics : Statistics
        The results.
    store : Store
        Where the run folders are looked for.

    Returns
    -------
    list of Plot
        In the order of the page.
    """
    plots = []
    if statistics.p_values is not None and len(statistics.p_values) > 2:
        compared = _digest(statistics.done[statistics.done["detector"].isin(statistics.ranked)])
        diagram = functools.partial(draw_critical_differences, statistics=statistics)
        caption = "Average ranks; the detectors at the dots of a bar are not told apart by the splits"
        plots.append(Plot("ranks.png", caption, "", "", compared, diagram))
    measured = [
        dataset
        for dataset in statistics.datasets
        if any(len(statistics.by_seed(dataset, label, "frechet")) for label in statistics.detectors)
    ]
    if measured:
        both = functools.partial(draw_both_sides, statistics=statistics, datasets=measured)
        caption = "Detection against generation, of the detectors that do both"
        plots.append(Plot("both-sides.png", caption, "", "", _digest(statistics.done), both))
    for dataset in statistics.datasets:
        rows = statistics.done[statistics.done["dataset"] == dataset]
        digest, start = _digest(rows), file_name(dataset)
        heat_map = functools.partial(draw_heat_map, statistics=statistics, dataset=dataset)
        plots.append(Plot(f"{start}-auroc.png", "AUROC by normal class", dataset, "", digest, heat_map))
        runs = _first_seed_runs(rows, store)
        means = statistics.by_class(dataset).mean(axis=1)
        best = means[means.index.isin([key[0] for key in runs])].nlargest(CURVES).index
        shown = {key: folder for key, folder in runs.items() if key[0] in best}
        curves = functools.partial(draw_roc_panels, statistics=statistics, dataset=dataset, runs=shown)
        # the page is the same where there are no run folders
        few = f", of the {CURVES} best detectors whose run folders were at hand" if len(means) > CURVES else ""
        caption = f"ROC curves by normal class{few}"
        plots.append(Plot(f"{start}-roc.png", caption, dataset, "", digest, curves if shown else None))
        for detector in statistics.by_class(dataset).index:
            mine = {key: folder for key, folder in runs.items() if key[0] == detector}
            mine = {key: folder for key, folder in mine.items() if (folder / "samples.npy").is_file()}
            if not mine and not statistics.can_sample(detector):
                continue
            samples = functools.partial(draw_samples, statistics=statistics, dataset=dataset, runs=mine)
            whole = len(mine) == statistics.classes_done(dataset, detector)
            name, caption = (
                f"{start}-samples-{file_name(detector)}.png",
                f"Samples of {detector}, a row for each normal class",
            )
            of_detector = _digest(rows[rows["detector"] == detector])
            plots.append(Plot(name, caption, dataset, detector, of_detector, samples if mine and whole else None))
    return plots


def draw_critical_differences(path: Path, *, statistics: Statistics) -> None:
    """Draw average ranks, with bars over detectors that do not differ significantly (Demšar, JMLR 2006, §3.2.2)."""
    from scikit_posthocs import critical_difference_diagram  # it imports much

    with pictures.figure(path, size=(9, 1 + 0.22 * len(statistics.ranked))) as axes:
        critical_difference_diagram(
            statistics.average_rank,
            statistics.p_values,
            ax=axes,
            label_fmt_left="{label} ({rank:.1f})",
            label_fmt_right="({rank:.1f}) {label}",
            elbow_props={"color": "0.4"},
            marker_props={"color": pictures.NORMAL_COLOUR},
            crossbar_props={"color": pictures.OOD_COLOUR, "marker": "o", "markersize": 5},
            text_h_margin=0.1,
        )


def draw_both_sides(path: Path, *, statistics: Statistics, datasets: list[str]) -> None:
    """Draw AUROC against Fréchet distance, a panel a dataset; up and right is better.

    Detectors with changed hyperparameters are left out, unless there are no others.
    """
    generators = list(filter(statistics.can_sample, statistics.detectors))
    generators = [label for label in generators if label not in statistics.changed] or generators
    with pictures.figure(path, size=(5.2 * len(datasets), 4.2), ncols=len(datasets), squeeze=False) as panels:
        for axes, dataset in zip(panels.flat, datasets, strict=True):
            auroc, frechet = (
                pd.Series({label: statistics.by_seed(dataset, label, of).mean() for label in statistics.detectors})
                for of in ("auroc", "frechet")
            )
            # a legend and no names in the picture, where good methods lie close together
            for label, marker in zip(generators, cycle(MARKERS), strict=False):
                axes.plot(auroc[label], frechet[label], marker, color=f"C{MARKERS.index(marker)}", label=label)
            replay = statistics.controls(dataset)["frechet"].to_dict()["replay"]
            axes.set(title=f"{dataset} (training images, replayed: {replay:.2f})", yscale="log")
            axes.set(xlabel="AUROC (detection)", ylabel="Fréchet distance of samples")
            axes.margins(x=0.15, y=0.12)
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter("{x:g}")
            axes.tick_params(axis="y", which="both", labelsize=8)
            axes.invert_yaxis()
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def draw_heat_map(path: Path, *, statistics: Statistics, dataset: str) -> None:
    """Draw the AUROC of detectors × classes, with the figures in the cells."""
    table = statistics.by_class(dataset)
    names = list(statistics.class_names[dataset].values())
    low = min(0.5, float(np.nanmin(table.to_numpy()))) if table.notna().any(axis=None) else 0.5
    size = (1.6 + 0.08 * max(map(len, table.index)) + 0.78 * len(names), 1.1 + 0.42 * len(table))
    with pictures.figure(path, size=size) as axes:
        image = axes.imshow(table, cmap="viridis", vmin=low, vmax=1, aspect="auto")
        axes.set_xticks(range(len(names)), names, rotation=30 if max(map(len, names)) > 3 else 0)
        axes.set_yticks(range(len(table)), table.index)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        for (row, column), value in np.ndenumerate(table.to_numpy()):
            dark = value < (low + 1) / 2 + 0.1
            text = "n/a" if np.isnan(value) else f"{value:.3f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if dark else "black")
        axes.set_title(f"{dataset}: AUROC by normal class")
        axes.figure.colorbar(image, ax=axes, pad=0.02)


def draw_roc_panels(path: Path, *, statistics: Statistics, dataset: str, runs: dict[tuple[str, int], Path]) -> None:
    """Draw for each normal class the ROC curves of the detectors in `runs`."""
    names = statistics.class_names[dataset]
    columns = min(5, len(names))
    rows = -(-len(names) // columns)
    with pictures.figure(
        path, size=(2.6 * columns, 2.7 * rows), nrows=rows, ncols=columns, sharex=True, sharey=True, squeeze=False
    ) as axes:
        for one in axes.flat[len(names) :]:
            one.set_visible(False)
        for one, (label, name) in zip(axes.flat, names.items(), strict=False):
            one.plot([0, 1], [0, 1], color="0.85", linewidth=1)
            for (detector, normal_class), folder in runs.items():
                if normal_class == label:
                    with np.load(folder / "scores.npz") as stored:
                        pictures.draw_curve(one, stored["score"], stored["is_ood"], detector, linewidth=1.2)
            one.set_title(f"normal: {name}", fontsize=10)
            one.set(aspect="equal", xticks=HALVES, yticks=HALVES)
            if any(normal_class == label for _, normal_class in runs):
                one.legend(loc="lower right", fontsize=7, frameon=False, handlelength=1)
        axes[0, 0].figure.supxlabel("normal images flagged", fontsize=10)
        axes[0, 0].figure.supylabel("OOD images flagged", fontsize=10)


def draw_samples(path: Path, *, statistics: Statistics, dataset: str, runs: dict[tuple[str, int], Path]) -> None:
    """Draw a row of samples for each normal class."""
    names = statistics.class_names[dataset]
    rows = [np.load(folder / "samples.npy")[:SAMPLES_A_CLASS] for folder in runs.values()]
    images = torch.from_numpy(np.concatenate(rows)).float() / 255
    grid = pictures.magnified_grid(images, columns=SAMPLES_A_CLASS)
    height, width = grid.shape[:2]
    with pictures.figure(path, size=(6, 5.1 * height / width + 0.2)) as axes:
        axes.imshow(grid, interpolation="nearest")
        step = height / len(rows)
        axes.set_yticks([step * (row + 0.5) for row in range(len(rows))], [names[label] for _, label in runs])
        axes.set_xticks([])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)


def _first_seed_runs(rows: pd.DataFrame, store: Store) -> dict[tuple[str, int], Path]:
    """Run folders of each (detector, class), of the lowest seed, as far as they are there and of these results."""
    runs: dict[tuple[str, int], Path] = {}
    for row in rows.sort_values("seed").drop_duplicates(["detector", "normal_class"]).to_dict("records"):
        path = trial_path(row["dataset"], row["detector"], row["normal_class"], row["seed"])
        folder = store.runs / path
        if (folder / "scores.npz").is_file():
            with np.load(folder / "scores.npz") as stored:
                area = roc_auc_score(stored["is_ood"], stored["score"])
            if abs(area - row["auroc"]) < 1e-9:
                runs[row["detector"], row["normal_class"]] = folder
    return dict(sorted(runs.items()))


def _digest(rows: pd.DataFrame) -> str:
    shown = rows[["dataset", "detector", "normal_class", "seed", "auroc"]]
    return hashlib.sha256(shown.to_csv(index=False, float_format="%.10g").encode()).hexdigest()[:16]
