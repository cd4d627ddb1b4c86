"""Which pictures belong to results. Each carries a digest of the results that it shows."""

from __future__ import annotations

import functools
import hashlib
import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo
from sklearn.metrics import roc_auc_score

from oodbench.benchmark.files import file_name, replacing
from oodbench.benchmark.reporting import figures
from oodbench.benchmark.reporting.summary import Ranking, Summary
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.trials import trial_path

DIGEST, RUNS = "oodbench-results", "oodbench-runs"
"""Names of what a picture carries: the digest of its results, and how many run folders it was drawn from."""
CURVES = 6
"""Detectors that the ROC panels show; more would hide each other."""


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
    runs : int
        How many run folders it is drawn from.
    """

    name: str
    caption: str
    dataset: str
    detector: str
    digest: str
    draw: Callable[[Path], None] | None
    runs: int = 0

    @property
    def markdown(self) -> str:
        """The picture as a page beside ``plots/`` shows it."""
        return f"![{self.caption}](plots/{self.name})"

    def save(self, folder: Path) -> None:
        """Draw it into a folder, with its digest."""
        assert self.draw is not None
        information = PngInfo()
        information.add_text(DIGEST, self.digest)
        information.add_text(RUNS, str(self.runs))
        with replacing(folder / self.name) as temporary:
            self.draw(temporary)
            with Image.open(temporary) as image:
                image.save(temporary, pnginfo=information)

    def is_current(self, folder: Path) -> bool:
        """Whether the folder has this picture, drawn from the same results."""
        return stored_digest(folder / self.name) == self.digest

    def must_be_drawn(self, folder: Path) -> bool:
        """Whether it can be drawn and is not there, shows other results, or was drawn from fewer run folders."""
        if self.draw is None:
            return False
        return not self.is_current(folder) or _stored_runs(folder / self.name) < self.runs


def stored_digest(path: Path) -> str | None:
    """Read from a picture the digest of the results that it was drawn from; None without one, or without a picture."""
    digest = _stored(path).get(DIGEST)
    return digest if isinstance(digest, str) else None


def _stored_runs(path: Path) -> float:
    """Read how many run folders a picture was drawn from; infinity where it does not say so, for it is kept then."""
    runs = _stored(path).get(RUNS)
    return int(runs) if isinstance(runs, str) and runs.isdecimal() else math.inf


def _stored(path: Path) -> dict[str | tuple[int, int], object]:
    try:
        with Image.open(path) as image:
            return image.info
    except (OSError, UnidentifiedImageError):
        return {}


def plots_of(summary: Summary, store: Store) -> list[Plot]:
    """List the pictures that belong to results.

    Parameters
    ----------
    summary : Summary
        The results.
    store : Store
        Where the run folders are looked for.

    Returns
    -------
    list of Plot
        In the order of the page.
    """
    plots = _of_ranks(summary, summary.overall, "") if summary.overall else []
    for dataset in summary.datasets:
        plots += _of_dataset(summary, dataset, store)
    return plots


def _of_ranks(summary: Summary, ranking: Ranking, dataset: str) -> list[Plot]:
    """Average ranks, where there are three detectors or more to tell apart."""
    if ranking.p_values is None or len(ranking.ranks) < 3:
        return []
    among = ranking.splits.columns.get_level_values(0)
    rows = summary.done[summary.done["detector"].isin(list(ranking.ranks)) & summary.done["dataset"].isin(among)]
    draw = functools.partial(figures.draw_critical_differences, ranks=ranking.ranks, p_values=ranking.p_values)
    caption = "Average ranks; the detectors at the dots of a bar do not differ significantly"
    return [Plot(f"{_start(dataset)}ranks.png", caption, dataset, "", _digest(rows), draw)]


def _of_dataset(summary: Summary, dataset: str, store: Store) -> list[Plot]:
    rows = summary.done[summary.done["dataset"] == dataset]
    digest, start, names = _digest(rows), _start(dataset), summary.class_names[dataset]
    plots = [] if summary.overall_has(dataset) else _of_ranks(summary, summary.ranking[dataset], dataset)
    by_class = summary.by_class(dataset)
    heat_map = functools.partial(figures.draw_heat_map, table=by_class.rename(columns=names), dataset=dataset)
    plots.append(Plot(f"{start}auroc.png", "AUROC by normal class", dataset, "", digest, heat_map))
    plots += _both_sides(summary, dataset, digest)
    runs = _first_seed_runs(rows, store)
    plots.append(_roc(dataset, digest, names, by_class.mean(axis=1), runs))
    for detector in map(str, by_class.index):
        mine = {key: folder for key, folder in runs.items() if key[0] == detector}
        mine = {key: folder for key, folder in mine.items() if (folder / "samples.npy").is_file()}
        if not mine and not summary.can_sample(detector):
            continue
        whole = len(mine) == by_class.loc[detector].notna().sum()
        draw = functools.partial(figures.draw_samples, names=names, runs=mine) if mine and whole else None
        name, caption = (
            f"{start}samples-{file_name(detector)}.png",
            f"Samples of {detector}, a row for each normal class",
        )
        plots.append(
            Plot(name, caption, dataset, detector, _digest(rows[rows["detector"] == detector]), draw, len(mine))
        )
    return plots


def _both_sides(summary: Summary, dataset: str, digest: str) -> list[Plot]:
    """Plot detection against generation, for detectors with unchanged hyperparameters and all classes if there are any."""
    means = {
        label: (auroc, frechet)
        for label in summary.detectors_on(dataset)
        if (auroc := summary.mean(dataset, label)) and (frechet := summary.mean(dataset, label, "frechet"))
    }
    means = {label: both for label, both in means.items() if label not in summary.changed} or means
    means = {label: both for label, both in means.items() if both[0].complete and both[1].complete} or means
    if not means:
        return []
    table = pd.DataFrame(
        {label: (auroc.value, frechet.value) for label, (auroc, frechet) in means.items()}, index=["auroc", "frechet"]
    ).T
    replay = summary.controls(dataset)["frechet"].to_dict().get("replay", math.nan)
    draw = functools.partial(figures.draw_both_sides, table=table, dataset=dataset, replay=replay)
    caption = "Detection against generation, for the detectors that do both"
    return [Plot(f"{_start(dataset)}both-sides.png", caption, dataset, "", digest, draw)]


def _roc(dataset: str, digest: str, names: dict[int, str], means: pd.Series, runs: dict[tuple[str, int], Path]) -> Plot:
    """ROC curves of the best detectors whose run folders are there."""
    best = means[means.index.isin([key[0] for key in runs])].nlargest(CURVES).index
    shown = {key: folder for key, folder in runs.items() if key[0] in best}
    draw = functools.partial(figures.draw_roc_panels, names=names, runs=shown) if shown else None
    # the page is the same where there are no run folders
    few = f", of the {CURVES} best detectors whose run folders were at hand" if len(means) > CURVES else ""
    return Plot(f"{_start(dataset)}roc.png", f"ROC curves by normal class{few}", dataset, "", digest, draw, len(shown))


def _first_seed_runs(rows: pd.DataFrame, store: Store) -> dict[tuple[str, int], Path]:
    """Run folders of each (detector, class), of the lowest seed, as far as they are there and of these results."""
    runs: dict[tuple[str, int], Path] = {}
    for row in rows.sort_values("seed").drop_duplicates(["detector", "normal_class"]).to_dict("records"):
        path = trial_path(row["dataset"], row["detector"], row["normal_class"], row["seed"])
        if abs(_auroc_in(store.runs / path) - row["auroc"]) < 1e-9:
            runs[row["detector"], row["normal_class"]] = store.runs / path
    return dict(sorted(runs.items()))


def _auroc_in(folder: Path) -> float:
    """Compute the AUROC of the scores in a run folder; NaN where there are none, or they are damaged."""
    try:
        with np.load(folder / "scores.npz") as stored:
            return float(roc_auc_score(stored["is_ood"], stored["score"]))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return math.nan


def _start(dataset: str) -> str:
    """Return what the names of a dataset's pictures begin with; nothing for those of the whole page."""
    return f"{file_name(dataset)}-" if dataset else ""


def _digest(rows: pd.DataFrame) -> str:
    """Hash what a picture shows. Committed pictures carry it, and their run folders are gone: it must not change."""
    shown = rows[["dataset", "detector", "normal_class", "seed", "auroc"]]
    return hashlib.sha256(shown.to_csv(index=False, float_format="%.10g").encode()).hexdigest()[:16]
