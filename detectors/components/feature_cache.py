"""Features of images, computed once for all classes, seeds and processes, and kept in files.

An image's features are found by a digest of its pixels, so that a detector, which sees images only, need not know which
dataset they are from. A file, once written, never changes; processes need no locks, and take over what others have
written meanwhile.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from platformdirs import user_cache_path
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

LARGEST, SMALLEST = 512, 16
"""Images of a file at most; and at least, for a few are computed as fast as they are read."""
FILES = 2048
"""In a folder at most; the oldest make room."""


def cache_folder() -> Path:
    """Return the folder in the user's cache that holds weights and features; it need not exist."""
    return user_cache_path("oodbench") / "features"


@dataclass(frozen=True)
class FeatureCache:
    """Looks features up, and computes what is missing.

    Attributes
    ----------
    folder : Path
        Where they are kept; a folder for each way to compute them.
    compute : callable
        Takes images, float32 (N, C, H, W); returns their features, float16 (N, D).
    """

    folder: Path
    compute: Callable[[Tensor], Tensor]

    def features(self, images: Tensor) -> Tensor:
        """Return features, from the cache where they are in it; where nothing can be written, nothing is kept.

        Parameters
        ----------
        images : Tensor
            float32 (N, C, H, W), N at least 1.

        Returns
        -------
        Tensor
            float16 (N, D).
        """
        digests = [_digest(image) for image in images.cpu()]
        places = {digest: place for place, digest in enumerate(digests)}
        found = self._stored(places)
        missing = sorted(places.keys() - found.keys())
        random.Random().shuffle(missing)  # for processes at the same images to begin with different ones
        while missing:
            chunk = missing[:LARGEST]
            new = self.compute(images[[places[digest] for digest in chunk]])
            found |= zip(chunk, new, strict=True)
            self._store(chunk, new)
            found |= self._stored(missing[LARGEST:])
            missing = [digest for digest in missing if digest not in found]
        return torch.stack([found[digest] for digest in digests])

    def _stored(self, digests: Collection[bytes]) -> dict[bytes, Tensor]:
        """Return those features that are kept."""
        wanted, found = set(digests), dict[bytes, Tensor]()
        for path in self.folder.glob("*.safetensors"):
            if not wanted.isdisjoint(_digests_in(path)):
                kept = _read(path)
                found |= {digest: kept[digest] for digest in kept.keys() & wanted}
        return found

    def _store(self, digests: list[bytes], features: Tensor) -> None:
        """Write a file, and delete the oldest beyond `FILES`; where none can be written, do neither."""
        if len(digests) < SMALLEST:
            return
        names = torch.tensor([list(digest) for digest in digests], dtype=torch.uint8)
        tensors = {"digests": names, "features": features}
        path = self.folder / f"{_checksum(tensors)}.safetensors"
        with suppress(OSError, SafetensorError):
            self.folder.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(f".{random.SystemRandom().getrandbits(32)}")
            partial.write_bytes(save(tensors))
            partial.replace(path)
            oldest_first = sorted(self.folder.glob("*.safetensors"), key=lambda file: file.stat().st_mtime)
            for file in oldest_first[:-FILES]:
                file.unlink()


def _digest(image: Tensor) -> bytes:
    """Return a digest of an image's shape and pixels, 16 bytes."""
    shape = str(tuple(image.shape)).encode()
    return hashlib.blake2b(image.numpy().tobytes(), digest_size=16, key=shape).digest()


@lru_cache(maxsize=2 * FILES)
def _digests_in(path: Path) -> frozenset[bytes]:
    return frozenset(_read(path))


def _read(path: Path) -> dict[bytes, Tensor]:
    """Return a file's features by digest. One that is not what its name says is damaged, and deleted."""
    try:
        tensors = load(path.read_bytes())
        if _checksum(tensors) == path.stem:
            return dict(zip(map(bytes, tensors["digests"].numpy()), tensors["features"], strict=True))
    except OSError:
        return {}
    except (SafetensorError, KeyError):
        pass
    with suppress(OSError):
        path.unlink()
    return {}


def _checksum(tensors: dict[str, Tensor]) -> str:
    """Return a hash of a file's tensors; safetensors has none."""
    hashed = hashlib.blake2b(digest_size=16)
    for name in ("digests", "features"):
        hashed.update(tensors[name].numpy().tobytes())
    return hashed.hexdigest()
