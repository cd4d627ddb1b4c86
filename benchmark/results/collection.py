"""Many results: selected, tabulated and ranked."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, overload

from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.evaluation.measures import DETECTION, GENERATION, NAN, PROBES
from oodbench.benchmark.evaluation.other_datasets import OTHER_DATASETS
from oodbench.benchmark.files import PARTIAL
from oodbench.benchmark.results import aggregate
from oodbench.benchmark.results.result import ResultError, TrialResult
from oodbench.benchmark.results.versions import newest_versions

if TYPE_CHECKING:
    import pandas as pd

PROBED = {f"probe_{name}": name for name in (*PROBES, *(dataset.name for dataset in OTHER_DATASETS))}
"""Columns of `TrialResult.probes`."""
COLUMNS = (
    *("dataset", "detector", "normal_class", "seed"),
    *DETECTION,
    *("normal_kept", "ood_caught"),
    *GENERATION,
    *("fit_seconds", "score_images_per_second", "parameters", "peak_memory_mb", "extra_data", "status"),
    *PROBED,
)
"""Of ``results.csv``, one row a trial; see `TrialResult` for their meaning. ``detector`` is the label."""
ORDER = ["dataset", "detector", "normal_class", "seed"]


class Results(Sequence[TrialResult]):
    """Results of trials, all of one protocol.

    Parameters
    ----------
    results : iterable of TrialResult
        In the order that they keep.
    problems : iterable of str
        One sentence for each file that was left out, and for what `newest` left out.

    Attributes
    ----------
    problems : list of str
        One sentence for each damaged, duplicate or foreign file that was left out when these results were read, and for
        each table of which results of an earlier version were left out.

    Examples
    --------
    >>> import oodbench as ob
    >>> results = ob.load_results("leaderboard")  # doctest: +SKIP
    >>> results.select(dataset="mnist", detector=["ae", "memae"]).to_frame()  # doctest: +SKIP
    """

    def __init__(self, results: Iterable[TrialResult] = (), problems: Iterable[str] = ()) -> None:
        self._results = tuple(results)
        self.problems = list(problems)

    @classmethod
    def from_disk(cls, folder: Path, protocol: str) -> Self:
        """Read all results in a folder, sorted by path.

        Parameters
        ----------
        folder : Path
            Holds ``<dataset>/<detector>/class-<k>_seed-<s>.json``.
        protocol : str
            That the results must be of.

        Returns
        -------
        Results
            Those that are in order; `problems` names the files that are not.

        Raises
        ------
        UsageError
            All results are of another protocol.
        """
        results, problems = [], []
        others: dict[Path, str] = {}
        for path in sorted(folder.rglob("*.json")):
            if any(part.startswith(PARTIAL) for part in path.parts):
                continue  # somebody is writing it, or was
            try:
                result = TrialResult.from_disk(path)
            except ResultError as error:
                problems.append(str(error))
                continue
            if result.protocol == protocol:
                results.append(result)
            else:
                others[path] = result.protocol
        if others and not results:
            other = next(iter(others.values()))
            raise UsageError(
                f"{folder} holds results of the protocol {other}, not of {protocol}: add --protocol {other}, and name "
                "the folder that `bench run` was given."
            )
        problems += [
            f"{path} is of the protocol {other}, not of {protocol}: delete it, or move it away."
            for path, other in others.items()
        ]
        return cls(results, sorted(problems))

    @overload
    def __getitem__(self, index: int) -> TrialResult: ...

    @overload
    def __getitem__(self, index: slice) -> Results: ...

    def __getitem__(self, index: int | slice) -> TrialResult | Results:
        if isinstance(index, slice):
            return Results(self._results[index], self.problems)
        return self._results[index]

    def __len__(self) -> int:
        return len(self._results)

    def __iter__(self) -> Iterator[TrialResult]:
        return iter(self._results)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        count = len(self.problems)
        problems = f", {count} problem{'s' * (count != 1)}" if count else ""
        return f"<{len(self)} results of {len({result.label for result in self})} detectors{problems}>"

    def select(
        self,
        *,
        dataset: str | Collection[str] | None = None,
        detector: str | Collection[str] | None = None,
        label: str | Collection[str] | None = None,
        normal_class: int | Collection[int] | None = None,
        seed: int | Collection[int] | None = None,
        status: str | Collection[str] | None = None,
    ) -> Results:
        """Return the results that have all the given values.

        Parameters
        ----------
        dataset, detector : str or collection of str, optional
            Registered names.
        label : str or collection of str, optional
            Names of detectors with what was changed: ``ae@epochs=3``.
        normal_class, seed : int or collection of int, optional
            Labels of classes, and seeds.
        status : {"done", "failed"}, optional
            Whether the trial failed.

        Returns
        -------
        Results
        """
        wanted: dict[str, Any] = {
            **{"dataset": dataset, "detector": detector, "label": label},
            **{"normal_class": normal_class, "seed": seed, "status": status},
        }
        chosen = list(self)
        for field, values in wanted.items():
            if values is not None:
                among = {values} if isinstance(values, str | int) else set(values)
                chosen = [result for result in chosen if getattr(result, field) in among]
        return Results(chosen, self.problems)

    def newest(self) -> Results:
        """Return the results that can stand in one table: of one version of data, of code and of settings.

        Returns
        -------
        Results
            Its `problems` say how many were left out, and why.
        """
        kept, left_out = newest_versions(self)
        return Results(kept, [*self.problems, *left_out])

    @cached_property
    def class_counts(self) -> dict[str, int]:
        """How many classes each dataset has that can be the normal one; a dataset's mean is over all of them."""
        counts: dict[str, int] = {}
        for result in self:
            counts[result.dataset] = max(result.classes, counts.get(result.dataset, 0))
        return counts

    @cached_property
    def changed(self) -> set[str]:
        """Labels of detectors that ran with changed hyperparameters; they are shown, but not ranked."""
        return {result.label for result in self if result.changes}

    def to_frame(self) -> pd.DataFrame:
        """Return a table with one row a trial.

        Returns
        -------
        DataFrame
            With `COLUMNS`, sorted by dataset, detector (its label), normal class and seed. What a failed trial did not
            measure, or a method cannot do, is NaN.
        """
        import pandas as pd  # takes a third of a second

        measured = [_row(result) for result in self]
        frame = pd.DataFrame(measured, columns=list(COLUMNS))
        return frame.sort_values(ORDER, ignore_index=True)

    def leaderboard(self) -> pd.DataFrame:
        """Return a table with one row a detector, and for each dataset five columns.

        Returns
        -------
        DataFrame
            Indexed by label; columns (dataset, figure), so that ``leaderboard()["mnist"]`` is the table of a dataset.

            - ``auroc``: mean over classes and seeds, in [0, 1]; over all classes if a seed has them all, and otherwise
              over those that were measured.
            - ``deviation``: standard deviation over seeds of the mean over all classes; NaN for fewer than two seeds.
            - ``rank``: rank by AUROC, 1 is best, averaged over the dataset's classes; ranked are detectors with results
              for all classes and unchanged hyperparameters, others have NaN. Detectors with extra data are ranked among
              themselves.
            - ``extra_data``: what images a detector has seen beyond the training images; mostly empty.
            - ``classes``: how many classes have a result.

            Sorted by the rank on the first dataset, detectors with extra data below the others; those without a rank
            there by the next dataset's, and those without any last.
        """
        import pandas as pd

        frame = self.to_frame()
        tables = {dataset: self._leaderboard_of(dataset, frame) for dataset in sorted(self.class_counts)}
        if not tables:
            return pd.DataFrame(index=pd.Index([], name="detector"))
        board = pd.concat(tables, axis=1).rename_axis(index="detector").sort_index()
        ranks = board.xs("rank", axis=1, level=1).fillna(math.inf)
        extra = aggregate.with_extra_data(frame)
        return board.loc[sorted(board.index, key=lambda label: (label in extra, *ranks.loc[label], label))]

    def _leaderboard_of(self, dataset: str, frame: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        classes = self.class_counts[dataset]
        table = aggregate.by_class(frame, dataset)
        complete = aggregate.complete(frame, dataset, classes)
        seeds = {label: aggregate.by_seed(frame, dataset, label, classes) for label in complete}
        board = pd.DataFrame(index=table.index)
        of_complete_seeds = pd.Series({label: aurocs.mean() for label, aurocs in seeds.items()}, dtype=float)
        board["auroc"] = of_complete_seeds.reindex(table.index).fillna(table.T.mean())
        board["deviation"] = pd.Series({label: aurocs.std() for label, aurocs in seeds.items()}, dtype=float)
        board["rank"] = pd.Series(aggregate.ranks(frame, dataset, set(complete) - self.changed), dtype=float)
        board["extra_data"] = frame.groupby("detector")["extra_data"].first()
        board["classes"] = table.T.count()
        return board


def _row(result: TrialResult) -> dict[str, Any]:
    """Return the `COLUMNS` of a result."""
    probes = {column: result.probes.get(name, NAN) for column, name in PROBED.items()}
    return {name: getattr(result, name) for name in COLUMNS if name not in PROBED} | probes | {"detector": result.label}
