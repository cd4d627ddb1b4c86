from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from oodbench.detectors.components import feature_cache
from oodbench.detectors.components.feature_cache import FeatureCache

IMAGES = torch.rand(40, 1, 4, 4, generator=torch.Generator().manual_seed(0))


class Counting:
    """Takes an image's first pixels as its features, and counts the images."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, images: Tensor) -> Tensor:
        self.count += len(images)
        return images.flatten(1)[:, :3].half()


def test_each_image_is_computed_once_whatever_stands_beside_it(tmp_path: Path) -> None:
    first, again = Counting(), Counting()
    expected = first(IMAGES)
    first.count = 0
    twice = torch.cat([IMAGES[:30], IMAGES[:5]])
    assert torch.equal(FeatureCache(tmp_path, first).features(twice), torch.cat([expected[:30], expected[:5]]))
    assert first.count == 30
    assert torch.equal(FeatureCache(tmp_path, again).features(IMAGES.flip(0)), expected.flip(0))
    assert again.count == 10  # too few for a file
    FeatureCache(tmp_path, again).features(IMAGES.view(40, 1, 2, 8))
    assert again.count == 50  # other images, though of the same bytes


def test_damaged_files_are_deleted_and_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_cache, "LARGEST", 10)
    monkeypatch.setattr(feature_cache, "SMALLEST", 1)
    compute = Counting()
    cache = FeatureCache(tmp_path, compute)
    expected = cache.features(IMAGES)
    for number, path in enumerate(tmp_path.iterdir()):
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        damaged = (bytes(content), bytes(content[:-20]), b"", b"{}")
        path.write_bytes(damaged[number])
    for _ in range(2):
        assert torch.equal(cache.features(IMAGES), expected)
        assert compute.count == 80
    assert len(list(tmp_path.iterdir())) == 4


def test_what_others_compute_meanwhile_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_cache, "LARGEST", 20)
    other, mine = Counting(), Counting()

    def after_another(images: Tensor) -> Tensor:
        FeatureCache(tmp_path, other).features(IMAGES)
        return mine(images)

    assert torch.equal(FeatureCache(tmp_path, after_another).features(IMAGES), IMAGES.flatten(1)[:, :3].half())
    assert (other.count, mine.count) == (40, 20)


def test_the_oldest_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_cache, "FILES", 1)
    compute = Counting()
    cache = FeatureCache(tmp_path, compute)
    for images in (IMAGES[:20], IMAGES[20:]):
        cache.features(images)
    cache.features(IMAGES[20:])
    assert compute.count == 40
    cache.features(IMAGES[:20])
    assert compute.count == 60


def test_nothing_is_kept_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    compute = Counting()
    for count in (40, 80):
        assert len(FeatureCache(tmp_path / "file" / "in", compute).features(IMAGES)) == 40
        assert compute.count == count
