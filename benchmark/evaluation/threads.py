"""One thread, so that a computation gives the same figures in a notebook as in a worker process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread inside; afterwards torch, BLAS and OpenMP have as many as before.

    Sums that several threads share are rounded otherwise.
    """
    threads = torch.get_num_threads()
    with threadpool_limits(1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
