"""Trains the classifier of a dataset: ``python -m oodbench.benchmark.evaluation.train_classifier cifar10``.

It sees the training part only, with all its labels. No detector ever sees it: its only use is to measure generated
images. For a dataset of your own, write the weights to a file with ``--output`` and name that file as the dataset's
``feature_classifier``.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import torch
import typer
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.evaluation.classifier import BATCH, Network, shipped
from oodbench.benchmark.files import cache_folder
from oodbench.benchmark.plugins import Plugins
from oodbench.datasets.base import DatasetError
from oodbench.datasets.components.split import as_float
from oodbench.detectors.components.augmentation import shifted
from oodbench.detectors.components.seeding import seeded
from oodbench.detectors.components.training import bfloat16_pays

EPOCHS = {"digits": 60, "mnist": 4, "cifar10": 14}
"""Passes over the training part, for the classifiers that come with oodbench."""
MIRRORED = ("cifar10",)
BATCH_SIZE, PEAK, DECAY, SMOOTHING, SEED = 128, 0.2, 5e-4, 0.1, 0


def train(images: Tensor, labels: Tensor, classes: int, *, epochs: int, mirror: bool = False) -> Network:
    """Train a network with SGD and a one-cycle schedule.

    Parameters
    ----------
    images : Tensor
        uint8 (N, C, H, W).
    labels : Tensor
        int64 (N,).
    classes : int
        Number of classes.
    epochs : int
        Passes over the images.
    mirror : bool
        Whether images are mirrored at random; wrong for digits and letters.

    Returns
    -------
    Network
        In evaluation mode.
    """
    with seeded(SEED, "cpu") as generator:
        network = Network(images.shape[1], classes).to(memory_format=torch.channels_last)
    steps = epochs * math.ceil(len(images) / BATCH_SIZE)
    optimizer = torch.optim.SGD(network.parameters(), PEAK, momentum=0.9, weight_decay=DECAY, nesterov=True, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK, total_steps=steps, pct_start=0.25)
    for epoch in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(images), generator=generator).split(BATCH_SIZE):
            batch = shifted(as_float(images[chosen]), mirror=mirror, generator=generator)
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
    """Compute the share of images (uint8, (N, C, H, W)) that a network puts into the right class."""
    found = torch.cat([network(as_float(batch)).argmax(1) for batch in images.split(BATCH)])
    return float((found == labels).double().mean())


def main(
    dataset: Annotated[str, typer.Argument(help="Name of a dataset.")],
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the training part; needed for a dataset of your own.")
    ] = None,
    mirror: Annotated[bool, typer.Option("--mirror", help="Also train on mirrored images.")] = False,
    output: Annotated[
        Path | None, typer.Option(help="File of weights (.safetensors) to write; by default in the package.")
    ] = None,
    plugin: Annotated[list[Path] | None, typer.Option(help="A file with a dataset of your own.")] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(envvar="OODBENCH_DATA", help="Folder of the datasets; by default in the user's cache."),
    ] = None,
) -> None:
    """Train the classifier of a dataset, and write its weights."""
    passes = epochs or EPOCHS.get(dataset)
    if passes is None or (output is None and dataset not in EPOCHS):
        raise typer.BadParameter(
            f"{dataset!r} has no classifier in the package: give --epochs and --output, and name that file as the "
            "dataset's feature_classifier."
        )
    try:
        found = Plugins.load(plugin or []).datasets[dataset](data_dir or cache_folder() / "data")
        found.prepare()
    except (UsageError, DatasetError) as error:
        raise typer.BadParameter(str(error)) from error
    training, testing = found.load("train"), found.load("test")
    network = train(
        training.images,
        training.labels,
        len(found.class_names),
        epochs=passes,
        mirror=mirror or dataset in MIRRORED,
    )
    network.half().float()  # what is stored, in half precision, is what is judged
    right = accuracy(network, testing.images, testing.labels)
    weights = {name: value.contiguous() for name, value in network.half().state_dict().items()}
    path = output or shipped(dataset)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, path, metadata={"dataset": dataset, "test_accuracy": f"{right:.4f}"})
    typer.echo(f"{path}: test accuracy {right:.4f}")


if __name__ == "__main__":
    typer.run(main)
