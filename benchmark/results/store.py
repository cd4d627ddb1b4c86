"""Where results and run folders lie; everything is written atomically."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.evaluation.metrics import GENERATION
from oodbench.benchmark.files import PARTIAL, is_running, partial, remove, write_text
from oodbench.benchmark.trials import Trial, check_protocol
from oodbench.datasets.components.protocols import DEFAULT_PROTOCOL

SCHEMA = 1
Result = dict[str, Any]
"""What a trial measured, as it stands in its JSON file, where the protocol stands only if it is not the default."""

COLUMNS = (
    *("dataset", "detector", "normal_class", "seed", "auroc", "aupr_out", "aupr_in", "fpr95"),
    *("normal_kept", "ood_caught"),
    *GENERATION,
    *("fit_seconds", "score_images_per_second", "parameters", "peak_memory_mb", "status"),
)
"""Of ``results.csv``, one row a trial."""


@dataclass(frozen=True)
class Store:
    """The folders of one benchmark, whose results are all of one protocol.

    Attributes
    ----------
    leaderboard : Path
        Holds ``results/``, ``plots/``, ``README.md`` and ``results.csv``; worth keeping under version control.
    runs : Path
        Holds the run folders: weights, scores, histories, pictures.
    protocol : str
        Of all results.
    """

    leaderboard: Path
    runs: Path
    protocol: str = DEFAULT_PROTOCOL

    @classmethod
    def at(cls, out: Path | None, protocol: str = DEFAULT_PROTOCOL) -> Store:
        """Lay everything under one folder, or by default under ``leaderboard`` and ``runs`` where one stands.

        A protocol other than the default has a folder ``protocol-NAME`` of its own in there; one that does not exist is
        a UsageError.
        """
        check_protocol(protocol)
        apart = "" if protocol == DEFAULT_PROTOCOL else f"protocol-{protocol}"
        if out is None:
            return cls(Path("leaderboard", apart), Path("runs", apart), protocol)
        return cls(out / apart, out / apart / "runs", protocol)

    @property
    def results(self) -> Path:
        """Where the results lie."""
        return self.leaderboard / "results"

    @property
    def plots(self) -> Path:
        """Where the leaderboard's pictures lie."""
        return self.leaderboard / "plots"

    def result_path(self, trial: Trial) -> Path:
        """Where the result of a trial lies."""
        path = self.results / trial.path
        return path.with_name(f"{path.name}.json")

    def run_folder(self, trial: Trial) -> Path:
        """Where a trial leaves its weights, scores and pictures."""
        return self.runs / trial.path

    def prepare(self) -> None:
        """Make the folders, and `clear` them.

        Raises
        ------
        UsageError
            They cannot be written to.
        """
        for folder in (self.results, self.runs, self.plots):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with partial(folder / "probe") as path:
                    path.touch()
            except OSError as error:
                raise UsageError(
                    f"{folder} cannot be written to ({error.strerror}): choose another folder with --out."
                ) from error
        self.clear()

    def clear(self) -> None:
        """Clear away what interrupted writes of ended processes left behind."""
        for folder in (self.results, self.runs, self.plots):
            for parent, folders, files in os.walk(folder):  # which minds nothing that vanishes meanwhile
                for name in [name for name in (*folders, *files) if name.startswith(PARTIAL)]:
                    if not is_running(int(name.removeprefix(PARTIAL).partition("-")[0])):
                        remove(Path(parent, name))
                folders[:] = [name for name in folders if not name.startswith(PARTIAL)]

    def lock(self, name: str) -> FileLock:
        """Give a lock that all processes respect that work on these folders; the name may be a path."""
        path = self.runs / ".locks" / f"{name}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path)

    def read(self, trial: Trial) -> Result | None:
        """Give the stored result of a trial, if there is one."""
        path = self.result_path(trial)
        return read_result(path) if path.is_file() else None

    def read_all(self) -> list[Result]:
        """Give all stored results, sorted by path.

        Raises
        ------
        UsageError
            A file is not a result, or one of another protocol.
        """
        return read_results(self.results, self.protocol)

    def write(self, trial: Trial, result: Result) -> None:
        """Store the result of a trial, replacing an earlier one."""
        kept = {key: value for key, value in result.items() if (key, value) != ("protocol", DEFAULT_PROTOCOL)}
        write_text(self.result_path(trial), json.dumps(kept, indent=2) + "\n")


def read_results(folder: Path, protocol: str) -> list[Result]:
    """Read all results in a folder, sorted by path.

    Parameters
    ----------
    folder : Path
        Holds ``<dataset>/<detector>/class-<k>_seed-<s>.json``.
    protocol : str
        That all must be of.

    Returns
    -------
    list of dict

    Raises
    ------
    UsageError
        A file is not a result, or one of another protocol.
    """
    results = [read_result(path) for path in sorted(folder.glob("*/*/class-*_seed-*.json"))]
    for result in results:
        if result["protocol"] != protocol:
            raise UsageError(
                f"{folder} holds results of the protocol {result['protocol']}, not of {protocol}: add --protocol "
                f"{result['protocol']}, and name the folder that `bench run` was given."
            )
    return results


def read_result(path: Path) -> Result:
    """Read one result.

    Parameters
    ----------
    path : Path
        A JSON file.

    Returns
    -------
    dict

    Raises
    ------
    UsageError
        The file is no result, or one of a newer version.
    """
    try:
        result: Result = {"protocol": DEFAULT_PROTOCOL, **json.loads(path.read_text(encoding="utf-8"))}
        schema = result["schema"]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is not a result file ({error}): delete it and run its trial again.") from error
    if schema != SCHEMA:
        raise UsageError(f"{path} has schema version {schema}, this oodbench reads {SCHEMA}: update oodbench.")
    return result


CARD = "model_card.json"


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Say in a run folder what its model is for: detector, dataset, class, shape of the images, threshold."""
    (folder / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def read_card(folder: Path) -> dict[str, Any]:
    """Read what `write_card` wrote.

    Raises
    ------
    UsageError
        The folder holds no stored model.
    """
    try:
        card: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{folder} holds no stored model: name a run folder, such as runs/mnist/vae/class-3_seed-0."
        ) from error
    return card


def as_frame(results: list[Result]) -> pd.DataFrame:
    """Tabulate results.

    Parameters
    ----------
    results : list of dict
        As stored.

    Returns
    -------
    DataFrame
        One row a trial, with `COLUMNS`; what a failed trial did not measure is NaN.
    """
    rows = [{**{key: result.get(key) for key in COLUMNS}, "detector": result["label"]} for result in results]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.sort_values(["dataset", "detector", "normal_class", "seed"], ignore_index=True)
