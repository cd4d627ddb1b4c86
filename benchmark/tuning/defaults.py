"""Making a setting a detector's default: the JSON file beside its module."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.files import write_text
from oodbench.benchmark.tuning.objective import Settings
from oodbench.datasets.base import Dataset
from oodbench.detectors.base import Detector
from oodbench.detectors.components.defaults import defaults_file, kind_of


def check_writable(detector: type[Detector]) -> Path:
    """Return the file with a detector's default hyperparameters.

    Raises
    ------
    UsageError
        They stand in its code.
    """
    path = defaults_file(inspect.getfile(detector))
    if not path.is_file():
        raise UsageError(
            f"The defaults of {detector.name} stand in its code, not in {path.name} beside it: leave out --write, "
            "which shows the best setting, and put it there yourself."
        )
    return path


def write_defaults(detector: type[Detector], dataset: type[Dataset], settings: Settings) -> Path:
    """Make a setting the detector's default for images such as the dataset's.

    Parameters
    ----------
    detector, dataset : type
        Whose default, and for which kind of image.
    settings : mapping
        Hyperparameters by name.

    Returns
    -------
    Path
        The file that was changed.

    Raises
    ------
    UsageError
        The detector's defaults stand in its code.
    """
    path = check_writable(detector)
    defaults = json.loads(path.read_text(encoding="utf-8"))
    defaults[kind_of(dataset.shape)].update(settings)
    write_text(path, json.dumps(defaults, indent=2) + "\n")
    return path
