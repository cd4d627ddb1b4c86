from __future__ import annotations

from pathlib import Path

import pytest
import torch
from filelock import FileLock
from safetensors.torch import save_file

from oodbench.benchmark.evaluation import reference
from oodbench.benchmark.evaluation.reference import ReferenceFeatures, can_measure, prepare, reference_of
from oodbench.datasets.base import Dataset
from oodbench.datasets.components.split import Split, one_vs_rest
from oodbench.datasets.digits import Digits
from oodbench.datasets.fashion_mnist import FashionMNIST


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(reference, "cache_folder", lambda: tmp_path)
    return tmp_path / reference.FOLDER


@pytest.fixture(scope="module")
def digits() -> Split:
    dataset = Digits(Path())
    return one_vs_rest(dataset.load("train"), dataset.load("test"), 3)


def not_again() -> Split:
    raise AssertionError("the features of real images are computed twice")


class Asked:
    """Returns a split, and counts how often."""

    def __init__(self, split: Split) -> None:
        self.split = split
        self.times = 0

    def __call__(self) -> Split:
        self.times += 1
        return self.split


def test_reference_features_are_computed_once(cache: Path, digits: Split) -> None:
    first = reference_of(Digits, 3, lambda: digits)
    reference._load.cache_clear()  # as in another process
    again = reference_of(Digits, 3, not_again)
    assert isinstance(first, ReferenceFeatures)
    assert isinstance(again, ReferenceFeatures)
    assert torch.equal(first.real.train, again.real.train)
    assert first.controls == again.controls
    assert len(list(cache.glob("*.safetensors"))) == 1


def test_what_another_version_computed_is_replaced(cache: Path, digits: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(Digits, 3, lambda: digits)
    (old,) = cache.glob("*.safetensors")
    monkeypatch.setattr(reference, "VERSION", reference.VERSION + 1)
    prepare(Digits, 3, lambda: digits)
    (new,) = cache.glob("*.safetensors")
    assert old.name != new.name


def test_the_key_tells_data_and_weights_apart() -> None:
    assert len({reference._key(*of) for of in (("1", "a"), ("2", "a"), ("1", "b"))}) == 3


def test_no_process_waits_to_prepare(cache: Path, digits: Split) -> None:
    prepare(Digits, 3, Asked(digits))
    (path,) = cache.glob("*.safetensors")
    (lock,) = cache.glob("*.lock")
    path.unlink()
    asked = Asked(digits)
    with FileLock(lock):
        prepare(Digits, 3, asked)
    assert asked.times == 0
    prepare(Digits, 3, asked)
    assert asked.times == 1
    assert len(list(cache.glob("*.safetensors"))) == 1


@pytest.mark.parametrize("whole", [False, True])
def test_a_spoilt_file_is_made_anew(cache: Path, digits: Split, whole: bool) -> None:
    """Also one that is a safetensors file without what it should hold."""
    asked = Asked(digits)
    prepare(Digits, 3, asked)
    (path,) = cache.glob("*.safetensors")
    if whole:
        save_file({"other": torch.zeros(1)}, path)
    else:
        path.write_bytes(b"spoilt")
    for times in (2, 3, 3):  # for this trial, for the next one, and kept from then on
        reference._load.cache_clear()
        assert reference_of(Digits, 3, asked) is not None
        assert asked.times == times


def test_without_a_cache_they_are_computed_every_time(
    tmp_path: Path, digits: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(reference, "cache_folder", lambda: tmp_path / "file")  # no folder can be made in there
    prepare(Digits, 3, lambda: digits)
    made = reference_of(Digits, 3, lambda: digits)
    assert made is not None
    assert made.real.normal_class == 3


@pytest.mark.parametrize(("dataset", "protocol"), [(Digits, "memae"), (FashionMNIST, "deep-svdd")])
def test_samples_that_cannot_be_measured_have_none(cache: Path, dataset: type[Dataset], protocol: str) -> None:
    assert not can_measure(dataset, protocol)
    assert reference_of(dataset, 3, not_again, protocol=protocol) is None
    assert not cache.exists()
