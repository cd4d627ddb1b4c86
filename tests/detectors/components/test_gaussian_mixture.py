from __future__ import annotations

import torch

from oodbench.detectors.components.gaussian_mixture import fit_mixture, sample_mixture


def test_samples_follow_what_was_fitted() -> None:
    generator = torch.Generator().manual_seed(0)
    clusters = torch.tensor([[0.0, 0.0], [10.0, 10.0]])
    points = clusters.repeat(500, 1) + torch.tensor([1.0, 0.1]) * torch.randn(1000, 2, generator=generator)
    samples = sample_mixture(fit_mixture(points, n_gaussians=2, seed=0), 4000, generator)
    assert samples.dtype == torch.float32
    near = samples[samples[:, 0] < 5]
    assert 0.45 < len(near) / 4000 < 0.55
    assert torch.allclose(near.mean(0), torch.zeros(2), atol=0.15)
    assert torch.allclose(near.std(0), torch.tensor([1.0, 0.1]), rtol=0.1)


def test_few_points_are_enough() -> None:
    for n in (1, 2, 15):
        mixture = fit_mixture(torch.rand(n, 8, generator=torch.Generator().manual_seed(n)), n_gaussians=10, seed=0)
        assert sample_mixture(mixture, 3, None).isfinite().all()
