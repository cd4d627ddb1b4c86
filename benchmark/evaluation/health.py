"""When a model is sick although its training finished."""

from __future__ import annotations

from collections.abc import Mapping

MANY_DEAD_QUERIES = 0.01
SAME_FOR_EVERY_INPUT = 1e-5


def symptoms(health: Mapping[str, float]) -> list[str]:
    """Read the signs that a detector reports.

    Parameters
    ----------
    health : mapping of str to float
        From `Detector.health`.

    Returns
    -------
    list of str
        What is wrong, a phrase each; empty for a healthy model.
    """
    found = []
    if health.get("dead_queries", 0) > MANY_DEAD_QUERIES:
        found.append(f"{health['dead_queries']:.0%} of the queries find no memory slot above the threshold")
    if health.get("slot_usage_entropy", 0.5) < SAME_FOR_EVERY_INPUT:
        found.append("one memory slot serves every input")
    if health.get("slots_per_query", 0.5) > 0.99:
        found.append("every input reads all memory slots, so that the memory holds nothing back")
    if health.get("active_units", 1) == 0:
        found.append("no latent unit is active (posterior collapse)")
    if health.get("reconstruction_variance", 1) < SAME_FOR_EVERY_INPUT:
        found.append("every input gets the same reconstruction")
    return found
