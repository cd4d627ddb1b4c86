from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from oodbench.detectors.components.memory import Memory, entropy


def memory_with(slots: list[list[float]], **settings: float) -> Memory:
    memory = Memory(len(slots), len(slots[0]), **settings)
    with torch.no_grad():
        memory.slots.copy_(torch.tensor(slots))
    return memory


def close(found: Tensor, expected: list[float]) -> bool:
    return torch.allclose(found, torch.tensor(expected), atol=1e-6)


def test_addressing_by_hand() -> None:
    # cosines of the query with the slots are 1, 0 and -1, whatever their lengths; e, 1 and 1/e sum to 4.0862
    memory = memory_with([[2.0, 0.0], [0.0, 0.5], [-3.0, 0.0]])
    query = torch.tensor([[5.0, 0.0]])
    total = math.e + 1 + 1 / math.e
    assert close(memory.attend(query), [math.e / total, 1 / total, 1 / math.e / total])
    # λ = 1/3: only the first, 0.6652, is above it; renormalised it is 1, and slot 1 is read
    read, weights = memory(query)
    assert close(weights, [1.0, 0.0, 0.0])
    assert close(read, [2.0, 0.0])


def test_renormalises_what_shrinkage_leaves() -> None:
    memory = memory_with([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], shrinkage=0.6)  # λ = 0.2
    read, weights = memory(torch.tensor([[1.0, 0.0]]))
    kept = math.e + 1
    assert close(weights, [math.e / kept, 1 / kept, 0.0])
    assert close(read, [math.e / kept, 1 / kept])


def test_temperature_sharpens() -> None:
    slots = [[1.0, 0.0], [0.0, 1.0]]
    query = torch.tensor([[1.0, 0.5]])
    soft, sharp = (memory_with(slots, temperature=t).attend(query).max().item() for t in (1.0, 0.1))
    assert sharp > soft
    # cosines are 2/√5 and 1/√5
    assert sharp == pytest.approx(1 / (1 + math.exp(-10 / math.sqrt(5))), abs=1e-6)


def test_attention_ignores_the_lengths_of_queries() -> None:
    memory = Memory(20, 4)
    queries = torch.randn(6, 4)
    assert torch.allclose(memory.attend(queries), memory.attend(1000 * queries), atol=1e-6)


@pytest.mark.parametrize("shrinkage", [1.0, 2.0, 3.0, 50.0])
def test_no_query_is_ever_dead(shrinkage: float) -> None:
    """Where λ is above every weight, as in the published code on CIFAR-10, the largest weight is kept."""
    torch.manual_seed(0)
    memory = Memory(500, 64, shrinkage=shrinkage)
    queries = torch.randn(32, 64, requires_grad=True)
    read, weights = memory(queries)
    assert torch.allclose(weights.sum(1), torch.ones(32))
    read.square().sum().backward()
    assert memory.slots.grad is not None
    assert memory.slots.grad.abs().sum() > 0


def test_gradient_reaches_query_and_slots_at_the_paper_s_threshold() -> None:
    torch.manual_seed(0)
    memory = Memory(500, 64)
    queries = torch.randn(8, 64, requires_grad=True)
    read, weights = memory(queries)
    (read.square().sum() + entropy(weights).sum()).backward()
    for gradient in (queries.grad, memory.slots.grad):
        assert gradient is not None
        assert gradient.isfinite().all()
        assert gradient.abs().sum() > 0


def test_entropy() -> None:
    weights = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0.0, 0.0]])
    assert close(entropy(weights), [0.0, math.log(4), math.log(2)])


def test_diagnostics_of_a_working_memory() -> None:
    # four slots, and queries that each choose a slot of their own
    directions = torch.eye(4)
    memory = memory_with(directions.tolist(), temperature=0.1)
    assert memory.diagnostics(directions) == pytest.approx(
        {"dead_queries": 0.0, "active_slots": 1.0, "slots_per_query": 0.25, "slot_usage_entropy": 1.0}, abs=1e-5
    )


def test_diagnostics_see_one_slot_for_all_and_dead_queries() -> None:
    memory = memory_with(torch.eye(4).tolist(), temperature=0.1)
    one = memory.diagnostics(torch.eye(4)[:1].repeat(8, 1))
    assert one["active_slots"] == 0.25
    assert one["slot_usage_entropy"] == pytest.approx(0.0, abs=1e-5)
    dead = memory_with(torch.eye(4).tolist(), shrinkage=3.0).diagnostics(torch.ones(8, 4))
    assert dead["dead_queries"] == 1.0
