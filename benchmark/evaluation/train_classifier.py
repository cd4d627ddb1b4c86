"""Trains the classifier of a dataset: ``python -m oodbench.benchmark.evaluation.train_classifier cifar10``.

It sees the training part only, with all its labels. No detector ever sees it: it is a measuring instrument, for
generated images alone.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
import typer
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from oodbench.benchmark.cli.app import DataDir, data_folder
from oodbench.benchmark.evaluation.classifier import BATCH, Network, path_of
from oodbench.benchmark.plugins import Plugins
from oodbench.datasets.components.split import as_float
from oodbench.detectors.components.augmentation import shifted
from oodbench.detectors.components.seeding import seeded
from oodbench.detectors.components.training import bfloat16_pays

EPOCHS = {"digits": 60, "mnist": 4, "cifar10": 14}
"""Passes over the training part."""
MIRRORED = ("cifar10",)
BATCH_SIZE, PEAK, DECAY, SMOOTHING, SEED = 128, 0.2, 5e-4, 0.1, 0


def train(dataset: str, images: Tensor, labels: Tensor, classes: int) -> Network:
    """Train a network with SGD and a one-cycle schedule.

    Parameters
    ----------
    dataset : str
        Decides how long, and whether images are mirrored.
    images : Tensor
        uint8 (N, C, H, W).
    labels : Tensor
        int64 (N,).
    classes : int
        How many.

    Returns
    -------
    Network
        In evaluation mode.
    """
    with seeded(SEED, "cpu") as generator:
        network = Network(images.shape[1], classes).to(memory_format=torch.channels_last)
    epochs = EPOCHS[dataset]
    steps = epochs * math.ceil(len(images) / BATCH_SIZE)
    optimizer = torch.optim.SGD(network.parameters(), PEAK, momentum=0.9, weight_decay=DECAY, nesterov=True, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK, total_steps=steps, pct_start=0.25)
    for epoch in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(images), generator=generator).split(BATCH_SIZE):
            batch = shifted(as_float(images[chosen]), mirror=dataset in MIRRORED, generator=generator)
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16_pays("cpu")):
                logits = network(batch.contiguous(memory_format=torch.channels_last))
            loss = functional.cross_entropy(logits.float(), labels[chosen], label_smoothing=SMOOTHING)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
            total += loss.item() * len(chosen)
        typer.echo(f"epoch {epoch + 1} of {epochs}: loss {total / len(images):.4f}")
    return network.eval()


@torch.inference_mode()
def accuracy(network: Network, images: Tensor, labels: Tensor) -> float:
    """Share of images (uint8, (N, C, H, W)) that a network puts into the right class."""
    found = torch.cat([network(as_float(batch)).argmax(1) for batch in images.split(BATCH)])
    return float((found == labels).double().mean())


def main(
    dataset: Annotated[str, typer.Argument(help="digits, mnist or cifar10.")],
    data_dir: DataDir = None,
) -> None:
    """Train the classifier of a dataset, and write its weights into the package."""
    if dataset not in EPOCHS:
        raise typer.BadParameter(f"{dataset!r} is none of {', '.join(EPOCHS)}: only these have a classifier.")
    found = Plugins.load().datasets[dataset](data_folder(data_dir))
    found.prepare()
    train_part, test_part = found.load("train"), found.load("test")
    network = train(dataset, train_part.images, train_part.labels, len(found.class_names))
    network.half().float()  # what is stored, in half precision, is what is judged
    right = accuracy(network, test_part.images, test_part.labels)
    weights = {name: value.contiguous() for name, value in network.half().state_dict().items()}
    path_of(dataset).parent.mkdir(exist_ok=True)
    save_file(weights, path_of(dataset), metadata={"dataset": dataset, "test_accuracy": f"{right:.4f}"})
    typer.echo(f"{path_of(dataset)}: test accuracy {right:.4f}")


if __name__ == "__main__":
    typer.run(main)
