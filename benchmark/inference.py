"""Use of stored models: load them, score images of any kind with them, and sample from them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError

from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.files import write_text
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.reporting import pictures
from oodbench.benchmark.reporting.format import command_line
from oodbench.benchmark.reporting.table import as_csv
from oodbench.benchmark.results.store import Store, read_card
from oodbench.benchmark.trials import Trial
from oodbench.datasets.components.split import as_float
from oodbench.datasets.folder import UNREADABLE, images_in, read_image
from oodbench.detectors.base import Detector, can_sample

DRAWN = 96
"""At most so many images are in the picture of a ranking."""


def load_model(folder: Path, plugins: Plugins | None = None, *, device: str = "cpu") -> Detector:
    """Load the fitted detector that a trial left in its run folder.

    Parameters
    ----------
    folder : Path
        A run folder, such as ``runs/mnist/vae/class-3_seed-0``.
    plugins : Plugins, optional
        Where the detector's class is found; by default among the built-in and the installed ones.
    device : str
        Where the detector is to work, if its class takes a device.

    Returns
    -------
    Detector

    Raises
    ------
    UsageError
        The folder holds no model, or a damaged one, or its detector is not known.
    DetectorError
        The folder holds a model of another detector, or of other code.
    """
    name = read_card(folder)["detector"]
    try:
        cls = (plugins or Plugins.load()).detectors[name]
    except UsageError as error:
        raise UsageError(
            f"{folder} holds a model of {name!r}, which is neither built in nor installed: name the Python file that "
            "holds it with --plugin."
        ) from error
    try:
        return cls.load(folder, device=device)
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise UsageError(
            f"{folder} holds a model that cannot be read ({error}): run its trial again with --force."
        ) from error


def score_images(folder: Path, images: Sequence[Path], plugins: Plugins) -> pd.DataFrame:
    """Score image files with a stored model.

    Parameters
    ----------
    folder : Path
        A run folder.
    images : sequence of Path
        Files in any format, size and mode that Pillow reads, and folders of them.
    plugins : Plugins
        Where the model's detector is found.

    Returns
    -------
    DataFrame
        One row per image, most out-of-distribution first: ``image`` (path), ``score``, and ``verdict``: "in", "out", or
        "unreadable" with no score. Without a threshold the verdict is empty. The threshold is in ``attrs``.

    Raises
    ------
    UsageError
        The folder holds no model, a path does not exist, or there are no images.
    """
    card = read_card(folder)
    detector = load_model(folder, plugins)
    channels, height, width = card["shape"]
    paths = _files(images)
    pixels, read = [], []
    for path in paths:
        try:
            pixels.append(read_image(path, (channels, height, width)))
        except UNREADABLE:
            continue
        read.append(path)
    if not read:
        raise UsageError(f"None of {len(paths)} files can be read as an image, {paths[0]} for example.")
    scores = detector.score(as_float(torch.from_numpy(np.stack(pixels)))).double().numpy()
    threshold = card["threshold"]["value"] if card["threshold"] else None
    verdicts = np.where(scores > threshold, "out", "in") if threshold is not None else ""
    table = pd.DataFrame({"image": list(map(str, read)), "score": scores, "verdict": verdicts})
    lost = pd.DataFrame({"image": [str(path) for path in paths if path not in set(read)], "verdict": "unreadable"})
    table = pd.concat([table.sort_values("score", ascending=False, kind="stable"), lost], ignore_index=True)
    table.attrs.update(card)
    return table


def write_scores(table: pd.DataFrame, output: Path) -> None:
    """Write scores as a CSV file; raises UsageError if it cannot be written."""
    try:
        write_text(output, as_csv(table))
    except OSError as error:
        raise UsageError(f"{output} cannot be written ({error.strerror}): name another file with --output.") from error


def draw_ranking(table: pd.DataFrame, output: Path) -> None:
    """Draw images that were scored, most normal first, framed blue (in) or red (out), with their scores.

    Of more than 96 images, 96 at even distances in the ranking are drawn.

    Parameters
    ----------
    table : DataFrame
        From `score_images`.
    output : Path
        A PNG.

    Raises
    ------
    UsageError
        The picture cannot be written.
    """
    every = table[table["score"].notna()].iloc[::-1]
    ranked = every.iloc[np.linspace(0, len(every) - 1, min(len(every), DRAWN)).round().astype(int)]
    count = f"{len(ranked)} of {len(every)} images" if len(ranked) < len(every) else f"{len(every)} images"
    shape = table.attrs["shape"]
    pixels = np.stack([read_image(Path(path), (3, *shape[1:])) for path in ranked["image"]])
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        pictures.draw_ranking(
            output,
            pixels,
            ranked["score"].tolist(),
            [verdict == "out" for verdict in ranked["verdict"]],
            f"{count}, most normal first, with their scores (red: out)",
        )
    except (OSError, ValueError) as error:
        raise UsageError(f"{output} cannot be written as a picture ({error}): name a .png file with --plot.") from error


def _files(images: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in images:
        if not path.exists():
            raise UsageError(f"There is no file or folder {path}: name images, or folders of images.")
        found += images_in(path) if path.is_dir() else [path]
    if not found:
        raise UsageError(f"There are no images in {', '.join(map(str, images))}.")
    return list(dict.fromkeys(found))


def sample_stored(
    trial: Trial, plugins: Plugins, store: Store, *, n: int, seed: int, output: Path, options: Sequence[str] = ()
) -> None:
    """Sample images from the model that a trial left, and save them as one grid.

    Parameters
    ----------
    trial : Trial
        The trial that left the model.
    plugins : Plugins
        Where its detector is found.
    store : Store
        Where its run folder lies.
    n : int
        Number of images.
    seed : int
        Seeds the noise that images are made of.
    output : Path
        A PNG.
    options : sequence of str
        Words that the command which makes the model needs besides, such as ``--out`` and a folder.

    Raises
    ------
    UsageError
        The detector cannot sample, its model is not there, or the picture cannot be written.
    """
    if not can_sample(plugins.detectors[trial.detector]):
        raise UsageError(f"{trial.detector} cannot sample; `bench list` shows which detectors can.")
    folder = store.run_folder(trial)
    if not (folder / "model.json").is_file():
        class_name = plugins.datasets[trial.dataset].class_names[trial.normal_class]
        command = command_line(trial.command(class_name, options))
        raise UsageError(f"There is no stored model in {folder}: run `{command} --force` to make it.")
    samples = load_model(folder, plugins).sample(n, generator=torch.Generator().manual_seed(seed))
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        pictures.save_grid(output, samples.numpy())
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{output} cannot be written as a picture ({error}): name a .png file with --output."
        ) from error
