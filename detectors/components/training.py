"""The training loop that the methods with a network share."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from oodbench.detectors.base import FitDivergedError, Monitor

Objective = Callable[[Tensor, torch.Generator | None], dict[str, Tensor]]
"""Images (N, C, H, W) and a source of noise (None: none) to ``loss``, and other measures to report, each (N,)."""


def bfloat16_pays(device: str) -> bool:
    """Return whether the hardware multiplies bfloat16 natively; elsewhere it is emulated, and slower than float32."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def train(
    network: nn.Module,
    objective: Objective,
    images: Tensor,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    bfloat16: bool,
    generator: torch.Generator,
    monitor: Monitor,
) -> None:
    """Minimise an objective with Adam and a one-cycle schedule (Smith & Topin 2018).

    Every step has a full batch, so that the statistics of batch normalisation are as good in each: what is left over
    at the end of an epoch is drawn again in the next. A batch is never larger than the training set, of which there are
    two copies if it is a single image.

    Parameters
    ----------
    network : Module
        The network, on the device of `images`; it is changed in place.
    objective : callable
        See `Objective`.
    images : Tensor
        float32 (N, C, H, W) in [0, 1].
    epochs : int
        Passes over the images; 0 leaves the network as it is.
    batch_size : int
        Images in each step.
    learning_rate : float
        Peak of the schedule.
    bfloat16 : bool
        Whether convolutions and matrix products run under autocast to bfloat16.
    generator : torch.Generator
        Shuffles the images and draws the objective's noise.
    monitor : Monitor
        Is told the objective's means after every epoch, those of its held-out images too.

    Raises
    ------
    FitDivergedError
        The loss is no longer finite.
    """
    if epochs == 0:
        return
    device = images.device.type
    if len(images) == 1:  # which batch normalisation cannot train on
        images = images.repeat(2, 1, 1, 1)
    batch_size = min(batch_size, len(images))
    batches = full_batches(len(images), batch_size)
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=epochs * batches)
    for epoch in range(1, epochs + 1):
        network.train()
        totals: dict[str, Tensor] = {}
        order = torch.randperm(len(images), generator=generator, device=images.device)
        for chosen in order[: batches * batch_size].split(batch_size):
            with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
                measures = objective(images[chosen], generator)
            measures["loss"].mean().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
            totals = {key: value.detach().sum() + totals.get(key, 0) for key, value in measures.items()}
        means = {key: total.item() / (batches * batch_size) for key, total in totals.items()}
        if not math.isfinite(means["loss"]):
            raise FitDivergedError(
                f"The loss was {means['loss']} after epoch {epoch} of {epochs}: training diverged. Try a smaller "
                f"learning_rate than {learning_rate:g}."
            )
        if monitor.validation is not None:
            network.eval()  # held-out images must not enter the statistics of batch normalisation
            held_out = in_batches(
                lambda batch: torch.stack(list(objective(batch, None).values())), monitor.validation, images.device
            )
            means |= {f"validation_{key}": value for key, value in zip(totals, held_out.mean(1).tolist(), strict=True)}
        monitor.report(epoch, epochs, means)


def full_batches(count: int, batch_size: int) -> int:
    """Return how many batches an epoch of `count` images has; at least one, of all images."""
    return max(1, count // batch_size)


@torch.inference_mode()
def in_batches(
    function: Callable[[Tensor], Tensor], images: Tensor, device: torch.device, *, size: int = 500
) -> Tensor:
    """Apply a function of images in batches of bounded memory.

    Parameters
    ----------
    function : callable
        Takes images (n, C, H, W); returns a tensor whose last axis (of two at most), or first (of more), is n long.
    images : Tensor
        (N, C, H, W).
    device : torch.device
        The device that batches are moved to.
    size : int
        Images in each batch.

    Returns
    -------
    Tensor
        The parts joined along that axis.
    """
    parts = [function(batch.to(device, memory_format=torch.channels_last)) for batch in images.split(size)]
    return torch.cat(parts, dim=-1 if parts[0].ndim <= 2 else 0)
