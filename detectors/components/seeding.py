"""Random numbers that depend on a detector's seed alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int, device: str = "cpu") -> Iterator[torch.Generator]:
    """Make torch, NumPy and Python deterministic inside, and leave their global random states as they were.

    Parameters
    ----------
    seed : int
        Seeds them and the generator.
    device : str
        The generator's device.

    Yields
    ------
    torch.Generator
        A generator of its own, seeded alike.
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[device] if device.startswith("cuda") else []):
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            torch.manual_seed(seed)
            yield torch.Generator(device).manual_seed(seed)
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
