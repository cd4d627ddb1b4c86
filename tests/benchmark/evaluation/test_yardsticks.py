from __future__ import annotations

from pathlib import Path

import pytest
import torch
from filelock import FileLock

from oodbench.benchmark.evaluation import yardsticks
from oodbench.benchmark.evaluation.generation import Yardstick
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.trials import Trial
from oodbench.datasets.base import Part
from oodbench.datasets.digits import Digits

TRIAL = Trial("digits", "ae", 3, 0)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(yardsticks, "user_cache_path", lambda _: tmp_path)
    return tmp_path / yardsticks.FOLDER


@pytest.fixture(scope="module")
def digits() -> tuple[Part, Part]:
    dataset = Digits(Path())
    return dataset.load("train"), dataset.load("test")


def not_again() -> tuple[Part, Part]:
    raise AssertionError("real images are looked at twice")


class Asked:
    """Gives parts, and counts how often."""

    def __init__(self, parts: tuple[Part, Part]) -> None:
        self.parts = parts
        self.times = 0

    def __call__(self) -> tuple[Part, Part]:
        self.times += 1
        return self.parts


def test_real_images_are_looked_at_once(cache: Path, plugins: Plugins, digits: tuple[Part, Part]) -> None:
    first = yardsticks.yardstick(TRIAL, plugins, lambda: digits)
    yardsticks._loaded.cache_clear()  # as in another process
    again = yardsticks.yardstick(TRIAL, plugins, not_again)
    assert isinstance(first, Yardstick)
    assert isinstance(again, Yardstick)
    assert torch.equal(first.reference.train, again.reference.train)
    assert first.controls == again.controls
    assert len(list(cache.glob("*.safetensors"))) == 1


def test_what_other_code_made_is_replaced(
    cache: Path, plugins: Plugins, digits: tuple[Part, Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    yardsticks.prepare(TRIAL, plugins, lambda: digits)
    (old,) = cache.glob("*.safetensors")
    monkeypatch.setattr(yardsticks, "_digest", lambda *_: "other")
    yardsticks.prepare(TRIAL, plugins, lambda: digits)
    (new,) = cache.glob("*.safetensors")
    assert old.name != new.name == "digits-3-other.safetensors"


@pytest.mark.usefixtures("cache")
def test_the_digest_tells_data_and_weights_apart() -> None:
    assert len({yardsticks._digest(*of) for of in (("1", "a"), ("2", "a"), ("1", "b"))}) == 3


def test_no_process_waits_to_prepare(cache: Path, plugins: Plugins, digits: tuple[Part, Part]) -> None:
    cache.mkdir()
    asked = Asked(digits)
    with FileLock(cache / "digits-3.lock"):
        yardsticks.prepare(TRIAL, plugins, asked)
    assert asked.times == 0
    yardsticks.prepare(TRIAL, plugins, asked)
    assert asked.times == 1
    assert len(list(cache.glob("*.safetensors"))) == 1


def test_a_spoilt_file_is_made_anew(cache: Path, plugins: Plugins, digits: tuple[Part, Part]) -> None:
    asked = Asked(digits)
    yardsticks.prepare(TRIAL, plugins, asked)
    (path,) = cache.glob("*.safetensors")
    path.write_bytes(b"spoilt")
    for times in (2, 3, 3):  # for this trial, for the next one, and kept from then on
        yardsticks._loaded.cache_clear()
        assert yardsticks.yardstick(TRIAL, plugins, asked) is not None
        assert asked.times == times


def test_without_a_cache_real_images_are_looked_at_every_time(
    tmp_path: Path, plugins: Plugins, digits: tuple[Part, Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(yardsticks, "user_cache_path", lambda _: tmp_path / "file")  # no folder can be made in there
    yardsticks.prepare(TRIAL, plugins, lambda: digits)
    made = yardsticks.yardstick(TRIAL, plugins, lambda: digits)
    assert made is not None
    assert made.reference.normal_class == 3


@pytest.mark.parametrize("trial", [Trial("digits", "ae", 3, 0, protocol="memae"), Trial("fashion-mnist", "ae", 3, 0)])
def test_samples_that_cannot_be_measured_have_none(cache: Path, plugins: Plugins, trial: Trial) -> None:
    assert not yardsticks.can_measure(trial)
    assert yardsticks.yardstick(trial, plugins, not_again) is None
    assert not cache.exists()
