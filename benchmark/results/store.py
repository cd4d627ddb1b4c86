"""Where results and run folders lie; everything is written atomically."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError, field_validator

from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.evaluation.measures import Share, Threshold
from oodbench.benchmark.files import partial, remove_leftovers
from oodbench.benchmark.results.collection import Results
from oodbench.benchmark.results.result import ResultError, TrialResult, first_cause
from oodbench.benchmark.trials import Trial, check_protocol
from oodbench.datasets.components.protocols import DEFAULT_PROTOCOL

CARD = "model_card.json"
LARGEST_IMAGE = 2**24
"""Values of one image that a stored model may claim to take."""


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
        """Return the store under one folder, or by default under ``leaderboard`` and ``runs`` where one stands.

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
        """Remove what interrupted writes of ended processes left behind."""
        for folder in (self.results, self.runs, self.plots):
            remove_leftovers(folder)

    def lock(self, name: str) -> FileLock:
        """Return a lock that all processes respect that work on these folders; the name may be a path."""
        path = self.runs / ".locks" / f"{name}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path)

    def read(self, trial: Trial) -> TrialResult | None:
        """Read the stored result of a trial.

        Parameters
        ----------
        trial : Trial
            Which.

        Returns
        -------
        TrialResult or None
            None where there is none, and also where its file is damaged or of another protocol: the trial is then run
            again, and its file replaced.
        """
        path = self.result_path(trial)
        if not path.is_file():
            return None
        try:
            result = TrialResult.from_disk(path)
        except ResultError:
            return None
        return result if result.protocol == self.protocol else None

    def read_all(self) -> Results:
        """Read all stored results that can stand in one table, sorted by path; see `Results.newest`.

        Returns
        -------
        Results
            Its `problems` name the files that are damaged, duplicates or foreign, and count the results of earlier
            versions; these are left out.

        Raises
        ------
        UsageError
            All results are of another protocol.
        """
        return Results.from_disk(self.results, self.protocol).newest()

    def write(self, result: TrialResult) -> None:
        """Store the result of a trial, replacing an earlier one; raises OSError if it cannot be written."""
        result.to_disk(self.result_path(result.trial))


class ModelCard(BaseModel):
    """What a stored model is for, how it reads images, and what its threshold achieved; it may say more."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False, strict=True)

    dataset: str
    class_name: str
    shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    detector: str
    scale: dict[str, tuple[float, float]] | None = None
    threshold: Threshold | None = None
    normal_kept: Share | None = None
    ood_caught: Share | None = None

    @field_validator("shape")
    @classmethod
    def _fits_into_memory(cls, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        if math.prod(shape) > LARGEST_IMAGE:
            raise ValueError(f"images of {'×'.join(map(str, shape))} values are too large")
        return shape


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Write into a run folder what its model is for: detector, dataset, class, shape of the images, threshold."""
    (folder / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def read_card(folder: Path) -> dict[str, Any]:
    """Read what `write_card` wrote.

    Raises
    ------
    UsageError
        The folder holds no stored model, or its card is damaged.
    """
    try:
        card = (folder / CARD).read_bytes()
    except OSError as error:
        raise UsageError(
            f"{folder} holds no stored model: name a run folder, such as runs/mnist/vae/class-3_seed-0."
        ) from error
    try:
        return ModelCard.model_validate_json(card).model_dump()
    except ValidationError as error:
        raise UsageError(
            f"{folder / CARD} is damaged ({first_cause(error)}): run its trial again with --force."
        ) from error
