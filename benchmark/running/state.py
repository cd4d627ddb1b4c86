"""The state of a process in which every trial begins, whatever ran there before."""

from __future__ import annotations

import os
import random
from functools import cache
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits


def reset_state(seed: int) -> None:
    """Bring back torch's defaults, one thread, the working directory, and all random states as a seed gives them.

    Plugins change them; what they did in one trial must not reach the next.

    Parameters
    ----------
    seed : int
        Seeds the global generators of Python, NumPy and torch.
    """
    os.chdir(_first_folder())
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_grad_enabled(True)
    torch.use_deterministic_algorithms(False)
    use_one_thread()
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  # what plugins may draw from
    torch.manual_seed(seed)


def use_one_thread() -> None:
    """Compute in one thread: one process a core, of one thread each, is what runs fastest."""
    torch.set_num_threads(1)
    threadpool_limits(1)


@cache
def _first_folder() -> Path:
    """Return the working directory when first asked for it."""
    return Path.cwd()
