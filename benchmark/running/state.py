"""The state of a process in which every trial begins, whatever ran there before."""

from __future__ import annotations

import gc
import locale
import os
import random
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits


def reset_state(seed: int) -> None:
    """Bring back the settings that the process had when this was first called, and seed all random generators.

    Plugins change them; what they did in one trial must not reach the next. These are: the working directory, the
    environment variables, where Python looks for modules, which warnings it raises, and what is listed in `_SETTINGS`
    besides; of torch, its defaults, with one thread. Pictures are drawn with settings of their own (see
    `oodbench.benchmark.reporting.pictures.figure`). Threads are not ended (see `oodbench.benchmark.running.leftovers`).

    Parameters
    ----------
    seed : int
        Seeds the global generators of Python, NumPy and torch.
    """
    for (_, restore), value in zip(_SETTINGS, _first_values(), strict=True):
        restore(value)
    signal.setitimer(signal.ITIMER_REAL, 0)  # a timer's signal would end the process in the midst of the next trial
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_grad_enabled(True)
    torch.set_anomaly_enabled(False)
    torch.use_deterministic_algorithms(False)
    torch.set_flush_denormal(False)
    use_one_thread()
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  # what plugins may draw from
    torch.manual_seed(seed)


def use_one_thread() -> None:
    """Compute in one thread: one process a core, of one thread each, is what runs fastest."""
    torch.set_num_threads(1)
    threadpool_limits(1)


def _set_environment(variables: Mapping[str, str]) -> None:
    for name in set(os.environ) - set(variables):
        del os.environ[name]
    for name, value in variables.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def _set_collecting(enabled: bool) -> None:
    gc.enable() if enabled else gc.disable()


def _set_path(path: list[str]) -> None:
    sys.path[:] = path


def _set_filters(filters: list[Any]) -> None:
    if warnings.filters != filters:
        warnings.filters[:] = filters  # type: ignore[index]
        warnings.simplefilter("default", append=True)  # so that what was warned of under other filters is forgotten
        warnings.filters.pop()  # type: ignore[attr-defined]


_SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (Path.cwd, os.chdir),
    (lambda: dict(os.environ), _set_environment),
    (lambda: list(sys.path), _set_path),
    (lambda: list(warnings.filters), _set_filters),
    (lambda: (sys.stdout, sys.stderr), lambda streams: vars(sys).update(stdout=streams[0], stderr=streams[1])),
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (gc.isenabled, _set_collecting),
    (lambda: locale.setlocale(locale.LC_ALL), lambda name: locale.setlocale(locale.LC_ALL, name)),
    (socket.getdefaulttimeout, socket.setdefaulttimeout),
    (np.geterr, lambda reactions: np.seterr(**reactions)),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
)
"""How each setting is read and written."""


@cache
def _first_values() -> tuple[Any, ...]:
    """Return the settings as they are when first asked for."""
    return tuple(read() for read, _ in _SETTINGS)
