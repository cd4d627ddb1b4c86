"""What each part of a method brings: the leaderboard's ``ablations.md``.

``python -m oodbench.benchmark.tuning.ablation --dataset mnist ae vae memae memvae`` takes parts away one at a time,
and judges what is left as `oodbench.benchmark.tuning.study` does: on training images alone. What was judged already is
not judged again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from tabulate import tabulate

from oodbench.benchmark.cli.app import DataDir, Out, data_folder
from oodbench.benchmark.files import write_text
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.fingerprint import fingerprint
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.tuning.study import judging
from oodbench.datasets.base import Dataset
from oodbench.detectors.base import Detector

WHOLE = "—"
PARTS: Mapping[str, Mapping[str, Any]] = {
    WHOLE: {},
    "all but the score of its paper": {"plain_score": True},
    "typicality of the complexity": {"complexity_weight": 0.0},
    "typicality of the latent": {"latent_weight": 0.0},
    "both typicalities": {"complexity_weight": 0.0, "latent_weight": 0.0},
    "blur before the complexity": {"complexity_blur": 0.0},
    "KL divergence": {"kl_weight": 0.0},
    "entropy of the addressing": {"entropy_weight": 0.0},
    "shrinkage of the addressing": {"shrinkage": 0.0},
    "sharp attention": {"temperature": 1.0},
}
"""What is taken away, and by which hyperparameters."""
OF_SCORE = {"plain_score", "complexity_weight", "latent_weight"}
"""Hyperparameters that have no part in training: a trained model is scored without these parts, not trained again."""

COLUMNS = ("dataset", "detector", "without", "seed", "auroc", "code", "setting")
PAGE = (
    "# Ablations",
    "What each part of the four methods brings. AUROC of held-out normal *training* images against training images of "
    "the other classes, as hyperparameters are chosen (`bench tune`), mean over all classes, ± its standard deviation "
    "over seeds; the test part is not read. A part is taken away from the defaults, and everything else stays as it "
    "is; in brackets is what that changes, seed by seed. Without both typicalities, a score is by how much the error "
    "exceeds that of a normal image as complex.",
    "Written by `python -m oodbench.benchmark.tuning.ablation --dataset DATASET DETECTOR...`, from `ablations.csv`.",
)


def variants(detector: type[Detector], dataset: type[Dataset]) -> dict[str, Mapping[str, Any]]:
    """Give the parts that a detector has on a dataset, and the changes that take them away."""
    defaults = detector().hyperparameters(dataset.shape)
    return {
        part: changes
        for part, changes in PARTS.items()
        if all(name in defaults and defaults[name] != value for name, value in changes.items())
    }


def ablate(
    detector: type[Detector], dataset: type[Dataset], plugins: Plugins, store: Store, *, data: Path, seeds: int = 1
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
        How many, from 0 on.
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
        for parts in _trained_alike({part: of for part, of in changes.items() if (part, seed) not in judged})
    ]
    if not missing:
        return
    with judging(detector, dataset, plugins, store, data=data) as judge:
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
                typer.echo(f"{dataset.name} {detector.name} seed {seed} without {part}: AUROC {auroc:.4f}")


def _trained_alike(missing: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Group parts by the training that they need: those of the score alone need one together."""
    alike = [part for part, changes in missing.items() if set(changes) <= OF_SCORE]
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
        cells = [
            [part, *(_cell(auroc, part, detector) for detector in detectors)]
            for part in PARTS
            if part in set(rows["without"])
        ]
        header = ["without", *(f"{detector} ({_seeds(auroc[WHOLE, detector])})" for detector in detectors)]
        align = ["left", *["right"] * len(detectors)]
        blocks += [f"## {dataset}", tabulate(cells, header, tablefmt="pipe", colalign=align, disable_numparse=True)]
    return "\n\n".join(blocks) + "\n"


def _seeds(auroc: pd.Series) -> str:
    count = auroc.count()
    return f"{count} seed{'s' if count != 1 else ''}"


def _cell(auroc: pd.DataFrame, part: str, detector: str) -> str:
    """Give a detector's AUROC without a part, and what that changes; nothing if it has no such part."""
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
    return pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=list(COLUMNS))


def _write(store: Store, table: pd.DataFrame) -> None:
    table = table.sort_values(["dataset", "detector"], ascending=[False, True], kind="stable")
    text = table.to_csv(index=False, columns=list(COLUMNS), float_format="%.6g", lineterminator="\n")
    write_text(store.leaderboard / "ablations.csv", text)
    write_text(store.leaderboard / "ablations.md", page(table))


def main(
    detectors: Annotated[list[str], typer.Argument(help="Detectors.")],
    dataset: Annotated[str, typer.Option(help="Dataset.")],
    seeds: Annotated[int, typer.Option(help="How many seeds, from 0 on.", min=1)] = 1,
    data_dir: DataDir = None,
    out: Out = None,
) -> None:
    """Judge detectors without each of their parts."""
    plugins, store, data = Plugins.load(), Store.at(out), data_folder(data_dir)
    for detector in detectors:
        ablate(plugins.detectors[detector], plugins.datasets[dataset], plugins, store, data=data, seeds=seeds)


if __name__ == "__main__":
    typer.run(main)
