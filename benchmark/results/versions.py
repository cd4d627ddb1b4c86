"""Tables never mix versions: of results that cannot stand side by side, the newest are kept, and the others counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence

from oodbench.benchmark.results.result import TrialResult

Table = Callable[[TrialResult], tuple[str, ...]]
"""Returns in which table or row a result stands."""
Version = Callable[[TrialResult], str | None]
"""Returns the version that all results in it must have; None for a result that goes with any."""


def newest_versions(results: Sequence[TrialResult]) -> tuple[list[TrialResult], list[str]]:
    """Keep the results that can stand in one table.

    On a dataset these are of one version of its data and of its class names, and their samples were measured with one
    classifier; of a detector on a dataset, they are of one version of its code and its hyperparameters. Of several
    versions, that of the result that finished last is kept.

    Parameters
    ----------
    results : sequence of TrialResult
        Of one protocol.

    Returns
    -------
    kept : list of TrialResult
        In their order.
    left_out : list of str
        One sentence for each dataset, class or row of which results were left out.
    """
    kept, left_out = list(results), []
    for table, version, cause in (
        (_dataset, _data, "of an earlier version of the data"),
        (_class, _class_name, "from when the class had another name"),
        (_dataset, _classifier, "with samples measured by an earlier classifier"),
        (_row, _code, "of an earlier version of the code or its hyperparameters"),
    ):
        kept, older = _divided(kept, table, version)
        for place, count in sorted(Counter(map(table, older)).items()):
            found, them = ("1 result", "it") if count == 1 else (f"{count} results", "them")
            left_out.append(f"{', '.join(place)}: {found} {cause}; `bench run` computes {them} again.")
    return kept, left_out


def _divided(
    results: Sequence[TrialResult], table: Table, version: Version
) -> tuple[list[TrialResult], list[TrialResult]]:
    """Return the results of the newest version in each table, and the others."""
    latest: dict[tuple[str, ...], str] = {}
    for result in sorted(results, key=lambda result: result.finished):
        found = version(result)
        if found is not None:
            latest[table(result)] = found
    is_older = [version(result) not in (None, latest.get(table(result))) for result in results]
    kept = [result for result, older in zip(results, is_older, strict=True) if not older]
    return kept, [result for result, older in zip(results, is_older, strict=True) if older]


def _dataset(result: TrialResult) -> tuple[str, ...]:
    return (result.dataset,)


def _class(result: TrialResult) -> tuple[str, ...]:
    return (result.dataset, f"class {result.normal_class}")


def _row(result: TrialResult) -> tuple[str, ...]:
    return (result.dataset, result.label)


def _data(result: TrialResult) -> str:
    return f"{result.data_version} {result.classes}"


def _class_name(result: TrialResult) -> str:
    return result.class_name


def _classifier(result: TrialResult) -> str | None:
    return result.classifier


def _code(result: TrialResult) -> str | None:
    """Return the version of the code; None where there is none, as of a detector that could not be constructed."""
    if result.status == "failed" and result.fingerprint is None:
        return None
    return f"{result.fingerprint} {json.dumps(result.hyperparameters, sort_keys=True)}"
