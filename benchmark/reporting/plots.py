"""Which pictures belong to results. Each carries a digest of the results that it shows."""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import pandas as pd
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from sklearn.metrics import roc_auc_score

from oodbench.benchmark.files import digest, file_name, replacing
from oodbench.benchmark.reporting import figures
from oodbench.benchmark.reporting.format import Markdown, markdown_cell
from oodbench.benchmark.reporting.summary import Summary
from oodbench.benchmark.results.run_files import read_samples, read_scores
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.trials import trial_path

DIGEST, RUNS, CURVES = "oodbench-results", "oodbench-runs", "oodbench-curves"
"""What a picture carries: the digest of its results, of how many run folders it was drawn, and whose curves it has."""
SAMPLES = "-samples-"
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
"""Raised by Pillow for files that are no pictures, or damaged ones."""
Kind = TypeVar("Kind", int, dict[str, str])
MOST_CURVES = 6
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
        In whose section of the page it stands.
    detector : str
        Whose it is; empty if it shows all.
    digest : str
        Of the results that it shows.
    draw : callable or None
        Draws it to a path; None where the run folders that it needs are not there.
    runs : int
        How many run folders it is drawn from.
    curves : tuple of str
        Labels of the detectors whose curves it draws, one by one.
    digests : mapping of str to str
        For a picture of curves, the digest of each detector's results: it stays true while those that it shows have not
        changed, whatever is added.
    """

    name: str
    caption: str
    dataset: str
    detector: str
    digest: str
    draw: Callable[[Path], None] | None
    runs: int = 0
    curves: tuple[str, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def markdown(self) -> Markdown:
        """The picture as a page beside ``plots/`` shows it."""
        return Markdown(f"![{markdown_cell(self.caption)}](plots/{quote(self.name, safe='@=,+')})")

    def save(self, folder: Path) -> None:
        """Draw it into a folder, with its digest."""
        assert self.draw is not None
        information = PngInfo()
        information.add_text(DIGEST, self.digest)
        information.add_text(RUNS, str(self.runs))
        information.add_text(CURVES, json.dumps({label: self.digests[label] for label in self.curves}))
        with replacing(folder / self.name) as temporary:
            self.draw(temporary)
            with Image.open(temporary) as image:
                image.save(temporary, pnginfo=information)

    def is_current(self, folder: Path) -> bool:
        """Whether the folder has this picture, and what it shows is still what the results say."""
        stored = _stored(folder / self.name)
        curves = _json(stored.get(CURVES, "{}"), dict)
        unchanged = bool(curves) and all(self.digests.get(label) == digest for label, digest in curves.items())
        return stored.get(DIGEST) == self.digest or unchanged

    def must_be_drawn(self, folder: Path) -> bool:
        """Whether it can be drawn, and is not there, or shows other results or less than could be drawn now."""
        if self.draw is None:
            return False
        stored = _stored(folder / self.name)
        # where it does not say from how many, the run folders are gone: it is kept
        fewer = _json(stored.get(RUNS, str(self.runs)), int) < self.runs + (stored.get(DIGEST) != self.digest)
        return fewer or not self.is_current(folder)


def stored_digest(path: Path) -> str | None:
    """Read from a picture the digest of the results that it was drawn from; None without one, or without a picture."""
    return _stored(path).get(DIGEST)


def _stored(path: Path) -> dict[str, str]:
    try:
        with Image.open(path) as image:
            return {str(key): value for key, value in image.info.items() if isinstance(value, str)}
    except UNREADABLE:
        return {}


def _json(text: str, kind: type[Kind]) -> Kind:
    """Return what a text in a picture says; nothing if it is damaged."""
    with suppress(ValueError, RecursionError):
        value = json.loads(text)
        if isinstance(value, kind):
            return value
    return kind()


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
    return [plot for dataset in summary.datasets for plot in _of_dataset(summary, dataset, store)]


def _of_dataset(summary: Summary, dataset: str, store: Store) -> list[Plot]:
    rows = summary.done[summary.done["dataset"] == dataset]
    digest, start, names = _digest(rows), _start(dataset), summary.class_names[dataset]
    by_class = summary.by_class(dataset)
    heat_map = functools.partial(figures.draw_heat_map, table=by_class.rename(columns=names), dataset=dataset)
    plots = [Plot(f"{start}auroc.png", "AUROC by normal class", dataset, "", digest, heat_map)]
    plots += _both_sides(summary, dataset, rows)
    runs = _first_seed_runs(rows, store)
    plots.append(_roc(summary, dataset, rows, runs))
    for detector in map(str, by_class.index):
        mine = {key: folder for key, folder in runs.items() if key[0] == detector}
        shapes = {key: samples.shape[1:] for key, of in mine.items() if (samples := read_samples(of)) is not None}
        mine = {key: folder for key, folder in mine.items() if key in shapes}
        if not mine and not summary.can_sample(detector):
            continue
        whole = len(mine) == by_class.loc[detector].notna().sum() and len(set(shapes.values())) == 1
        draw = functools.partial(figures.draw_samples, names=names, runs=mine) if mine and whole else None
        name, caption = (
            f"{start[:-1]}{SAMPLES}{file_name(detector)}.png",
            f"Samples of {detector}, a row for each normal class",
        )
        plots.append(
            Plot(name, caption, dataset, detector, _digest(rows[rows["detector"] == detector]), draw, len(mine))
        )
    return plots


def _both_sides(summary: Summary, dataset: str, rows: pd.DataFrame) -> list[Plot]:
    """Plot detection against generation: of all classes and unchanged hyperparameters, if there are such results."""
    means = {
        label: (auroc, frechet)
        for label in summary.detectors_on(dataset)
        if (auroc := summary.mean(dataset, label)) and (frechet := summary.mean(dataset, label, "frechet"))
    }
    means = {label: both for label, both in means.items() if label not in summary.changed} or means
    means = {label: both for label, both in means.items() if both[0].complete and both[1].complete} or means
    if not means or summary.generation_unranked[dataset]:  # a picture would rank them
        return []
    table = pd.DataFrame(
        {label: (auroc.value, frechet.value) for label, (auroc, frechet) in means.items()}, index=["auroc", "frechet"]
    ).T
    replay = summary.controls(dataset)["frechet"].to_dict().get("replay", math.nan)
    draw = functools.partial(figures.draw_both_sides, table=table, dataset=dataset, replay=replay)
    caption = "Detection against generation, for the detectors that do both"
    digest = _digest(rows[rows["detector"].isin(list(means))])
    return [Plot(f"{_start(dataset)}both-sides.png", caption, dataset, "", digest, draw)]


def _roc(summary: Summary, dataset: str, rows: pd.DataFrame, runs: dict[tuple[str, int], Path]) -> Plot:
    """ROC curves of the best detectors whose run folders are there."""
    means = summary.by_class(dataset).mean(axis=1)
    best = means[means.index.isin([label for label, _ in runs])].nlargest(MOST_CURVES).index
    shown = {key: folder for key, folder in runs.items() if key[0] in best}
    draw = functools.partial(figures.draw_roc_panels, names=summary.class_names[dataset], runs=shown)
    # the page is the same where there are no run folders
    few = f", of the {MOST_CURVES} best detectors whose run folders were at hand" if len(means) > MOST_CURVES else ""
    return Plot(
        name=f"{_start(dataset)}roc.png",
        caption=f"ROC curves by normal class{few}",
        dataset=dataset,
        detector="",
        digest=_digest(rows),
        draw=draw if shown else None,
        runs=len(shown),
        curves=tuple(dict.fromkeys(label for label, _ in shown)),
        digests={str(label): _digest(of_label) for label, of_label in rows.groupby("detector")},
    )


def _first_seed_runs(rows: pd.DataFrame, store: Store) -> dict[tuple[str, int], Path]:
    """Run folders of each (detector, class): of the lowest seed whose folder is there and of these results."""
    runs: dict[tuple[str, int], Path] = {}
    for row in rows.sort_values("seed").to_dict("records"):
        key = row["detector"], row["normal_class"]
        folder = store.runs / trial_path(row["dataset"], *key, row["seed"])
        if key not in runs and abs(_auroc_in(folder) - row["auroc"]) < 1e-9:
            runs[key] = folder
    return dict(sorted(runs.items()))


def _auroc_in(folder: Path) -> float:
    """Compute the AUROC of the scores in a run folder; NaN where there are none, or they are damaged."""
    stored = read_scores(folder)
    return math.nan if stored is None else float(roc_auc_score(stored.is_ood, stored.score))


def _start(dataset: str) -> str:
    """Return what the names of a dataset's pictures begin with."""
    name = file_name(dataset)
    if SAMPLES in f"{name}-":  # what follows it must be the name of a detector
        name = f"{name.replace('-samples', '_samples')}-{digest(dataset)[:8]}"
    return f"{name}-"


def _digest(rows: pd.DataFrame) -> str:
    """Hash what a picture shows. Committed pictures carry it, and their run folders are gone: it must not change."""
    shown = rows[["dataset", "detector", "normal_class", "seed", "auroc"]]
    return hashlib.sha256(shown.to_csv(index=False, float_format="%.10g").encode()).hexdigest()[:16]
