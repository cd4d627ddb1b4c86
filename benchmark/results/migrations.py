"""Older formats of a result brought to today's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

SCHEMA: Final = 2


def migrated(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Bring a stored result to today's schema.

    Parameters
    ----------
    stored : mapping
        As it stands in a file.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        It has no schema, or that of a newer oodbench.
    """
    result = dict(stored)
    schema = result.get("schema")
    if not isinstance(schema, int):
        raise ValueError("it names no schema")
    if schema > SCHEMA:
        raise ValueError(f"it has schema {schema}, and this oodbench reads up to {SCHEMA}: update oodbench")
    if schema == 1:
        result = _from_1(result)
    return result


def _from_1(result: dict[str, Any]) -> dict[str, Any]:
    """Add the default protocol, rename "health" and "kernel", and judge what schema 1 left unjudged."""
    result = {"protocol": "deep-svdd", **result, "schema": 2}
    if "health" in result:
        result["diagnostics"] = result.pop("health")
        result["unhealthy"] = _unhealthy_1(result["diagnostics"])
    for measures in (result, *(result.get("controls") or {}).values()):
        if "kernel" in measures:
            measures["kid"] = measures.pop("kernel")
    for name in ("normal_kept", "ood_caught"):
        if result.get(name, 0) is None:
            del result[name]
    return result


def _unhealthy_1(signs: Mapping[str, float]) -> list[str]:
    """Read the signs that detectors reported under schema 1, whose meaning the harness knew."""
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
