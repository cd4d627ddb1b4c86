"""Plots of one trial, and grids of images, from NumPy arrays.

Images are arrays (N, C, H, W), C 1 or 3: uint8, or floats in [0, 1].
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont
from sklearn.metrics import roc_auc_score, roc_curve

from oodbench.benchmark.reporting.backend import any_backend
from oodbench.benchmark.reporting.format import figure_text

with any_backend():
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure


Images = NDArray[Any]
"""(N, C, H, W), uint8 or floats in [0, 1]."""
NORMAL_COLOUR, OOD_COLOUR = "#2a6f97", "#d1495b"
COLUMNS = 8
TITLE_LETTERS = 36
"""That fit in 12 points."""
GUTTER, GAP, TITLE = 2, 24, 28
"""Pixels between two images, between two grids, and over these."""
FAST = 1
"""Compression of a trial's pictures: a fifth of the time for a tenth more bytes than by default."""


@contextmanager
def figure(path: Path, *, size: tuple[float, float], fitted: bool = True, **subplots: Any) -> Iterator[Any]:
    """Provide axes to draw on, and save them as a PNG.

    Matplotlib's state machine is left out of it: nothing to close, no display needed, safe in any process; and so are
    the user's settings (a ``matplotlibrc``, a notebook's), with which a picture would not be the same. To fit the
    margins to what stands in them doubles the time, and many ticks add a fifth; a trial's pictures do with little
    of both.
    """
    with matplotlib.rc_context(_settings()):
        drawing = Figure(figsize=size, layout="constrained" if fitted else None)
        FigureCanvasAgg(drawing)
        if not fitted:
            width, height = size
            margins = {"left": 0.8 / width, "right": 1 - 0.15 / width, "bottom": 0.5 / height, "top": 1 - 0.35 / height}
            drawing.subplots_adjust(**margins, wspace=0.3)
        axes = drawing.subplots(**subplots)
        for one in np.ravel(axes):
            one.spines[["top", "right"]].set_visible(False)
            if not fitted:
                one.locator_params(nbins=4)
        yield axes
        style: dict[str, Any] = {"bbox_inches": "tight"} if fitted else {"pil_kwargs": {"compress_level": FAST}}
        drawing.savefig(path, dpi=110, pad_inches=0.08, **style)


@functools.cache
def _settings() -> Any:
    """Return matplotlib's own settings, which are those of its style "default"."""
    return {name: value for name, value in matplotlib.rcParamsDefault.items() if not name.startswith("backend")}


def save_grid(path: Path, images: Images, *, columns: int = COLUMNS) -> None:
    """Save images (N, C, H, W) as one picture, small ones magnified to about 64 pixels."""
    _save(path, Image.fromarray(magnified_grid(images, columns=columns)))


def draw_pairs(path: Path, above: Images, below: Images) -> None:
    """Save two sets of images (N, C, H, W), N a multiple of 8, as rows over rows."""
    save_grid(path, _rows_over_rows(above, below, COLUMNS))


def magnified_grid(images: Images, *, columns: int) -> NDArray[np.uint8]:
    """Lay images out in rows.

    Parameters
    ----------
    images : array
        (N, C, H, W), uint8 or floats in [0, 1].
    columns : int
        Images a row.

    Returns
    -------
    array
        uint8 (height, width, 3).
    """
    pixels = _coloured(images)
    factor, columns = max(1, round(64 / pixels.shape[-1])), min(columns, len(pixels))
    large = pixels.repeat(factor, -1).repeat(factor, -2)
    tiles = np.pad(large, ((0, -len(large) % columns), (0, 0), (GUTTER, 0), (GUTTER, 0)), constant_values=255)
    tiles[len(large) :] = 255
    _, channels, height, width = tiles.shape
    rows = tiles.reshape(-1, columns, channels, height, width).transpose(0, 3, 1, 4, 2)
    grid = rows.reshape(-1, columns * width, channels)
    return np.pad(grid, ((0, GUTTER), (0, GUTTER), (0, 0)), constant_values=255)


def _coloured(images: Images) -> NDArray[np.uint8]:
    """Return images as uint8 (N, 3, H, W)."""
    array = np.asarray(images)
    pixels = array if array.dtype == np.uint8 else (array * 255).round().astype(np.uint8)
    return np.broadcast_to(pixels, (len(pixels), 3, *pixels.shape[2:]))


def _rows_over_rows(above: Images, below: Images, columns: int) -> Images:
    """Interleave rows of so many images; the images are a whole number of rows."""
    shape = above.shape[1:]
    rows = [images.reshape(-1, columns, *shape) for images in (above, below)]
    return np.stack(rows, 1).reshape(-1, *shape)


def draw_curve(axes: Axes, scores: NDArray[np.float32], is_ood: NDArray[np.bool_], **style: Any) -> None:
    """Draw one ROC curve."""
    false_positive_rate, true_positive_rate, _ = roc_curve(is_ood, scores)
    axes.plot(false_positive_rate, true_positive_rate, **style)


def draw_roc(path: Path, scores: NDArray[np.float32], is_ood: NDArray[np.bool_], title: str) -> None:
    """Draw the ROC curve of a trial."""
    with figure(path, size=(4.4, 4.2), fitted=False) as axes:
        axes.plot([0, 1], [0, 1], color="0.8", linewidth=1)
        area = f"AUROC {roc_auc_score(is_ood, scores):.3f}"
        draw_curve(axes, scores, is_ood, label=area, color=OOD_COLOUR)
        _set_title(axes, title)
        axes.set(xlabel="normal images flagged", ylabel="OOD images flagged", aspect="equal")
        axes.legend(loc="lower right", frameon=False)


def draw_histogram(path: Path, scores: NDArray[np.float32], is_ood: NDArray[np.bool_], title: str) -> None:
    """Draw how the scores of normal and OOD test images are distributed; the farthest 0.5 % share the last bin."""
    low, high = np.quantile(scores, [0.0, 0.995])
    bins = np.linspace(low, high if high > low else low + 1, 60)
    with figure(path, size=(5.2, 4.0), fitted=False) as axes:
        for name, chosen, colour in (("normal", ~is_ood, NORMAL_COLOUR), ("OOD", is_ood, OOD_COLOUR)):
            values = np.clip(scores[chosen], bins[0], bins[-1])
            style = {"histtype": "stepfilled", "alpha": 0.6, "color": colour}
            axes.hist(values, bins, density=True, label=f"{name} ({chosen.sum():,})", **style)
        _set_title(axes, title)
        axes.set(xlabel="score (higher is more out-of-distribution)", yticks=[], ylabel="density")
        axes.spines["left"].set_visible(False)
        axes.legend(loc="upper right", frameon=False)


def draw_history(path: Path, history: Sequence[dict[str, float]], title: str) -> None:
    """Draw each measure of training and held-out images over epochs, in a panel of its own."""
    reported = dict.fromkeys(key for row in history for key in row if key != "step")
    measures = [key for key in reported if not key.startswith("validation_")]
    columns = max(len(measures), 1)
    with figure(path, size=(4 * columns, 3.4), fitted=False, ncols=columns, squeeze=False) as axes:
        for one, measure in zip(axes.flat, measures, strict=False):
            _lines(one, history, {measure: "training", f"validation_{measure}": "held out"})
            one.set(xlabel="epoch", ylabel=figure_text(measure.replace("_", " ")))
        _set_title(axes[0, 0], title)


def _set_title(axes: Axes, title: str) -> None:
    """Write a title so large that it fits over a narrow plot."""
    shown = figure_text(title)
    axes.set_title(shown, fontsize=min(12, 12 * TITLE_LETTERS / max(len(shown), 1)))


def draw_trace(path: Path, rows: Sequence[dict[str, float]], title: str) -> None:
    """Draw test AUROC and reconstruction errors over epochs."""
    kinds = {"train": "training", "test_normal": "normal test", "test_ood": "OOD test"}
    with figure(path, size=(8, 3.4), ncols=2) as (left, right):
        _lines(left, rows, {"auroc": "test AUROC"})
        _lines(right, rows, {f"error_{kind}": name for kind, name in kinds.items()})
        left.set(title=figure_text(title), xlabel="epoch", ylabel="AUROC")
        right.set(xlabel="epoch", ylabel="squared error a pixel")


def _lines(axes: Axes, rows: Sequence[dict[str, float]], names: dict[str, str]) -> None:
    for (key, name), colour in zip(names.items(), (NORMAL_COLOUR, "0.5", OOD_COLOUR), strict=False):
        known = [row for row in rows if key in row]
        if known:
            axes.plot([row["step"] for row in known], [row[key] for row in known], label=name, color=colour)
    if axes.lines:
        axes.legend(loc="upper right", frameon=False)


def draw_reconstructions(path: Path, normal: tuple[Images, Images], ood: tuple[Images, Images]) -> None:
    """Save normal (left) and OOD (right) test images over their reconstructions, in whole rows of at most 8."""
    halves = []
    for images, reconstructions in (normal, ood):
        columns = min(COLUMNS, len(images))
        shown = len(images) // columns * columns
        halves.append(
            magnified_grid(_rows_over_rows(images[:shown], reconstructions[:shown], columns), columns=columns)
        )
    _side_by_side(path, halves, ("normal: input over reconstruction", "OOD: input over reconstruction"))


def draw_extremes(
    path: Path, most_normal: tuple[Images, NDArray[np.bool_]], most_ood: tuple[Images, NDArray[np.bool_]]
) -> None:
    """Save the test images with the lowest scores and those with the highest; the framed red ones are OOD.

    Parameters
    ----------
    path : Path
        A PNG.
    most_normal, most_ood : tuple of array
        Images (N, C, H, W) in the order of their scores, and which of them are OOD, bool (N,).
    """
    halves = [magnified_grid(_framed(images, is_ood), columns=COLUMNS) for images, is_ood in (most_normal, most_ood)]
    _side_by_side(
        path, halves, ("most normal first (blue: normal, red: OOD)", "most OOD first (blue: normal, red: OOD)")
    )


def _framed(images: Images, is_ood: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Put a frame of one pixel around each image: red for OOD ones, blue for others."""
    colours = np.array([ImageColor.getrgb(NORMAL_COLOUR), ImageColor.getrgb(OOD_COLOUR)], np.uint8)
    framed = np.pad(_coloured(images), ((0, 0), (0, 0), (1, 1), (1, 1)))
    border = np.ones(framed.shape[-2:], bool)
    border[1:-1, 1:-1] = False
    return np.where(border, colours[is_ood.astype(int)][:, :, None, None], framed)


def _save(path: Path, picture: Image.Image) -> None:
    picture.save(path, compress_level=FAST)


def _side_by_side(path: Path, grids: Sequence[NDArray[np.uint8]], titles: Sequence[str]) -> None:
    """Save two pictures of one width beside each other, each under its title."""
    height, width = max(len(grid) for grid in grids), grids[0].shape[1]
    canvas = Image.new("RGB", (2 * width + GAP, height + TITLE), "white")
    draw = ImageDraw.Draw(canvas)
    for left, grid, title in zip((0, width + GAP), grids, titles, strict=True):
        canvas.paste(Image.fromarray(grid), (left, TITLE))
        draw.text((left + width / 2, TITLE / 2), title, "black", ImageFont.load_default(15), anchor="mm")
    _save(path, canvas)


def draw_ranking(path: Path, images: Images, scores: Sequence[float], out: Sequence[bool], title: str) -> None:
    """Draw images (N, C, H, W) in rows, with their scores, framed blue (in distribution) or red (out)."""
    columns = min(len(images), 12)
    rows = -(-len(images) // columns)
    size = (1.1 * columns, 1.35 * rows + 0.4)
    with figure(path, size=size, nrows=rows, ncols=columns, squeeze=False) as axes:
        axes[0, 0].figure.suptitle(title, x=0, ha="left", fontsize=10)
        for one in axes.flat:
            one.set(xticks=[], yticks=[])
            one.spines[:].set_visible(False)
        for one, image, score, is_out in zip(axes.flat, _coloured(images), scores, out, strict=False):
            one.imshow(image.transpose(1, 2, 0), interpolation="nearest")
            one.spines[:].set(visible=True, color=OOD_COLOUR if is_out else NORMAL_COLOUR, linewidth=3)
            one.set_title(f"{score:.4g}", fontsize=8, color=OOD_COLOUR if is_out else NORMAL_COLOUR)
