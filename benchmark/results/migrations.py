"""Older formats of a result brought to today's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

SCHEMA: Final = 2
"""Version of the format that is written; 1 was until 2026."""


class NewerSchemaError(ValueError):
    """A result is of a newer oodbench."""


def migrated(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored result in today's schema.

    Parameters
    ----------
    stored : mapping
        As it stands in a file; it is not changed.

    Returns
    -------
    dict

    Raises
    ------
    NewerSchemaError
        Its schema is newer than today's.
    ValueError
        It is no mapping, or names no schema.
    """
    if not isinstance(stored, Mapping):
        raise ValueError("it is no JSON object")
    schema = stored.get("schema")
    if not isinstance(schema, int) or schema < 1:
        raise ValueError("it names no schema")
    if schema > SCHEMA:
        raise NewerSchemaError(f"schema version {schema}, this oodbench reads up to {SCHEMA}")
    return _from_1(stored) if schema == 1 else dict(stored)


def _from_1(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Name the protocol, rename "health" and "kernel", and judge diagnostics, as schema 1 did when it was shown."""
    result = {"protocol": "deep-svdd", **stored, "schema": 2}
    if "health" in result:
        result["diagnostics"] = result.pop("health")
        result["unhealthy"] = _unhealthy_1(result["diagnostics"])
    if "kernel" in result:
        result["kid"] = result.pop("kernel")
    if result.get("controls"):
        result["controls"] = {
            name: {"kid" if key == "kernel" else key: value for key, value in measures.items()}
            for name, measures in result["controls"].items()
        }
    for name in ("normal_kept", "ood_caught"):  # None where no images were held out
        if result.get(name, 0) is None:
            del result[name]
    return result


def _unhealthy_1(signs: Mapping[str, float]) -> list[str]:
    """Judge the diagnostics of schema 1, whose meaning the harness knew; detectors judge their own since."""
    found = []
    if signs.get("dead_queries", 0) > 0.01:
        found.append(f"{signs['dead_queries']:.0%} of the queries find no memory slot above the threshold")
    if signs.get("slot_usage_entropy", 0.5) < 1e-5:
        found.append("one memory slot serves every input")
    if signs.get("slots_per_query", 0.5) > 0.99:
        found.append("every input reads all memory slots, so that the memory holds nothing back")
    if signs.get("active_units", 1) == 0:
        found.append("no latent unit is active (posterior collapse)")
    if signs.get("reconstruction_variance", 1) < 1e-5:
        found.append("every input gets the same reconstruction")
    return found
