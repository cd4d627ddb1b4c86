"""Image files of any kind, read with Pillow as bytes of one shape, whatever the files hold."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Range = tuple[float, float]
Scale = Mapping[str, Range]
"""For each kind of deep file (`INTEGER`, `FLOAT`, `COLOUR`) the values that become black and white."""

INTEGER, FLOAT, COLOUR = "integer", "float", "colour"
"""Kinds of files with more than 8 bits: grey whole numbers, grey fractions, and colours (Pillow reads 8 bits of 16)."""
DEFAULTS: Final[Scale] = {INTEGER: (0.0, 65535.0), FLOAT: (0.0, 1.0), COLOUR: (0.0, 65535.0)}
"""The whole range, for files that belong to no dataset with a scale for them."""
LEAST_SHARE = 1 / 4
"""Of the whole range; what uses less of it would lose too many of its grey values in 8 bits."""
NOT_READ = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
"""Formats that Pillow knows but that are no images here: some start an interpreter, others cannot be decoded."""
GREY_MODES = frozenset({"1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
ORIENTATION = 0x0112
TURNED: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What sets an image upright, by its orientation in EXIF."""


class ImageError(ValueError):
    """A file cannot be read as an image; the message says why."""


UNREADABLE: Final = (ImageError, OSError)
"""Raised for files that are no images, corrupt ones, and such that would lose too much in 8 bits."""


class Look(NamedTuple):
    """What a file holds, as far as a dataset must know before it reads its images.

    Attributes
    ----------
    mode : str
        Pillow's mode; empty if the file cannot be read.
    kind : str
        `INTEGER`, `FLOAT` or `COLOUR`; empty for a file of 8 bits.
    low, high : float
        The least and the greatest value of a file with more than 8 bits.
    frames : bool
        Whether there are more frames or pages than the first.
    """

    mode: str = ""
    kind: str = ""
    low: float = 0.0
    high: float = 0.0
    frames: bool = False


def formats() -> tuple[str, ...]:
    """Return the names of the formats that are read, as Pillow has them."""
    Image.init()
    return tuple(name for name in Image.ID if name not in NOT_READ)


def endings() -> frozenset[str]:
    """Return the endings of files in these formats, in small letters and with the dot."""
    known = set(formats())
    return frozenset(ending for ending, name in Image.registered_extensions().items() if name in known)


def look_at(path: Path) -> Look:
    """Return what a file holds; only one with more than 8 bits is decoded for it."""
    try:
        with _opened(path) as image:
            kind, frames = _kind(image), bool(getattr(image, "is_animated", False))
            if not kind:
                return Look(image.mode, frames=frames)
            return Look(image.mode, kind, *_extremes(_values(image, kind)), frames)
    except UNREADABLE:
        return Look()


def scale_of(looks: list[Look]) -> dict[str, Range]:
    """Return the rule by which all deep files of a dataset become bytes.

    For each kind of file it is the narrowest range, from zero to a power of two, that holds the values of all: that of
    12 bits for a camera's 16-bit files, 0 to 255 for bytes that were stored as 16 bits. So one picture in 8 bits and in
    16 is the same to a detector, and images keep their brightness relative to one another.

    Parameters
    ----------
    looks : list of Look
        All files.

    Returns
    -------
    dict
        Empty if no file has more than 8 bits.
    """
    kinds = sorted({look.kind for look in looks if look.kind})
    return {kind: _range(kind, [look for look in looks if look.kind == kind]) for kind in kinds}


def read_image(path: Path, shape: tuple[int, int, int], scale: Scale | None = None) -> NDArray[np.uint8]:
    """Read one image file, or its first frame or page, cropped to the middle and resized.

    Parameters
    ----------
    path : Path
        In any format and mode that Pillow reads.
    shape : tuple of int
        (C, H, W); C is 1 (grey) or 3 (RGB).
    scale : mapping, optional
        How files with more than 8 bits become bytes, in a dataset from `scale_of`; ``Dataset.card()["scale"]``, which
        a stored model's card has too. A kind of file without an entry is read in its whole range: whole numbers from 0
        to 65535, fractions from 0 to 1; one that uses less than a quarter of it is refused.

    Returns
    -------
    array
        uint8 (C, H, W).

    Raises
    ------
    ImageError
        It is no image, is corrupt or too large, or would lose too much in 8 bits; the message says which. It is one of
        `UNREADABLE`.
    """
    channels, height, width = shape
    with _opened(path) as file:
        image = _in_bytes(file, scale or {})  # which must know the file before it is loaded
        turn = TURNED.get(file.getexif().get(ORIENTATION, 1))
        if turn is not None:
            image = image.transpose(turn)
        converted = image.convert("L" if channels == 1 else "RGB")
        pixels = np.asarray(ImageOps.fit(converted, (width, height), Image.Resampling.BICUBIC))
        return pixels.reshape(height, width, channels).transpose(2, 0, 1).copy()


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image file; whatever Pillow raises then or inside the block becomes an ImageError."""
    try:
        if not path.is_file():
            raise ImageError("there is no such file, or it is a pipe or a device")  # which may block whoever opens it
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=formats()) as image:
                yield image
    except ImageError:
        raise
    except Exception as error:  # of damaged files Pillow raises nearly anything
        raise ImageError(" ".join(str(error).split()) or type(error).__name__) from error


def _kind(image: Image.Image) -> str:
    """Return the kind of an opened image that is not yet loaded; empty if it has 8 bits."""
    if image.mode.startswith("I"):
        return INTEGER
    if image.mode == "F":
        return FLOAT
    tiles: list[Any] = getattr(image, "tile", [])
    return COLOUR if any(re.search(r";16[BLN]", str(tile[3])) for tile in tiles) else ""


def _values(image: Image.Image, kind: str) -> NDArray[Any]:
    """Return the values of a deep image, in the file's own units; opacity is left out."""
    values = np.asarray(image)
    if kind != COLOUR:
        return values
    if "A" in image.mode.upper():
        values = values[..., :-1]
    return values.astype(np.float32) * 257  # Pillow keeps the upper 8 of 16 bits


def _extremes(values: NDArray[Any]) -> Range:
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise ImageError("it holds values that are no finite numbers")
    return low, high


def _range(kind: str, looks: list[Look]) -> Range:
    if kind == COLOUR:
        return DEFAULTS[COLOUR]
    low, high = min(look.low for look in looks), max(look.high for look in looks)
    if low == high == 0:
        return DEFAULTS[kind]
    return (-_bound(kind, -low) if low < 0 else 0.0), (_bound(kind, high) if high > 0 else 0.0)


def _bound(kind: str, value: float) -> float:
    """Return the smallest power of two that holds a value above 0: 255, 4095, 65535 for whole numbers and bytes."""
    if kind == INTEGER:
        return 2.0 ** max(int(value).bit_length(), 8) - 1
    return 255.0 if 128 < value <= 255 else float(2.0 ** np.ceil(np.log2(value)))


def _in_bytes(file: Image.Image, scale: Scale) -> Image.Image:
    """Return an image with 8 bits; what is transparent is shown on white."""
    kind = _kind(file)
    if kind in (INTEGER, FLOAT) or (kind and kind not in scale):
        values = _values(file, kind)
        extremes = _extremes(values)
        low, high = scale[kind] if kind in scale else _whole_range(kind, *extremes)
        if kind != COLOUR:
            scaled = (values.astype(np.float32) - np.float32(low)) / np.float32((high - low) / 255)
            return Image.fromarray(np.rint(scaled).clip(0, 255).astype(np.uint8))
    if "A" in file.mode or "transparency" in file.info:
        shown = file.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown)
    return file


def _whole_range(kind: str, low: float, high: float) -> Range:
    """Return the range of a deep file of no dataset; raises ImageError if its values do not fit or hardly use it."""
    black, white = DEFAULTS[kind]
    if low < black or high > white or (high < LEAST_SHARE * white and (high > 0 or kind == COLOUR)):
        raise ImageError(
            f"it has more than 8 bits, and values from {low:g} to {high:g} for which there is no scale: convert it to 8"
        )
    return black, white
