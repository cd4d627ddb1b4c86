"""The leaderboard's pictures, drawn from plain tables and run folders."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path

import numpy as np
import pandas as pd

from oodbench.benchmark.reporting import pictures
from oodbench.benchmark.reporting.format import figure_text
from oodbench.benchmark.results.run_files import read_samples, read_scores

Runs = Mapping[tuple[str, int], Path]
"""Run folders by detector and normal class."""
SAMPLES_A_CLASS = 10
HALVES = (0, 0.5, 1)
"""Ticks of a ROC panel."""
NARROW = 40
"""Characters that a legend beside a picture has room for."""
MARKERS = "os^vDPX*<>"
"""One a detector, each with a colour of its own."""


def draw_both_sides(path: Path, *, table: pd.DataFrame, dataset: str, replay: float) -> None:
    """Draw AUROC against Fréchet distance; up and right is better.

    Parameters
    ----------
    path : Path
        Of the PNG.
    table : DataFrame
        Detectors × ``auroc`` and ``frechet``.
    dataset : str
        Its name.
    replay : float
        Fréchet distance of training images that are replayed; NaN if it was not measured.
    """
    with pictures.figure(path, size=(5.2, 4.2)) as axes:
        # a legend and no names in the picture, where good methods lie close together
        for (label, auroc, frechet), marker in zip(table.sort_index().itertuples(), cycle(MARKERS), strict=False):
            axes.plot(auroc, frechet, marker, color=f"C{MARKERS.index(marker)}", label=figure_text(label, NARROW))
        axes.set(title=f"{figure_text(dataset)} (training images, replayed: {replay:.2f})")
        axes.set_yscale("log", subs=(2, 3, 5, 7))  # labels at more would overlap
        axes.set(xlabel="AUROC (detection)", ylabel="Fréchet distance of samples")
        axes.margins(x=0.15, y=0.12)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
        axes.tick_params(axis="y", which="both", labelsize=8)
        axes.invert_yaxis()
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def draw_heat_map(path: Path, *, table: pd.DataFrame, dataset: str) -> None:
    """Draw the AUROC of detectors × classes, whose names are the columns, with the figures in the cells."""
    names, detectors = ([figure_text(str(name)) for name in axis] for axis in (table.columns, table.index))
    low = min(0.5, float(np.nanmin(table.to_numpy()))) if table.notna().any(axis=None) else 0.5
    size = (1.6 + 0.08 * max(map(len, detectors)) + 0.78 * len(names), 1.1 + 0.42 * len(table))
    with pictures.figure(path, size=size) as axes:
        image = axes.imshow(table, cmap="viridis", vmin=low, vmax=1, aspect="auto")
        axes.set_xticks(range(len(names)), names, rotation=30 if max(map(len, names)) > 3 else 0)
        axes.set_yticks(range(len(table)), detectors)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        for (row, column), value in np.ndenumerate(table.to_numpy()):
            dark = value < (low + 1) / 2 + 0.1
            text = "n/a" if np.isnan(value) else f"{value:.3f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if dark else "black")
        axes.set_title(f"{figure_text(dataset)}: AUROC by normal class")
        axes.figure.colorbar(image, ax=axes, pad=0.02)


def draw_roc_panels(path: Path, *, names: Mapping[int, str], runs: Runs) -> None:
    """Draw for each normal class, given by label and name, the ROC curves of the detectors in `runs`."""
    columns = min(5, len(names))
    rows = -(-len(names) // columns)
    colours = {detector: f"C{place}" for place, detector in enumerate(dict.fromkeys(detector for detector, _ in runs))}
    with pictures.figure(
        path, size=(2.6 * columns, 2.7 * rows), nrows=rows, ncols=columns, sharex=True, sharey=True, squeeze=False
    ) as axes:
        for one in axes.flat[len(names) :]:
            one.set_visible(False)
        for one, (label, name) in zip(axes.flat, names.items(), strict=False):
            one.plot([0, 1], [0, 1], color="0.85", linewidth=1)
            for (detector, normal_class), folder in runs.items():
                stored = read_scores(folder) if normal_class == label else None
                if stored is not None:
                    pictures.draw_curve(one, stored.score, stored.is_ood, color=colours[detector], linewidth=1.2)
            one.set_title(f"normal: {figure_text(name)}", fontsize=10)
            one.set(aspect="equal", xticks=HALVES, yticks=HALVES)
        whole = axes[0, 0].figure
        whole.supxlabel("normal images flagged", fontsize=10)
        whole.supylabel("OOD images flagged", fontsize=10)
        for detector, colour in colours.items():
            axes[0, 0].plot([], [], color=colour, label=figure_text(detector))
        whole.legend(loc="outside upper center", ncols=columns + 1, fontsize=9, frameon=False)


def draw_samples(path: Path, *, names: Mapping[int, str], runs: Runs) -> None:
    """Draw a row of samples for each run, beside the name of its class."""
    rows = [samples[:SAMPLES_A_CLASS] for folder in runs.values() if (samples := read_samples(folder)) is not None]
    images = np.concatenate(rows).astype(np.float32) / 255
    grid = pictures.magnified_grid(images, columns=SAMPLES_A_CLASS)
    height, width = grid.shape[:2]
    with pictures.figure(path, size=(6, 5.1 * height / width + 0.2)) as axes:
        axes.imshow(grid, interpolation="nearest")
        step = height / len(rows)
        axes.set_yticks(
            [step * (row + 0.5) for row in range(len(rows))], [figure_text(names[label]) for _, label in runs]
        )
        axes.set_xticks([])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
