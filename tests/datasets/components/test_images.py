"""Image files of every kind: deep ones, damaged ones, and those that were made to do harm."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from oodbench.datasets.components.images import (
    COLOUR,
    FLOAT,
    INTEGER,
    UNREADABLE,
    ImageError,
    endings,
    look_at,
    read_image,
    scale_of,
)

GREY = np.add.outer(np.arange(16), np.arange(16)).astype(np.uint8) * 8  # 0 to 240
SHAPE = (1, 16, 16)


def write(path: Path, values: NDArray[Any]) -> Path:
    Image.fromarray(values).save(path)
    return path


def read_by_its_own(path: Path) -> NDArray[Any]:
    image: NDArray[Any] = read_image(path, SHAPE, scale_of([look_at(path)]))[0]
    return image


# ------------------------------------------------------------------ more than 8 bits


@pytest.mark.parametrize(
    ("values", "range_"),
    [
        (GREY.astype(np.uint16), (0, 255)),  # bytes in 16 bits
        (GREY.astype(np.uint16) * 16, (0, 4095)),  # a camera's 12 bits
        (GREY.astype(np.uint16) * 257, (0, 65535)),
        (GREY.astype(np.int32) * 2**20, (0, 2**28 - 1)),
        (GREY.astype(np.float32) / 255, (0, 1)),
        (GREY.astype(np.float32), (0, 255)),
        (GREY.astype(np.float32) / 255 / 64, (0, 1 / 64)),
        (GREY.astype(np.float32) * 16, (0, 4096)),
    ],
)
def test_a_picture_is_the_same_however_deep_its_file_is(
    tmp_path: Path,
    values: NDArray[Any],
    range_: tuple[float, float],
) -> None:
    path = write(tmp_path / "deep.tif", values)
    ((low, high),) = scale_of([look_at(path)]).values()
    assert (low, high) == range_
    assert np.abs(read_by_its_own(path).astype(int) - GREY).max() <= 1


def test_values_below_zero_keep_their_order(tmp_path: Path) -> None:
    path = write(tmp_path / "signed.tif", (GREY.astype(np.float32) - 120) / 120)
    assert scale_of([look_at(path)]) == {FLOAT: (-1, 1)}
    assert (read_by_its_own(path).min(), read_by_its_own(path).max()) == (0, 255)


def test_one_rule_holds_for_all_files_of_a_dataset(tmp_path: Path) -> None:
    dark, bright = (
        write(tmp_path / "dark.tif", GREY.astype(np.uint16)),
        write(tmp_path / "bright.tif", GREY.astype(np.uint16) * 16),
    )
    grey = write(tmp_path / "8 bits.png", GREY)
    scale = scale_of([look_at(dark), look_at(bright), look_at(grey)])
    assert scale == {INTEGER: (0, 4095)}
    assert read_image(dark, SHAPE, scale).max() == 15  # sixteen times darker than the other one, as it was taken
    assert read_image(bright, SHAPE, scale).max() == round(240 * 16 / 4095 * 255)
    assert read_image(grey, SHAPE, scale).max() == 240
    assert scale_of([look_at(grey)]) == {}


def test_without_a_scale_the_whole_range_counts_and_what_hardly_uses_it_is_refused(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.png", GREY.astype(np.uint16) * 257)
    assert (read_image(whole, SHAPE)[0] == GREY).all()
    for name, values in (
        ("dark.tif", GREY.astype(np.uint16)),
        ("huge.tif", GREY.astype(np.int32) * 2**20),
        ("bytes.tif", GREY.astype(np.float32)),
        ("signed.tif", GREY.astype(np.float32) / 255 - 0.5),
    ):
        with pytest.raises(
            ImageError, match=r"more than 8 bits, and values from .* there is no scale: convert it to 8"
        ):
            read_image(write(tmp_path / name, values), SHAPE)


def test_values_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    for value in (np.nan, np.inf):
        path = write(tmp_path / "not.tif", np.where(GREY > 100, value, GREY / 255).astype(np.float32))
        assert look_at(path).mode == ""
        with pytest.raises(ImageError, match="no finite numbers"):
            read_image(path, SHAPE, {FLOAT: (0, 1)})


def png(path: Path, values: NDArray[Any], colour_type: int) -> Path:
    """Write a PNG of 16 bits a channel, which Pillow cannot."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    return path


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize(("colour_type", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_colours_of_16_bits(tmp_path: Path, colour_type: int, channels: int) -> None:
    """Pillow reads the upper half of each value; of a picture in the lower half, next to nothing would be left."""
    values = np.repeat(GREY[..., None], channels, axis=2).astype(np.uint16)
    if channels != 3:
        values[..., -1] = 255  # opaque
    whole, dark = (
        png(tmp_path / "whole.png", values * 257, colour_type),
        png(tmp_path / "dark.png", values, colour_type),
    )
    assert look_at(whole).kind == look_at(dark).kind == COLOUR
    assert np.abs(read_image(whole, SHAPE)[0].astype(int) - GREY).max() <= 1
    if channels == 3:
        with pytest.raises(ImageError, match="more than 8 bits"):
            read_image(dark, SHAPE)
        assert read_image(dark, SHAPE, {COLOUR: (0, 65535)}).max() <= 1  # a dark one among bright ones


def test_only_what_has_more_frames_is_said_to_have_them(tmp_path: Path) -> None:
    images = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    for ending in ("gif", "tif", "png", "webp"):
        images[0].save(tmp_path / f"one.{ending}")
        images[0].save(tmp_path / f"two.{ending}", save_all=True, append_images=images[1:])
        assert not look_at(tmp_path / f"one.{ending}").frames
        assert look_at(tmp_path / f"two.{ending}").frames, ending
        assert read_image(tmp_path / f"two.{ending}", SHAPE)[0, 0, 0] < 20  # the first


# ------------------------------------------------------------------ damaged, or made to do harm


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def huge_text() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "x" * 2_000_000, zip=True)
    return encoded(Image.fromarray(GREY), "PNG", pnginfo=info)


def bomb() -> bytes:
    row = zlib.compress(bytes(20_001) * 100)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", row)
        + chunk(b"IEND", b"")
    )


HARMFUL = {
    "bomb.png": bomb(),
    "text.png": huge_text(),
    "cut.avif": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(40),
    "bad.dds": b"DDS |\0\0\0" + b"\xff" * 120,
    "bad.ppm": b"P6 16 x 255\n" + bytes(9),
    "huge.pgm": b"P5 4000000000 4000000000 255\n",
    "bad.sgi": b"\x01\xda\x01\x01\xff\xff" + b"\xff" * 506,
    "bad.tif": b"II*\0\x08\0\0\0\xff\xff" + bytes(20),
    "script.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
    "script.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
    "empty.png": b"",
    "text.gif": b"GIF89a",
}


@pytest.mark.parametrize("name", HARMFUL)
def test_harmful_files_are_unreadable_and_nothing_else(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(HARMFUL[name])
    with pytest.raises(UNREADABLE):
        read_image(path, (3, 8, 8))
    look_at(path)


def test_postscript_is_no_image() -> None:
    assert {".jpg", ".png", ".tiff", ".webp"} <= endings()
    assert not {".eps", ".ps", ".pdf", ".h5", ".wmf"} & endings()


def test_an_exif_fraction_over_zero_does_no_harm(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x011A] = 3, 72.0  # taken upside down, 72 dots an inch
    stored = encoded(Image.fromarray(GREY), "JPEG", exif=exif, quality=95)
    broken = stored.replace(struct.pack(">II", 72, 1), struct.pack(">II", 72, 0)).replace(
        struct.pack("<II", 72, 1), struct.pack("<II", 72, 0)
    )
    assert broken != stored
    (tmp_path / "broken.jpg").write_bytes(broken)
    assert np.abs(read_image(tmp_path / "broken.jpg", SHAPE)[0].astype(int) - GREY[::-1, ::-1]).max() < 12


def test_a_pipe_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="it is a pipe or a device"):
        read_image(tmp_path / "pipe.png", SHAPE)
    with pytest.raises(ImageError, match="there is no such file"):
        read_image(tmp_path / "gone.png", SHAPE)
    assert look_at(Path("/dev/zero")).mode == ""


SOUND = {
    "png": encoded(Image.fromarray(GREY), "PNG"),
    "palette.png": encoded(Image.fromarray(GREY).convert("P"), "PNG", transparency=3),
    "16.png": encoded(Image.fromarray(GREY.astype(np.uint16) * 257), "PNG"),
    "jpg": encoded(Image.fromarray(GREY).convert("RGB"), "JPEG"),
    "exif.jpg": encoded(
        Image.fromarray(GREY), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\6\0\0\0"
    ),
    "gif": encoded(Image.fromarray(GREY), "GIF"),
    "frames.gif": encoded(Image.fromarray(GREY), "GIF", save_all=True, append_images=[Image.fromarray(255 - GREY)]),
    "tif": encoded(Image.fromarray(GREY).convert("RGB"), "TIFF"),
    "packed.tif": encoded(Image.fromarray(GREY.astype(np.float32)), "TIFF", compression="tiff_lzw"),
    "bmp": encoded(Image.fromarray(GREY), "BMP"),
    "ppm": encoded(Image.fromarray(GREY).convert("RGB"), "PPM"),
    "plain.ppm": b"P3 4 4 255\n" + b"1 20 255 " * 16,
}


@settings(max_examples=50, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_file_with_changed_bytes_is_read_or_unreadable(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever the bytes are, there comes an image of the shape, or one of the errors that say that there is none."""
    for name, sound in SOUND.items():
        content = bytearray(sound)
        at = st.integers(0, len(content) - 1)
        for place, value in data.draw(st.lists(st.tuples(at, st.integers(0, 255)), max_size=6), label=name):
            content[place] = value
        kept = data.draw(st.one_of(st.just(len(content)), at), label="bytes kept")
        path = tmp_path / f"image.{name}"
        path.write_bytes(content[:kept])
        try:
            image = read_image(path, (3, 8, 8), scale_of([look_at(path)]))
        except UNREADABLE:
            continue
        assert image.dtype == np.uint8
        assert image.shape == (3, 8, 8)


def test_the_sound_files_are_sound(tmp_path: Path) -> None:
    for name, content in SOUND.items():
        path = tmp_path / f"image.{name}"
        path.write_bytes(content)
        assert read_image(path, (3, 8, 8), scale_of([look_at(path)])).std() > 10, name
