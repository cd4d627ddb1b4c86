"""What holds for the folder: every file is a detector, importable by its class, with settings that are valid."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

import oodbench.detectors
from oodbench.detectors import FAMILIES, Detector, DetectorError, MemAE, MemVAE
from oodbench.detectors.base import parameter_types
from tests.conftest import blobs

FOLDER = Path(oodbench.detectors.__file__).parent
STEMS = sorted(path.stem for path in FOLDER.glob("[!_]*.py") if path.stem not in ("base", *FAMILIES))
CLASSES: list[type[Detector]] = [
    value
    for value in (getattr(oodbench.detectors, name) for name in dir(oodbench.detectors))
    if isinstance(value, type) and issubclass(value, Detector) and value is not Detector
]
every = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.name)


def test_every_file_is_a_detector_of_its_name() -> None:
    assert sorted(cls.name for cls in CLASSES) == [stem.replace("_", "-") for stem in STEMS]
    assert all(cls.__module__ == f"oodbench.detectors.{cls.name.replace('-', '_')}" for cls in CLASSES)


def test_names_are_known_without_torch_and_classes_load_what_they_need() -> None:
    code = """
import sys, oodbench.detectors
print("MemVAE" in dir(oodbench.detectors), "torch" in sys.modules)
from oodbench.detectors import GeoTrans, check_images
print(GeoTrans.name, "torch" in sys.modules, "torchvision" in sys.modules)
"""
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert found.splitlines() == ["True False", "geotrans True False"]


def test_a_wrong_name_gets_near_ones() -> None:
    with pytest.raises(AttributeError, match=r"has no 'MemVEA': did you mean .*MemVAE\?"):
        _ = oodbench.detectors.MemVEA
    with pytest.raises(AttributeError, match=r"has no 'Zzz'\."):
        _ = oodbench.detectors.Zzz


@every
def test_a_method_can_be_read_in_one_sitting(cls: type[Detector]) -> None:
    ours = [parent for parent in cls.__mro__ if parent.__module__.startswith("oodbench.")]
    assert len(ours) - 1 <= 3  # levels above the class: Autoencoder, Neural, Detector


@every
def test_settings_fit_their_annotations(cls: type[Detector]) -> None:
    """The constructor's defaults and those for each kind of image, and what is searched and taken away."""
    types, given = parameter_types(cls), cls().get_params(deep=False)
    assert types.keys() == given.keys()
    values = [given, *getattr(cls, "DEFAULTS", {}).values(), *cls.ABLATIONS.values()]
    values += [{name: value} for name, choices in cls.SEARCH.items() for value in choices]
    for settings in values:
        for name, value in settings.items():
            TypeAdapter(types[name]).validate_json(json.dumps(value), strict=True)
    assert set(given) >= cls.SCORE_ONLY
    for shape in ((1, 8, 8), (1, 28, 28), (3, 32, 32)):
        assert None not in cls().hyperparameters(shape).values()


@every
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((4, 1, 8, 8), np.float32), r"pass torch.from_numpy\(images\)"),
        (torch.zeros(4, 1, 8, 8, dtype=torch.uint8), r"pass images.float\(\) / 255"),
    ],
    ids=["numpy", "uint8"],
)
def test_what_is_no_float_tensor_gets_a_sentence(cls: type[Detector], images: Any, message: str) -> None:
    detector = cls(**{name: 1 for name in ("epochs", "min_steps") if name in cls().get_params()}).fit(blobs(8))
    for use in (detector.fit, detector.score):
        with pytest.raises(DetectorError, match=message):
            use(images)


WELL = {
    "dead_queries": 0.0,
    "active_slots": 0.8,
    "slots_per_query": 0.4,
    "slot_usage_entropy": 0.9,
    "active_units": 12.0,
    "reconstruction_variance": 0.02,
}


@every
def test_a_healthy_model_has_no_complaints(cls: type[Detector]) -> None:
    assert cls.unhealthy(WELL) == []
    assert cls.unhealthy({}) == []


@pytest.mark.parametrize(
    ("sign", "value", "words"),
    [
        ("dead_queries", 0.99, "99% of the queries find no memory slot"),
        ("slot_usage_entropy", 0.0, "one memory slot"),
        ("slots_per_query", 1.0, "all memory slots"),
        ("active_units", 0.0, "posterior collapse"),
        ("reconstruction_variance", 0.0, "same reconstruction"),
    ],
)
def test_each_complaint(sign: str, value: float, words: str) -> None:
    (found,) = MemVAE.unhealthy({**WELL, sign: value})
    assert words in found
    assert MemAE.unhealthy({**WELL, sign: value}) == ([] if sign == "active_units" else [found])
