from __future__ import annotations

import math

import pytest
import torch

from oodbench.detectors.components.image_complexity import MIN_COMPLEXITY, complexity, excess, fit_expectation, spread


def test_by_hand() -> None:
    image = torch.tensor([[[[0.0, 1.0], [0.5, 0.5]]]])
    # across: 1 and 0; down: 0.5² twice
    assert complexity(image).tolist() == pytest.approx([1.5 + MIN_COMPLEXITY])


def test_one_colour_is_least_complex_blurred_or_not() -> None:
    plain = torch.full((2, 3, 5, 4), 0.7)
    assert complexity(plain).tolist() == pytest.approx([MIN_COMPLEXITY, MIN_COMPLEXITY])
    assert complexity(plain, blur=1.0).tolist() == pytest.approx([MIN_COMPLEXITY, MIN_COMPLEXITY])


def test_a_blur_takes_away_noise_and_leaves_a_slope() -> None:
    noise = torch.rand(1, 1, 20, 20, generator=torch.Generator().manual_seed(0))
    slope = torch.linspace(0, 1, 20).expand(1, 1, 20, 20)
    assert complexity(noise, blur=1.0) < 0.05 * complexity(noise)
    assert complexity(slope, blur=1.0) > 0.8 * complexity(slope)


def test_an_error_that_follows_complexity_is_expected() -> None:
    complexities = torch.logspace(0, 2, 50)
    expectation = fit_expectation(3 * complexities.sqrt(), complexities)
    mean, deviation, level, slope, residual = expectation.tolist()
    assert mean == pytest.approx(complexities.log().mean().item())
    assert slope / deviation == pytest.approx(0.5, abs=1e-4)  # the power
    assert level == pytest.approx(math.log(3) + 0.5 * mean, abs=1e-4)
    assert residual == 1  # nothing is left to measure in
    # twice the error that is expected, at the mean complexity and at one standard deviation above it
    at = torch.tensor([mean, mean + deviation]).exp()
    scores = excess(6 * at.sqrt(), at, expectation, 0.1)
    assert scores.tolist() == pytest.approx([math.log(2), math.log(2) + 0.1], abs=1e-4)


def test_one_training_image_is_enough() -> None:
    one = torch.tensor([2.0])
    assert excess(one, one, fit_expectation(one, one), 0.1).tolist() == pytest.approx([0], abs=1e-6)


def test_spread() -> None:
    assert spread(torch.tensor([1.0, 3.0])) == 1
    assert spread(torch.tensor([2.0, 6.0])) == 2
    assert spread(torch.tensor([5.0, 5.0])) == 1
