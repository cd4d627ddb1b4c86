"""Use of stored models: load them, score images of any kind with them, and sample from them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError

from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.evaluation.evaluate import SCORED_AT_ONCE
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
AT_ONCE = 2**22
"""Values of images that are read and scored at a time: 16 MB as floats, and several times as much in a detector."""
AGAIN = "run its trial again with --force"


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
        The folder holds no model, or a damaged one, or its detector is not known, or there is NaN among the weights.
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
        detector = cls.load(folder, device=device)
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise UsageError(f"{folder} holds a model that cannot be read ({error}): {AGAIN}.") from error
    for weights, values in detector.state().items():
        if values.is_floating_point() and values.isnan().any():
            raise UsageError(f"{folder} holds a model with NaN among its {weights}: {AGAIN}.")
    return detector


def score_images(folder: Path, images: Sequence[Path], plugins: Plugins) -> pd.DataFrame:
    """Score image files with a stored model, some at a time: of each, only its path and score are kept.

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
        "unreadable" with no score. Without a threshold the verdict is empty. ``attrs`` has what the model card says.

    Raises
    ------
    UsageError
        The folder holds no model or a damaged one, a path does not exist, there are no images, or the score of one is
        not finite.
    """
    card = read_card(folder)
    detector = load_model(folder, plugins)
    paths = _files(images)
    at_once = min(max(1, AT_ONCE // math.prod(card["shape"])), SCORED_AT_ONCE)
    chunks = (paths[start : start + at_once] for start in range(0, len(paths), at_once))
    scores = np.concatenate([_scores(detector, chunk, card, folder) for chunk in chunks])
    unreadable = np.isnan(scores)
    if unreadable.all():
        raise UsageError(f"None of {len(paths)} files can be read as an image, {paths[0]} for example.")
    threshold = card["threshold"]
    verdict = np.where(scores > threshold["value"], "out", "in") if threshold else ""
    table = pd.DataFrame(
        {"image": list(map(str, paths)), "score": scores, "verdict": np.where(unreadable, "unreadable", verdict)}
    ).sort_values("score", ascending=False, kind="stable", ignore_index=True)
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
    in_colour = {**table.attrs, "shape": (3, *table.attrs["shape"][1:])}
    pixels = np.stack([_read(Path(path), in_colour) for path in ranked["image"]])
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
        if not os.path.exists(path):  # noqa: PTH110 - Path.exists raises an error for a closed folder or a long name
            raise UsageError(f"There is no file or folder {path}: name images, or folders of images.")
        found += images_in(path) if path.is_dir() else [path]
    if not found:
        raise UsageError(f"There are no images in {', '.join(map(str, images))}.")
    return list(dict.fromkeys(found))


def _scores(detector: Detector, paths: Sequence[Path], card: Mapping[Any, Any], folder: Path) -> NDArray[np.float64]:
    """Return the scores of image files, NaN for those that cannot be read."""
    pixels = {}
    for place, path in enumerate(paths):
        try:
            pixels[place] = _read(path, card)
        except UNREADABLE:
            continue
    scores = np.full(len(paths), np.nan)
    if pixels:
        readable = list(pixels)
        scores[readable] = detector.score(as_float(torch.from_numpy(np.stack(list(pixels.values()))))).double().numpy()
        for place in readable:
            if not np.isfinite(scores[place]):
                raise UsageError(f"{folder} holds a model that scores {paths[place]} as {scores[place]}: {AGAIN}.")
    return scores


def _read(path: Path, card: Mapping[Any, Any]) -> NDArray[np.uint8]:
    """Read an image as those were read that a model was trained on; raises one of UNREADABLE."""
    if not path.is_file():
        raise OSError("a pipe or a device, which may block whoever opens it")
    channels, height, width = card["shape"]
    return read_image(path, (channels, height, width), card["scale"])


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
