"""New images from a stored model."""

from __future__ import annotations

from pathlib import Path

import torch

from oodbench.benchmark.capabilities import can_sample
from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.pictures import save_grid
from oodbench.benchmark.plan import Plugins, Trial
from oodbench.benchmark.store import Store


def sample_stored(trial: Trial, plugins: Plugins, store: Store, *, n: int, seed: int, output: Path) -> None:
    """Draw images from the model that a trial left, and save them as one grid.

    Parameters
    ----------
    trial : Trial
        Whose model.
    plugins : Plugins
        Where its detector is found.
    store : Store
        Where its run folder lies.
    n : int
        How many images.
    seed : int
        Of the drawing.
    output : Path
        A PNG.

    Raises
    ------
    UsageError
        The detector cannot sample, its model is not there, or the picture cannot be written.
    """
    detector = plugins.detectors[trial.detector]
    if not can_sample(detector):
        raise UsageError(f"{trial.detector} cannot sample; `bench list` shows which detectors can.")
    folder = store.run_folder(trial)
    if not (folder / "model.json").is_file():
        command = trial.command(plugins.datasets[trial.dataset].class_names[trial.normal_class])
        raise UsageError(f"There is no stored model in {folder}: run `{command} --force` to make it.")
    samples = detector.load(folder).sample(n, generator=torch.Generator().manual_seed(seed))
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        save_grid(output, samples)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{output} cannot be written as a picture ({error}): name a .png file with --output."
        ) from error
