from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional
from torchvision.utils import make_grid

from oodbench.benchmark.reporting.pictures import draw_extremes, draw_pairs, draw_roc, magnified_grid


@pytest.mark.parametrize(
    ("shape", "columns"), [((32, 1, 8, 8), 8), ((7, 3, 32, 32), 5), ((3, 1, 28, 28), 8), ((5, 3, 10, 14), 2)]
)
def test_a_grid_is_laid_out_as_torchvision_does(shape: tuple[int, ...], columns: int) -> None:
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    large = functional.interpolate(images, scale_factor=round(64 / shape[-1]), mode="nearest")
    expected = (make_grid(large, nrow=columns, padding=2, pad_value=1.0) * 255).round().to(torch.uint8)
    assert np.array_equal(magnified_grid(images.numpy(), columns=columns), expected.permute(1, 2, 0).numpy())


def test_a_grid_is_the_same_of_pixels_and_of_floats() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 1, 8, 8), np.uint8)
    floats = pixels.astype(np.float32) / 255
    assert np.array_equal(magnified_grid(pixels, columns=3), magnified_grid(floats, columns=3))


def test_pairs_are_rows_over_rows(tmp_path: Path) -> None:
    above, below = (np.full((16, 1, 64, 64), value, np.uint8) for value in (10, 200))
    draw_pairs(tmp_path / "pairs.png", above, below)
    picture = np.asarray(Image.open(tmp_path / "pairs.png"))
    assert [picture[66 * row + 32, 32, 0] for row in range(4)] == [10, 200, 10, 200]


def test_what_is_out_of_distribution_is_framed_red(tmp_path: Path) -> None:
    images = np.zeros((2, 1, 62, 62), np.uint8)
    draw_extremes(tmp_path / "extremes.png", (images, np.array([False, True])), (images, np.array([True, True])))
    picture = np.asarray(Image.open(tmp_path / "extremes.png"))
    left = [tuple(picture[60, 2]), tuple(picture[60, 68])]  # each frame begins after a gutter of two pixels
    assert left == [(0x2A, 0x6F, 0x97), (0xD1, 0x49, 0x5B)]


def test_plots_do_not_depend_on_the_user_s_settings(tmp_path: Path) -> None:
    scores, is_ood = np.arange(8, dtype=np.float32), np.arange(8) > 3
    draw_roc(tmp_path / "plain.png", scores, is_ood, "title")
    own: Any = {"text.usetex": True, "axes.facecolor": "red", "savefig.dpi": 30, "font.size": 30, "figure.dpi": 30}
    with matplotlib.rc_context(own):
        draw_roc(tmp_path / "set.png", scores, is_ood, "title")
        assert matplotlib.rcParams["axes.facecolor"] == "red", "the user's stay as they are"
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "set.png").read_bytes()


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nonsense", "svg"])
def test_matplotlib_s_backend_need_not_be_there(backend: str) -> None:
    program = "import oodbench.benchmark.reporting.pictures, os; print(os.environ['MPLBACKEND'])"
    variables = {**os.environ, "MPLBACKEND": backend}
    done = subprocess.run([sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{backend}\n", "")
