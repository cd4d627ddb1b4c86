"""The result of one trial: a class that documents itself, and reads and writes its file."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.evaluation.measures import Measures
from oodbench.benchmark.files import write_text
from oodbench.benchmark.results.migrations import SCHEMA, NewerSchemaError, migrated
from oodbench.benchmark.trials import Trial

Status = Literal["done", "failed"]


class ResultError(ValueError):
    """A file holds no result, or that of another trial; the message is one sentence that names the file."""


def first_cause(error: ValidationError) -> str:
    """Return where in a file the first wrong value stands, and what is wrong with it."""
    first = error.errors()[0]
    where = "".join(f"{part}: " for part in (".".join(map(str, first["loc"])),) if part)
    return where + first["msg"].removeprefix("Value error, ")


class TrialResult(Measures):
    """What one trial measured, and what it was: a detector, trained on one class of a dataset, with one seed.

    The fields are the keys of the trial's JSON file. What was measured, with units and ranges, is described in
    `Measures`; a failed trial measured nothing, and says in `error` why.

    Examples
    --------
    >>> import oodbench as ob
    >>> result = ob.load_results("leaderboard")[0]  # doctest: +SKIP
    >>> result.auroc, result.label, result.environment["processor"]  # doctest: +SKIP
    """

    model_config = ConfigDict(
        validate_by_name=True, validate_by_alias=True, serialize_by_alias=True, ser_json_inf_nan="constants"
    )

    # which trial
    schema_version: Literal[2] = Field(SCHEMA, alias="schema", description="Version of this format.")
    dataset: str = Field(min_length=1, description="Registered name of the dataset.")
    detector: str = Field(min_length=1, description="Registered name of the detector.")
    label: str = Field(min_length=1, description="The detector's name with what was changed: ae@epochs=3.")
    normal_class: int = Field(ge=0, description="Label of the class trained on, from 0.")
    class_name: str = Field(description="Name of that class.")
    classes: int = Field(ge=1, description="How many classes of the dataset can be the normal one, at least 1.")
    seed: int = Field(ge=0, description="Seeds everything random in the trial.")
    protocol: str = Field(min_length=1, description="Which images are trained and tested on: a protocol's name.")
    changes: dict[str, Any] = Field({}, description="Hyperparameters that differ from the defaults, with their values.")
    can_sample: bool = Field(description="Whether the detector can generate images.")
    extra_data: str = Field("", description="Images beyond the training images that the method has seen; or empty.")
    status: Status = Field(description='"done", or "failed" if anything raised an error.')
    error: str | None = Field(None, description="Why a failed trial failed, in one line or more.")
    traceback: str | None = Field(None, description="Where in the code a failed trial failed.")
    # what it was computed with
    command: str = Field(min_length=1, description="Runs this trial again, with the options as they were given.")
    fingerprint: str | None = Field(None, description="Of the detector's code: 12 hexadecimal digits.")
    data_version: str = Field("", description="Revision of the data; empty for data that never change.")
    classifier: str | None = Field(None, description="Digest of the classifier in whose features samples are measured.")
    hyperparameters: dict[str, Any] = Field({}, description="Every hyperparameter as it was used, without the seed.")
    environment: dict[str, str | int | None] = Field({}, description="Versions, processor, device, threads.")
    commit: str | None = Field(None, description="Git commit of oodbench's checkout; None if it was installed.")
    finished: str = Field(description="When the trial ended, as ISO 8601 in UTC.")

    @field_validator("class_name", "error", "traceback", "command", mode="before")
    @classmethod
    def _can_be_written(cls, text: Any) -> Any:
        """Write bytes of a file name that are no UTF-8, which Python holds as lone surrogates, as escapes."""
        return text.encode("utf-8", "backslashreplace").decode() if isinstance(text, str) else text

    @field_validator("finished")
    @classmethod
    def _is_a_time(cls, finished: str) -> str:
        datetime.fromisoformat(finished)
        return finished

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.status == "done" and self.auroc != self.auroc:
            raise ValueError("a trial that is done needs an auroc")
        if self.status == "failed" and not self.error:
            raise ValueError("a failed trial needs an error")
        if self.label != self.trial.label:
            raise ValueError(f"the label {self.label} does not fit the detector and its changes, {self.trial.label}")
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
        """Write the result as JSON, atomically; what was not measured is left out.

        Parameters
        ----------
        path : Path
            The file; its folder is made if need be.

        Raises
        ------
        OSError
            It cannot be written.
        """
        values = self.model_dump(mode="json")
        ordered = {key: values[key] for key in KEYS if key in values}
        write_text(path, json.dumps(ordered, indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def from_disk(cls, path: Path) -> TrialResult:
        """Read a result, migrating an older schema.

        Parameters
        ----------
        path : Path
            Ends in ``<dataset>/<detector>/class-<k>_seed-<s>.json``.

        Returns
        -------
        TrialResult

        Raises
        ------
        ResultError
            The file is damaged, holds no result, or that of another trial than its name says.
        UsageError
            It is of a newer oodbench.
        """
        again = "delete it, or run its trial again"
        try:
            stored = migrated(json.loads(path.read_bytes()))
            # as JSON, since strict validation of Python objects takes no list for a tuple
            result = cls.model_validate_json(json.dumps(stored), strict=True)
        except NewerSchemaError as error:
            raise UsageError(f"{path} has {error}: update oodbench.") from error
        except ValidationError as error:
            raise ResultError(f"{path} is no valid result ({first_cause(error)}): {again}.") from error
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            cause = " ".join(str(error).split()) or type(error).__name__
            raise ResultError(f"{path} is no result ({cause}): {again}.") from error
        own = result.trial.path.with_name(f"{result.trial.path.name}.json")
        if Path(*path.parts[-3:]) != own:
            raise ResultError(f"{path} holds the result of another trial, whose file is {own}: delete or rename it.")
        return result


def _keys() -> tuple[str, ...]:
    measures = list(Measures.model_fields)
    own = [field.alias or name for name, field in TrialResult.model_fields.items() if name not in measures]
    middle = own.index("command")
    return (*own[:middle], *measures, *own[middle:])


KEYS: Final = _keys()
"""Of the JSON file in their order: which trial, what it measured, what it was computed with."""
