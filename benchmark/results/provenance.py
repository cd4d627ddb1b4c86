"""What a result was computed with: versions, processor, device, threads, commit."""

from __future__ import annotations

import platform
import subprocess
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
"""The root of the repository, where oodbench runs from one."""


def environment(device: str) -> dict[str, str | int | None]:
    """Return what a trial is computed with.

    Parameters
    ----------
    device : str
        ``cpu`` or ``cuda``.

    Returns
    -------
    dict
        ``oodbench``, ``python``, ``torch`` (versions), ``system``, ``device``, ``processor`` (of the device) and
        ``threads`` (of torch in this process).
    """
    import torch  # takes seconds

    return {
        "oodbench": version("oodbench"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.system(),
        "device": device,
        "processor": torch.cuda.get_device_name() if device.startswith("cuda") else _processor(),
        "threads": torch.get_num_threads(),
    }


@cache
def commit() -> str | None:
    """Return the git commit (40 hexadecimal digits) of oodbench's checkout; None if it is installed, or without git."""
    repository = CHECKOUT / ".git"  # named outright, or git might find the repository of whoever installed oodbench
    if not repository.exists():
        return None
    command = ["git", "--git-dir", str(repository), "rev-parse", "--verify", "HEAD"]
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip() or None
    return None


@cache
def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
