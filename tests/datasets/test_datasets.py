from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor
from torchvision.datasets import CIFAR10 as TorchvisionCIFAR10
from torchvision.datasets import MNIST as TorchvisionMNIST

import oodbench.datasets
from oodbench.benchmark.plugins import Plugins
from oodbench.datasets import DatasetError, Part
from oodbench.datasets.cifar10 import CIFAR10
from oodbench.datasets.digits import Digits
from oodbench.datasets.fashion_mnist import FashionMNIST
from oodbench.datasets.mnist import MNIST

FOLDER = Path(oodbench.datasets.__path__[0])


def test_every_file_is_a_dataset_of_its_name_and_exported(plugins: Plugins) -> None:
    stems = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "base"}
    built_in = [plugin.cls for plugin in plugins.datasets.plugins.values() if plugin.source == "built in"]
    assert {cls.name.replace("-", "_") for cls in built_in} == stems - set(oodbench.datasets.FAMILIES)
    assert all(getattr(oodbench.datasets, cls.__name__) is cls for cls in built_in)
    for name in oodbench.datasets.__all__:
        assert getattr(oodbench.datasets, name) is not None
        assert name in dir(oodbench.datasets)
    with pytest.raises(AttributeError, match="no attribute 'ImageNet'"):
        _ = oodbench.datasets.ImageNet


def test_classes_and_protocols_are_known_without_torch() -> None:
    program = (
        "import sys, pathlib, importlib\n"
        "from oodbench.datasets import PROTOCOLS, DatasetError\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module('oodbench.datasets.' + name)\n"
        "print({'torch', 'torchvision', 'sklearn'} & set(sys.modules), list(PROTOCOLS))\n"
    )
    modules = [path.stem for path in FOLDER.glob("[!_]*.py")]
    done = subprocess.run([sys.executable, "-c", program, *modules], capture_output=True, text=True, check=True)
    assert done.stdout == "set() ['deep-svdd', 'memae']\n"


def test_checksums_are_those_of_torchvision() -> None:
    published = [
        *TorchvisionCIFAR10.train_list,
        *TorchvisionCIFAR10.test_list,
        ["batches.meta", TorchvisionCIFAR10.meta["md5"]],
    ]
    assert CIFAR10.checksums == {f"{TorchvisionCIFAR10.base_folder}/{file}": md5 for file, md5 in published}


@pytest.mark.parametrize(
    ("name", "train", "test"), [("mnist", 60_000, 10_000), ("cifar10", 50_000, 10_000), ("digits", 1_257, 540)]
)
def test_real_data(name: str, train: int, test: int, plugins: Plugins, data_dir: Path) -> None:
    dataset = plugins.datasets[name](data_dir)
    dataset.prepare()
    for part, size in (("train", train), ("test", test)):
        loaded = dataset.load(part)  # type: ignore[arg-type]
        assert loaded.images.shape == (size, *dataset.shape)
        assert loaded.images.dtype == torch.uint8
        assert loaded.images.max() == 255
        assert loaded.labels.dtype == torch.int64
        assert set(loaded.labels.tolist()) == set(range(len(dataset.class_names)))


def test_cifar_images_are_upright_and_in_colour(data_dir: Path) -> None:
    images = CIFAR10(data_dir).load("train").images.float()
    sky = images[(CIFAR10(data_dir).load("train").labels == 0), :, :4].mean((0, 2, 3))
    assert sky[2] > sky[0]  # above aeroplanes it is blue: channels are red, green, blue and rows go down


def test_digits_parts_do_not_overlap_and_never_change() -> None:
    train, test = Digits(Path()).load("train"), Digits(Path()).load("test")
    assert len(train.images) + len(test.images) == 1797
    assert test.labels.bincount().tolist() == [54, 55, 53, 55, 54, 55, 54, 54, 52, 54]


def copy_of_mnist(data_dir: Path, folder: Path) -> Path:
    shutil.copytree(data_dir / "MNIST", folder / "MNIST")
    return folder / "MNIST" / "raw" / "train-images-idx3-ubyte"


def test_cut_off_file_is_named(data_dir: Path, tmp_path: Path) -> None:
    images = copy_of_mnist(data_dir, tmp_path)
    images.write_bytes(images.read_bytes()[:1_000_000])
    with pytest.raises(DatasetError, match=r"train-images-idx3-ubyte is corrupt or cut off.*delete it"):
        MNIST(tmp_path).prepare()


def test_one_changed_byte_is_noticed(data_dir: Path, tmp_path: Path) -> None:
    images = copy_of_mnist(data_dir, tmp_path)
    content = bytearray(images.read_bytes())
    content[12345] ^= 1
    images.write_bytes(bytes(content))
    with pytest.raises(DatasetError, match="train-images-idx3-ubyte is corrupt"):
        MNIST(tmp_path).prepare()


def test_corrupt_cifar_batch_is_named(data_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(data_dir / "cifar-10-batches-py", tmp_path / "cifar-10-batches-py")
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").write_bytes(b"not a batch")
    with pytest.raises(DatasetError, match="data_batch_3 is corrupt"):
        CIFAR10(tmp_path).prepare()


def test_fashion_mnist_reads_the_idx_layout_and_notices_a_cut(data_dir: Path, tmp_path: Path) -> None:
    images = copy_of_mnist(data_dir, tmp_path)
    (tmp_path / "MNIST").rename(tmp_path / "FashionMNIST")  # the same format, so that its reader can be tested on it
    dataset = FashionMNIST(tmp_path)
    dataset.prepare()
    assert dataset.load("test").images.shape == (10_000, 1, 28, 28)
    images = tmp_path / "FashionMNIST" / "raw" / images.name
    images.write_bytes(images.read_bytes()[:-1])
    with pytest.raises(DatasetError, match=r"train-images-idx3-ubyte or .* cut off"):
        dataset.prepare()


def idx(path: Path, values: Tensor, kind: int = 8) -> None:
    """Write an array in the idx format; kind 8 stands for bytes."""
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes([0, 0, kind, values.ndim]) + sizes + values.to(torch.uint8).numpy().tobytes())


class Small(FashionMNIST):
    sizes: ClassVar[dict[str, int]] = {"train": 30, "test": 20}


def small(root: Path) -> Path:
    """Write a sound little dataset in Fashion-MNIST's layout, and return its folder."""
    raw = root / "FashionMNIST" / "raw"
    for prefix, count in (("train", 30), ("t10k", 20)):
        idx(raw / f"{prefix}-images-idx3-ubyte", torch.zeros(count, 28, 28))
        idx(raw / f"{prefix}-labels-idx1-ubyte", torch.arange(count) % 10)
    return raw


def test_a_sound_little_dataset_is_verified(tmp_path: Path) -> None:
    small(tmp_path)
    Small(tmp_path).verify()


@pytest.mark.parametrize(
    ("name", "values", "kind", "problem"),
    [
        ("train-labels-idx1-ubyte", torch.arange(29) % 10, 8, "30 images and 29 labels"),
        ("t10k-labels-idx1-ubyte", torch.arange(20) % 10 + 1, 8, "labels from 1 to 10, not 0 to 9"),
        ("train-images-idx3-ubyte", torch.zeros(30, 14, 28), 8, r"images of shape \(1, 14, 28\), not \(1, 28, 28\)"),
        ("train-images-idx3-ubyte", torch.zeros(30, 784), 8, "corrupt or cut off"),
        ("t10k-images-idx3-ubyte", torch.zeros(20, 28, 28), 77, "corrupt or cut off"),  # there is no such type
        ("t10k-images-idx3-ubyte", torch.zeros(0), 8, "corrupt or cut off"),
    ],
)
def test_idx_files_that_do_not_fit_together_are_named(
    tmp_path: Path, name: str, values: Tensor, kind: int, problem: str
) -> None:
    idx(small(tmp_path) / name, values, kind)
    with pytest.raises(DatasetError, match=f"{name}.*{problem}" if "corrupt" not in problem else problem) as caught:
        Small(tmp_path).verify()
    assert "run `bench data fashion-mnist` to download them again" in str(caught.value)


def test_the_test_part_in_the_place_of_the_training_part_is_noticed(tmp_path: Path) -> None:
    raw = small(tmp_path)
    for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"):
        shutil.copy(raw / f"t10k-{kind}", raw / f"train-{kind}")
    with pytest.raises(DatasetError, match=r"train-images-idx3-ubyte and .* hold 20 images, not 30"):
        Small(tmp_path).verify()


def test_a_part_of_batches_is_checked_too(tmp_path: Path) -> None:
    images, labels = torch.zeros(10_000, 3, 32, 32, dtype=torch.uint8), torch.arange(10_000) % 10
    dataset = CIFAR10(tmp_path)
    dataset.checked("test", Part(images, labels), "The batches")
    for part, problem in (
        (Part(images[:-1], labels[:-1]), "9999 images, not 10000"),
        (Part(images, labels - 1), "labels from -1 to 8"),
        (Part(images.movedim(1, -1), labels), r"images of shape \(32, 32, 3\)"),
    ):
        with pytest.raises(DatasetError, match=f"The batches hold {problem}"):
            dataset.checked("test", part, "The batches")


# ------------------------------------------------------------------ downloads, from a server on this machine


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}/", folder
        httpd.shutdown()


@pytest.fixture
def mnist_mirror(server: tuple[str, Path], data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Serve MNIST in place of its real mirrors."""
    address, folder = server
    resources = []
    for path in sorted((data_dir / "MNIST" / "raw").glob("*-ubyte")):
        packed = gzip.compress(path.read_bytes(), compresslevel=1)
        (folder / f"{path.name}.gz").write_bytes(packed)
        resources.append((f"{path.name}.gz", hashlib.md5(packed).hexdigest()))
    monkeypatch.setattr(TorchvisionMNIST, "mirrors", [address])
    monkeypatch.setattr(TorchvisionMNIST, "resources", resources)
    return folder


def test_download(mnist_mirror: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    MNIST(root).prepare()
    assert MNIST(root).load("test").images.shape == (10_000, 1, 28, 28)
    assert not list(root.glob(".mnist-*"))


def test_two_downloads_at_a_time(mnist_mirror: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(MNIST(root).prepare) for _ in range(2)]:
            done.result()
    assert MNIST(root).missing() == []


def test_spoilt_download_leaves_nothing_behind(mnist_mirror: Path, tmp_path: Path) -> None:
    (mnist_mirror / "t10k-labels-idx1-ubyte.gz").write_bytes(b"spoilt")
    root = tmp_path / "data"
    with pytest.raises(DatasetError, match=r"-ubyte is missing and could not be downloaded.*--data-dir"):
        MNIST(root).prepare()
    assert [path for path in root.rglob("*") if path.name != ".mnist.lock"] == []


@pytest.mark.slow
def test_download_of_an_archive(
    server: tuple[str, Path], data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, folder = server
    with tarfile.open(folder / "cifar.tar.gz", "w:gz", compresslevel=1) as archive:
        archive.add(data_dir / "cifar-10-batches-py", "cifar-10-batches-py")
    monkeypatch.setattr(TorchvisionCIFAR10, "url", f"{address}cifar.tar.gz")
    monkeypatch.setattr(TorchvisionCIFAR10, "filename", "cifar.tar.gz")
    monkeypatch.setattr(TorchvisionCIFAR10, "tgz_md5", hashlib.md5((folder / "cifar.tar.gz").read_bytes()).hexdigest())
    root = tmp_path / "data"
    CIFAR10(root).prepare()
    assert CIFAR10(root).load("test").images.shape == (10_000, 3, 32, 32)


def test_no_connection_names_the_file_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TorchvisionMNIST, "mirrors", ["http://127.0.0.1:1/"])
    with pytest.raises(DatasetError, match=r"train-images-idx3-ubyte is missing and could not be downloaded"):
        MNIST(tmp_path / "data").prepare()


def test_data_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="is missing and could not be downloaded"):
        MNIST(tmp_path / "file" / "data").prepare()
