from __future__ import annotations

import threading
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
    assert again.count == 10
    FeatureCache(tmp_path, again).features(IMAGES.view(40, 1, 2, 8))
    assert again.count == 50  # other images, though of the same bytes


def test_damaged_shelves_are_computed_again(tmp_path: Path) -> None:
    compute = Counting()
    cache = FeatureCache(tmp_path, compute)
    expected = cache.features(IMAGES)
    for number, path in enumerate(sorted(tmp_path.glob("*.safetensors"))):
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes([content, content[:-20], b""][number % 3])
    assert torch.equal(cache.features(IMAGES), expected)
    assert compute.count == 80
    assert torch.equal(cache.features(IMAGES), expected)
    assert compute.count == 80


def test_those_who_come_at_once_share_the_work(tmp_path: Path) -> None:
    compute = Counting()
    results: list[Tensor] = []
    together = [
        threading.Thread(target=lambda: results.append(FeatureCache(tmp_path, compute).features(IMAGES)))
        for _ in range(3)
    ]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    assert len(results) == 3
    assert all(torch.equal(result, results[0]) for result in results)
    assert compute.count == 40


def test_the_oldest_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_cache, "LARGEST_SHELF", 6)  # one image on each of 16 shelves
    compute = Counting()
    cache = FeatureCache(tmp_path, compute)
    assert torch.equal(cache.features(IMAGES), IMAGES.flatten(1)[:, :3].half())
    cache.features(IMAGES[-1:])
    assert compute.count == 40
    cache.features(IMAGES)
    assert compute.count > 40


def test_nothing_is_kept_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    compute = Counting()
    assert len(FeatureCache(tmp_path / "file" / "in", compute).features(IMAGES)) == 40
    assert compute.count == 40
