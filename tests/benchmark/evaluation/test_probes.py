from __future__ import annotations

from pathlib import Path
from typing import Self

import pytest
import torch
from torch import Tensor

from oodbench.benchmark.evaluation import probes
from oodbench.benchmark.evaluation.evaluate import evaluate
from oodbench.benchmark.evaluation.measures import PROBES
from oodbench.benchmark.evaluation.other_datasets import other_datasets
from oodbench.benchmark.plugins import Plugins
from oodbench.datasets.components.split import Split, as_float, one_vs_rest
from oodbench.datasets.digits import Digits
from oodbench.detectors.base import Detector, Monitor
from oodbench.detectors.components.neural import Neural
from oodbench.detectors.mean import Mean

CHEAP = [
    plugin.cls
    for plugin in Plugins.load().detectors.plugins.values()
    if plugin.source == "built in" and not issubclass(plugin.cls, Neural)
]
COLOURED = torch.randint(256, (50, 3, 28, 30), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def made(name: str, images: Tensor = COLOURED) -> Tensor:
    return probes.PROBES[name](images, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_is_bytes_of_the_same_shape_and_the_same_every_time(name: str) -> None:
    before = COLOURED.clone()
    images = made(name)
    assert (images.dtype, images.shape) == (torch.uint8, COLOURED.shape)
    assert torch.equal(images, made(name))
    assert torch.equal(COLOURED, before)
    assert not torch.equal(images, COLOURED)


def test_noise_is_uniform() -> None:
    counts = made("noise").flatten().bincount(minlength=256).double()
    assert counts.min() > 0.8 * counts.mean()
    assert counts.max() < 1.2 * counts.mean()


def test_one_colour_is_another_in_each_image() -> None:
    images = made("one_colour")
    assert torch.equal(images, images[:, :, :1, :1].expand_as(images))
    assert len(images[:, :, 0, 0].unique(dim=0)) == len(images)


def test_shuffling_keeps_whole_pixels_and_nothing_else() -> None:
    images = made("shuffled")
    for before, after in zip(COLOURED, images, strict=True):
        pixels = [{tuple(pixel) for pixel in image.flatten(1).T.tolist()} for image in (before, after)]
        assert pixels[0] == pixels[1]
    ramp = torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8).expand(2, 1, 8, 8)
    one, other = made("shuffled", ramp)
    assert not torch.equal(one, other)  # each image in its own way


def test_blurring_spreads_a_point_as_a_gaussian_does() -> None:
    point = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    point[0, 0, 12:16, 12:16] = 255
    soft = made("blurred", point).double()
    assert soft.sum().item() == pytest.approx(point.double().sum().item(), rel=0.05)
    places = torch.arange(28, dtype=torch.float64)
    across = soft.sum((0, 1, 2)) / soft.sum()
    centre = (across * places).sum()
    # of the square itself 15 / 12, of the blur 2²
    assert (across * (places - centre).square()).sum().item() == pytest.approx(15 / 12 + 4, rel=0.1)
    grey = torch.full((1, 3, 8, 8), 77, dtype=torch.uint8)
    assert torch.equal(made("blurred", grey), grey)


def test_inverting_twice_changes_nothing() -> None:
    assert torch.equal(made("inverted", made("inverted")), COLOURED)
    assert made("inverted", torch.zeros(1, 1, 2, 2, dtype=torch.uint8)).unique().tolist() == [255]


def test_slight_noise_is_slight() -> None:
    grey = torch.full((50, 1, 28, 28), 128, dtype=torch.uint8)
    assert (made("noisy", grey).double() - 128).std().item() == pytest.approx(0.05 * 255, rel=0.02)
    assert made("noisy", grey * 0).min() == 0


def test_another_dataset_is_resized_and_its_channels_converted() -> None:
    red = torch.tensor([255, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    assert probes.as_shape(red, (1, 28, 28)).unique().tolist() == [76]  # 0.299 · 255
    grey = torch.arange(8, dtype=torch.uint8).view(1, 1, 1, 8).expand(2, 1, 8, 8)
    assert torch.equal(probes.as_shape(grey, (3, 8, 8)), grey.expand(2, 3, 8, 8))
    assert probes.as_shape(grey, (3, 32, 24)).shape == (2, 3, 32, 24)


class Brightness(Detector):
    """Scores brightness, so that each probe's AUROC can be said beforehand; refuses a share of all images' kinds."""

    def __init__(self, *, refuses: int = -1) -> None:
        self.refuses = refuses

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        del images, monitor
        self.mean_ = torch.zeros(1)
        return self

    def score(self, images: Tensor) -> Tensor:
        brightness = images.mean((1, 2, 3))
        if self.refuses >= 0 and bool((brightness > 0.9).all()):
            raise RuntimeError("too bright")
        return brightness


def dark(n: int) -> Tensor:
    return torch.randint(20, (n, 1, 8, 8), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)


def test_the_aurocs_are_of_normal_test_images_against_each_probe() -> None:
    normal, detector = dark(20), Brightness().fit(dark(1))
    scores = detector.score(normal / 255)
    others = {"white": torch.full((5, 3, 16, 16), 255, dtype=torch.uint8), "black": torch.zeros(5, 1, 8, 8).byte()}
    found = probes.probe(detector, normal, scores, others)
    assert list(found) == [*PROBES, "white", "black"]
    assert (found["noise"], found["inverted"], found["white"], found["black"]) == (1, 1, 1, 0)
    assert found["shuffled"] == pytest.approx(0.5, abs=0.02)  # they are as bright as before


def test_an_error_says_on_which_probe_it_was_raised() -> None:
    detector = Brightness(refuses=1).fit(dark(1))
    with pytest.raises(ValueError, match="The probe inverted could not be scored: RuntimeError: too bright"):
        probes.probe(detector, dark(20), torch.zeros(20))


def test_probes_are_the_same_for_every_seed_and_change_no_other_figure() -> None:
    dataset = Digits(Path())
    split: Split = one_vs_rest(dataset.load("train"), dataset.load("test"), 3)
    plain = evaluate(Mean(), split, seed=0)
    others = evaluate(Mean(), split, seed=1, others=lambda: {"dark": dark(9)})
    assert set(plain.probes) == set(PROBES)
    assert others.probes == {**plain.probes, "dark": others.probes["dark"]}
    assert plain.probes["noise"] > 0.9
    assert (plain.auroc, plain.threshold) == (others.auroc, others.threshold)


@pytest.mark.parametrize("cls", CHEAP, ids=lambda cls: cls.name)
def test_noise_is_never_more_normal_than_digits(cls: type[Detector]) -> None:
    dataset = Digits(Path())
    split = one_vs_rest(dataset.load("train"), dataset.load("test"), 3)
    detector = cls().fit(as_float(split.train))
    normal = split.test[~split.is_ood]
    assert probes.probe(detector, normal, detector.score(as_float(normal)))["noise"] >= 0.9


def test_other_datasets_are_those_at_hand(tmp_path: Path) -> None:
    assert list(other_datasets("mnist", tmp_path)) == ["digits"]
    assert other_datasets("digits", tmp_path) == {}
    images = other_datasets("mnist", tmp_path)["digits"]
    assert (images.dtype, images.shape) == (torch.uint8, (300, 1, 8, 8))
