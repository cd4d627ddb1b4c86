"""``bench ablation``: what each part of a method contributes, as the leaderboard's ``ablations.md``.

Parts are taken away one at a time, and what is left is judged as `oodbench.benchmark.tuning.objective` does: on
training images alone. What was judged already is not judged again. A detector names its parts in `Detector.ABLATIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from oodbench.benchmark.files import write_text
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.reporting.format import markdown_cell
from oodbench.benchmark.reporting.table import Table, as_csv
from oodbench.benchmark.results.fingerprint import fingerprint
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.tuning.objective import judging
from oodbench.datasets.base import Dataset
from oodbench.detectors.base import Detector

WHOLE = "—"
"""Label of the row from which nothing is taken away."""
COLUMNS = ("dataset", "detector", "without", "seed", "auroc", "code", "setting")
TEXTS = ("dataset", "detector", "without", "code", "setting")
PAGE = (
    "# Ablations",
    "What each part of a method contributes. AUROC of held-out normal *training* images against training images of "
    "the other classes, as hyperparameters are chosen (`bench tune`), mean over all classes, ± its standard deviation "
    "over seeds; the test part is not read. A part is taken away from the defaults, and everything else stays as it "
    "is; in brackets is the difference that makes, seed by seed.",
    "Written by `bench ablation DETECTOR... --dataset DATASET`, from `ablations.csv`.",
)


def variants(detector: type[Detector], dataset: type[Dataset]) -> dict[str, Mapping[str, Any]]:
    """Return the parts that a detector has by its defaults for a dataset, with the changes that take them away.

    Parameters
    ----------
    detector, dataset : type
        Whose defaults, and for which kind of image.

    Returns
    -------
    dict of str to mapping
        `WHOLE` first, without changes.
    """
    defaults = detector().hyperparameters(dataset.shape)
    parts = {
        part: changes
        for part, changes in detector.ABLATIONS.items()
        if all(name in defaults and defaults[name] != value for name, value in changes.items())
    }
    return {WHOLE: {}, **parts}


def ablate(
    detector: type[Detector],
    dataset: type[Dataset],
    plugins: Plugins,
    store: Store,
    *,
    data: Path,
    seeds: int = 1,
    jobs: int | None = None,
    listener: Callable[[str], None] = lambda _: None,
) -> None:
    """Judge a detector without each of its parts, and write table and page anew after each.

    Parameters
    ----------
    detector, dataset : type
        Which.
    plugins : Plugins
        Where they are found.
    store : Store
        In whose leaderboard folder table and page lie.
    data : Path
        Where datasets lie.
    seeds : int
        How many seeds, from 0 on.
    jobs : int, optional
        Worker processes; by default one a core.
    listener : callable, optional
        Is told of each AUROC, as one line of text.
    """
    code, setting = fingerprint(detector), str(detector().hyperparameters(dataset.shape))
    about = {"dataset": dataset.name, "detector": detector.name, "code": code, "setting": setting}
    table = _read(store)
    # of other code or other defaults
    stale = (table["dataset"] == dataset.name) & (table["detector"] == detector.name)
    table = table[~stale | ((table["code"] == code) & (table["setting"] == setting))]
    mine = table[(table["dataset"] == dataset.name) & (table["detector"] == detector.name)]
    judged = set(zip(mine["without"], mine["seed"], strict=True))
    changes = variants(detector, dataset)
    missing = [
        (seed, parts)
        for seed in range(seeds)
        for parts in _trained_alike(
            {part: of for part, of in changes.items() if (part, seed) not in judged}, detector.SCORE_ONLY
        )
    ]
    if not missing:
        return
    with judging(detector, dataset, plugins, store, data=data, jobs=jobs) as judge:
        for seed, parts in missing:
            trained, *rescored = (changes[part] for part in parts)
            aurocs = np.mean([(found.auroc, *found.rescored) for found in judge(trained, rescored, seed)], axis=0)
            rows = [
                {**about, "without": part, "seed": seed, "auroc": float(auroc)}
                for part, auroc in zip(parts, aurocs, strict=True)
            ]
            table = pd.concat([table, pd.DataFrame(rows)], ignore_index=True)
            _write(store, table)
            for part, auroc in zip(parts, aurocs, strict=True):
                listener(f"{dataset.name} {detector.name} seed {seed} without {part}: AUROC {auroc:.4f}")


def _trained_alike(missing: Mapping[str, Mapping[str, Any]], score_only: Collection[str]) -> list[list[str]]:
    """Group parts by the training that they need: those of the score alone need one together."""
    alike = [part for part, changes in missing.items() if set(changes) <= set(score_only)]
    # the first of a group is what is trained, so that it must be the whole where there is one
    return [group for group in (alike, *([part] for part in missing if part not in alike)) if group]


def page(table: pd.DataFrame) -> str:
    """Write the page, as Markdown: a table a dataset, of parts × detectors.

    Parameters
    ----------
    table : DataFrame
        A row for each detector without a part; see `COLUMNS`.

    Returns
    -------
    str
    """
    blocks = list(PAGE)
    for dataset, rows in table.groupby("dataset", sort=False):
        auroc = rows.pivot(index="seed", columns=["without", "detector"], values="auroc")
        detectors = sorted(set(rows["detector"]))
        cells = [[part, *(_cell(auroc, part, detector) for detector in detectors)] for part in rows["without"].unique()]
        header = ["without", *(f"{detector} ({_seeds(auroc[WHOLE, detector])})" for detector in detectors)]
        blocks += [f"## {markdown_cell(str(dataset))}", str(Table(header, cells))]
    return "\n\n".join(blocks) + "\n"


def _seeds(auroc: pd.Series) -> str:
    count = auroc.count()
    return f"{count} seed{'s' if count != 1 else ''}"


def _cell(auroc: pd.DataFrame, part: str, detector: str) -> str:
    """Return a detector's AUROC without a part, and the difference that makes; empty if it has no such part."""
    if (part, detector) not in auroc:
        return ""
    without = _over_seeds(auroc[part, detector], "")
    change = auroc[part, detector] - auroc[WHOLE, detector]  # of the seeds that both have
    return without if part == WHOLE else f"{without} ({_over_seeds(change, '+')})"


def _over_seeds(values: pd.Series, sign: str) -> str:
    deviation = f" ± {values.std():.4f}" if values.count() > 1 else ""
    return f"{values.mean():{sign}.4f}{deviation}"


def _read(store: Store) -> pd.DataFrame:
    path = store.leaderboard / "ablations.csv"
    if not path.is_file():
        return pd.DataFrame(columns=list(COLUMNS))
    return pd.read_csv(path, converters=dict.fromkeys(TEXTS, lambda cell: cell.removeprefix("'")))  # see `csv_cell`


def _write(store: Store, table: pd.DataFrame) -> None:
    table = table.sort_values(["dataset", "detector"], ascending=[False, True], kind="stable")
    write_text(store.leaderboard / "ablations.csv", as_csv(table[list(COLUMNS)], float_format="%.6g"))
    write_text(store.leaderboard / "ablations.md", page(table))
