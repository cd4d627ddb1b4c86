"""Yardsticks, made once a split and kept in the user's cache: real images look the same to all detectors and runs."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from contextlib import suppress
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path
from safetensors import SafetensorError

from oodbench.benchmark.evaluation import classifier, generation
from oodbench.benchmark.evaluation.classifier import digest_of
from oodbench.benchmark.evaluation.generation import Yardstick, yardstick_of
from oodbench.benchmark.files import file_name, replacing
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.trials import Trial
from oodbench.datasets.base import Part
from oodbench.datasets.components import split
from oodbench.datasets.components.protocols import PROTOCOLS
from oodbench.datasets.components.split import one_vs_rest

FOLDER = "yardsticks"


def can_measure(trial: Trial) -> bool:
    """Say whether samples can be measured: not where the classifier may have been trained on the images tested."""
    return PROTOCOLS[trial.protocol].tests_test_part_only and digest_of(trial.dataset) is not None


def yardstick(trial: Trial, plugins: Plugins, parts: Callable[[], tuple[Part, Part]]) -> Yardstick | None:
    """Give what the samples of a trial are measured with.

    Parameters
    ----------
    trial : Trial
        Tells the split.
    plugins : Plugins
        Where its dataset is found.
    parts : callable
        Gives the dataset's training and test part.

    Returns
    -------
    Yardstick or None
        None where samples cannot be measured.
    """
    if not can_measure(trial):
        return None
    try:
        path = _file(trial, plugins, parts)
        try:
            return _loaded(path, trial.dataset, trial.normal_class)
        except SafetensorError:  # the file is spoilt
            path.unlink()
    except (OSError, SafetensorError):  # the cache cannot be written to
        pass
    return _made(trial, parts)


def prepare(trial: Trial, plugins: Plugins, parts: Callable[[], tuple[Part, Part]]) -> None:
    """Make a trial's yardstick, unless it is there or another process is making it; what is wrong is said later."""
    with suppress(Exception):
        if can_measure(trial):
            _file(trial, plugins, parts, timeout=0)


def _made(trial: Trial, parts: Callable[[], tuple[Part, Part]]) -> Yardstick | None:
    return yardstick_of(trial.dataset, one_vs_rest(*parts(), trial.normal_class), trial.normal_class)


@lru_cache(maxsize=2)
def _loaded(path: Path, dataset: str, normal_class: int) -> Yardstick:
    return Yardstick.load(path, dataset, normal_class)


def _file(trial: Trial, plugins: Plugins, parts: Callable[[], tuple[Part, Part]], *, timeout: float = -1) -> Path:
    """Give the file of a split's yardstick, which the first process to need it makes for all, in place of earlier ones.

    Raises
    ------
    OSError, SafetensorError
        It cannot be written; or, as a Timeout, another process has been making it for so many seconds (-1: however
        long it takes).
    """
    folder = user_cache_path("oodbench") / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    split_name = f"{file_name(trial.dataset)}-{trial.normal_class}"
    version = plugins.datasets[trial.dataset].version
    path = folder / f"{split_name}-{_digest(version, digest_of(trial.dataset))}.safetensors"
    with FileLock(folder / f"{split_name}.lock", timeout=timeout):
        if not path.is_file():
            made = _made(trial, parts)
            assert made is not None
            for outdated in folder.glob(f"{split_name}-*.safetensors"):
                outdated.unlink()
            with replacing(path) as temporary:
                made.save(temporary)
    return path


@cache
def _digest(version: str, weights: str | None) -> str:
    """Hash what a yardstick comes from: the data's version, the classifier's weights, our code and the libraries'."""
    sources = [inspect.getsource(module) for module in (classifier, generation, split)]
    libraries = [metadata.version(name) for name in ("torch", "torchmetrics")]
    return hashlib.sha256("".join([version, str(weights), *sources, *libraries]).encode()).hexdigest()[:12]
