"""The result of one trial: a class that documents itself, and reads and writes its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from oodbench.benchmark.evaluation.measures import Measures
from oodbench.benchmark.files import write_text
from oodbench.benchmark.results.migrations import SCHEMA, migrated
from oodbench.benchmark.trials import Trial

Status = Literal["done", "failed"]


class ResultError(ValueError):
    """A file holds no result, or one that contradicts itself; the message is one sentence that names the file."""


class TrialResult(Measures):
    """What one trial measured, and what it was: a detector, trained on one class of a dataset, with one seed.

    The measures stand in `Measures`; they are NaN where `status` is "failed".
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    schema_version: Literal[2] = Field(SCHEMA, alias="schema", description="Version of this format.")
    dataset: str = Field(min_length=1, description="Registered name of the dataset.")
    detector: str = Field(min_length=1, description="Registered name of the detector.")
    label: str = Field(min_length=1, description="The detector's name with what was changed: ae@epochs=3.")
    normal_class: int = Field(ge=0, description="Label of the class trained on.")
    class_name: str = Field(description="Name of that class.")
    classes: int = Field(ge=1, description="How many classes of the dataset can be the normal one.")
    seed: int = Field(ge=0, description="Seed of everything random in the trial.")
    protocol: str = Field(min_length=1, description="Which images are trained and tested on.")
    changes: dict[str, Any] = Field({}, description="Hyperparameters that differ from the defaults.")
    can_sample: bool = Field(description="Whether the detector can generate images.")
    status: Status
    error: str | None = Field(None, description="Why a failed trial failed, in one line or more.")
    traceback: str | None = None
    command: str = Field(description="Runs this trial again, with the options as they were given.")
    fingerprint: str | None = Field(None, description="Of the detector's code: 12 hexadecimal digits.")
    data_version: str = Field("", description="Revision of the data; empty for data that never change.")
    classifier: str | None = Field(None, description="Digest of the classifier in whose features samples are measured.")
    hyperparameters: dict[str, Any] = Field({}, description="Every hyperparameter as it was used.")
    environment: dict[str, str | int | None] = Field({}, description="Versions, processor, device, threads.")
    commit: str | None = Field(None, description="Git commit of oodbench's own checkout, if it is one.")
    finished: str = Field(description="When, as ISO 8601 in UTC.")

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.status == "done" and self.auroc != self.auroc:
            raise ValueError("a trial that is done needs an auroc")
        if self.status == "failed" and not self.error:
            raise ValueError("a failed trial needs an error")
        return self

    @property
    def trial(self) -> Trial:
        """The trial that this is the result of."""
        changes = tuple(sorted(self.changes.items()))
        return Trial(self.dataset, self.detector, self.normal_class, self.seed, changes, self.protocol)

    @property
    def name(self) -> str:
        """Dataset, class, detector and seed in words."""
        return f"{self.dataset}, normal class {self.class_name}, {self.label}, seed {self.seed}"

    def to_disk(self, path: Path) -> None:
        """Write the result atomically as JSON; raises OSError if it cannot be written."""
        write_text(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def from_disk(cls, path: Path) -> TrialResult:
        """Read a result, migrating an older schema.

        Raises
        ------
        ResultError
            The file is damaged, of a newer schema, no result, or that of another trial than its name says.
        """
        try:
            stored = json.loads(path.read_bytes())
            result = cls.model_validate(migrated(stored))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "it"
            raise ResultError(f"{path} is no valid result ({where}: {first['msg']}).") from error
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            cause = " ".join(str(error).split()) or type(error).__name__
            raise ResultError(f"{path} is no result ({cause}).") from error
        expected = result.trial.path.with_name(f"{result.trial.path.name}.json")
        if Path(*path.parts[-3:]) != expected:
            raise ResultError(f"{path} holds the result of another trial ({result.name}).")
        return result
