"""What a training's arithmetic costs at least: its operations at the speed of a large matrix product."""

from __future__ import annotations

import math
import time
from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.performance.ways import Material

SIZE = 1024
PRODUCTS = 20


@cache
def operations_per_second(dtype: torch.dtype) -> float:
    """Measure how many floating-point operations a second this thread does in its fastest matrix product."""
    left, right = (torch.randn(SIZE, SIZE).to(dtype) for _ in range(2))
    fastest = math.inf
    for _ in range(PRODUCTS):
        start = time.perf_counter()
        left @ right
        fastest = min(fastest, time.perf_counter() - start)
    return 2 * SIZE**3 / fastest


def operations_per_epoch(material: Material) -> float:
    """Count the floating-point operations of the convolutions and matrix products of one epoch."""
    noise = torch.Generator().manual_seed(0)
    with FlopCounterMode(display=False) as counter:
        with torch.autocast("cpu", torch.bfloat16, enabled=material.bfloat16):
            measures = material.detector._objective(material.train[: material.batch_size], noise)
        measures["loss"].mean().backward()
    return float(counter.get_total_flops()) * len(material.train) / material.batch_size
