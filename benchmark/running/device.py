"""Where tensors are computed."""

from __future__ import annotations

from oodbench.benchmark.errors import UsageError


def choose_device(wanted: str) -> str:
    """Resolve ``auto``, and refuse what is not there.

    Parameters
    ----------
    wanted : str
        ``auto``, ``cpu`` or ``cuda``.

    Returns
    -------
    str
        ``cpu`` or ``cuda``.

    Raises
    ------
    UsageError
        Another word, or no GPU.
    """
    import torch  # takes seconds

    check_device(wanted)
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch finds no GPU here; use --device cpu, or auto.")
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def check_device(wanted: str) -> None:
    """Raise UsageError unless `wanted` is a word that `choose_device` knows."""
    if wanted not in ("auto", "cpu", "cuda"):
        raise UsageError(f"--device is auto, cpu or cuda, not {wanted!r}.")
