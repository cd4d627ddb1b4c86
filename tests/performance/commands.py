"""Runs of the command ``bench`` in processes of their own, and their memory."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

BENCH = Path(sysconfig.get_path("scripts"), "bench")
INTERVAL = 0.2
"""Seconds between two looks at the memory."""
WORKERS = 2
"""Processes of the run whose memory is looked at."""

Look = Callable[[int], None]
"""Is given the command's process number now and then."""


@dataclass(frozen=True)
class Command:
    """The command, with its data and a cache of its own.

    Attributes
    ----------
    data : Path
        Where datasets lie.
    cache : Path
        Where it keeps listings, and what real images gave.
    """

    data: Path
    cache: Path

    def run(self, arguments: Sequence[str], look: Look | None = None) -> float:
        """Run it, and give the seconds that it took; a RuntimeError with its output if it fails."""
        environment = {**os.environ, "OODBENCH_DATA": str(self.data), "XDG_CACHE_HOME": str(self.cache)}
        output = self.cache / "output.txt"
        self.cache.mkdir(exist_ok=True)
        with output.open("w", encoding="utf-8") as stream:
            start = time.perf_counter()
            process = subprocess.Popen([BENCH, *arguments], env=environment, stdout=stream, stderr=stream)
            while look is not None and process.poll() is None:
                look(process.pid)
                time.sleep(INTERVAL)
            code = process.wait()
            seconds = time.perf_counter() - start
        if code != 0:
            raise RuntimeError(f"bench {' '.join(arguments)}: exit code {code}\n{output.read_text(encoding='utf-8')}")
        return seconds


@dataclass
class Memory:
    """The largest memory of a process and all that descend from it, on Linux; a shared page counts once.

    Attributes
    ----------
    peak : dict of str to float
        MiB of each process when their sum was largest.
    """

    peak: dict[str, float] = field(default_factory=dict)

    def look(self, process: int) -> None:
        """Take note of the memory that is used now."""
        now = _by_role(process)
        if sum(now.values()) > sum(self.peak.values()):
            self.peak = now


def _by_role(command: int) -> dict[str, float]:
    """MiB of a command's processes, by what they are for."""
    sizes = {"command": proportional_mib(command)}
    for child in children(command):
        server = "forkserver" in _command_line(child)
        sizes["fork server" if server else "resource tracker"] = proportional_mib(child)
        forked = sorted((proportional_mib(process) for process in children(child)), reverse=True)
        for number, size in enumerate(forked, 1):
            sizes[f"worker {number}"] = size
    return sizes


def children(process: int) -> list[int]:
    """Give the numbers of a process's children."""
    found: list[int] = []
    for listed in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):  # the thread has ended
            found += map(int, listed.read_text(encoding="ascii").split())
    return found


def proportional_mib(process: int) -> float:
    """Give the proportional set size of a process in MiB: of a page that n processes share it counts 1/n."""
    with suppress(OSError):  # the process has ended
        for line in Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _command_line(process: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_text(encoding="utf-8", errors="replace")
    return ""
