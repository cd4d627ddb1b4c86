"""Features of images, computed once for all classes, seeds and processes, and kept in files.

An image's features are found by a digest of its pixels, so that a detector, which sees images only, need not know which
dataset they are from. The digest's first digit names the file, a shelf. Who computes what is missing on a shelf holds its
lock, and others meanwhile turn to other shelves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from platformdirs import user_cache_path
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

LARGEST_SHELF = 2**26
"""Bytes of features on a shelf, of which there are 16; the oldest make room."""


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
        digests = _digests(images)
        shelves: dict[str, list[int]] = {}
        for place, digest in enumerate(digests):
            shelves.setdefault(digest.hex()[0], []).append(place)
        found: dict[int, Tensor] = {}
        waiting = list(shelves)
        for timeout in (0, -1):  # first what nobody else is at
            busy = []
            for shelf in waiting:
                places = shelves[shelf]
                try:
                    rows = self._look_up(shelf, [digests[place] for place in places], images[places], timeout)
                except Timeout:
                    busy.append(shelf)
                else:
                    found |= zip(places, rows, strict=True)
            waiting = busy
        return torch.stack([found[place] for place in range(len(images))])

    def _look_up(self, shelf: str, digests: Sequence[bytes], images: Tensor, timeout: float) -> Tensor:
        """Return the features of images of one shelf; raises Timeout if another process is at it."""
        path = self.folder / f"{shelf}.safetensors"
        kept = _read(path)
        if not kept.keys() >= set(digests):
            lock = _lock(path.with_suffix(".lock"), timeout)
            try:
                kept = _read(path) if lock else kept
                missing = {digest: place for place, digest in enumerate(digests) if digest not in kept}
                if missing:
                    kept |= zip(missing, self.compute(images[list(missing.values())]), strict=True)
                    if lock:
                        _write(path, kept)
            finally:
                if lock:
                    lock.release()
        return torch.stack([kept[digest] for digest in digests])


def _digests(images: Tensor) -> list[bytes]:
    """Return a digest of each image's pixels and shape, 16 bytes."""
    shape = str(tuple(images.shape[1:])).encode()
    return [hashlib.blake2b(image.tobytes(), digest_size=16, key=shape).digest() for image in images.cpu().numpy()]


def _lock(path: Path, timeout: float) -> FileLock | None:
    """Return a lock that is held, or None where none can be made; raises Timeout if another process holds it."""
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=timeout)
    except Timeout:
        raise
    except OSError:
        return None
    return lock


def _read(path: Path) -> dict[bytes, Tensor]:
    """Return a shelf's features by digest; none if it is missing or damaged."""
    try:
        with safe_open(path, "pt") as file:
            digests, features = file.get_tensor("digests"), file.get_tensor("features")
            intact = file.metadata()["checksum"] == _checksum(digests, features)
    except (OSError, SafetensorError, KeyError, TypeError):
        return {}
    return dict(zip(map(bytes, digests.numpy()), features, strict=True)) if intact else {}


def _write(path: Path, kept: dict[bytes, Tensor]) -> None:
    """Replace a shelf, whose lock is held, by its newest features; a full disk leaves it as it is."""
    room = LARGEST_SHELF // next(iter(kept.values())).nbytes
    newest = list(kept)[-room:]
    digests = torch.tensor([list(digest) for digest in newest], dtype=torch.uint8)
    features = torch.stack([kept[digest] for digest in newest])
    partial = path.with_suffix(".partial")
    with suppress(OSError, SafetensorError):
        save_file({"digests": digests, "features": features}, partial, {"checksum": _checksum(digests, features)})
        partial.replace(path)


def _checksum(*tensors: Tensor) -> str:
    """Return a hash of the bytes of tensors; safetensors holds none."""
    hashed = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        hashed.update(tensor.numpy().tobytes())
    return hashed.hexdigest()
