"""A sheet of small parts of every image, as a run would render them: seconds instead of hours."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from contextlib import closing

import cv2
import numpy as np
import numpy.typing as npt

from liif_cli.engine.arrays import upscale_source
from liif_cli.engine.machine import resolve_device
from liif_cli.engine.results import one_line
from liif_cli.geometry.window import Window
from liif_cli.io import open_source
from liif_cli.io.base import ImageInfo, Pixels, View
from liif_cli.io.discover import Pair
from liif_cli.models.loader import load_model
from liif_cli.plan.spec import RenderSpec

TILE = (240, 320)
"""(height, width) in output pixels of what is shown of an image."""
_LABEL, _GAP, _MOST_COLUMNS = 18, 8, 3
_PAPER, _INK, _WARN = 250, (40, 40, 40), (200, 30, 30)

Canvas = npt.NDArray[np.uint8]


def preview_sheet(
    pairs: Sequence[Pair],
    spec: RenderSpec,
    *,
    at: tuple[int, int] | None = None,
    told: Callable[[int], None] = lambda done: None,
) -> tuple[Canvas, dict[str, str]]:
    """Parts of images by bicubic interpolation and by the network, side by side.

    Args:
        pairs: the images.
        spec: what is asked for; ``roi`` is not heeded.
        at: (x, y) in input pixels of the parts' centres; None is the centre of each image.
        told: of how many images are done.

    Returns:
        The sheet (h, w, 3), uint8, and why images could not be shown, by their names.

    Raises:
        UsageError, CheckpointError: the model cannot be loaded.
    """
    device = resolve_device(spec.device)
    loaded, plain = load_model(spec.model, device, via=spec.via), load_model("bicubic", device)
    kernel = dataclasses.replace(spec, model="bicubic", cell=None, cleanup=None, via=None)
    cells, errors = [], {}
    for number, pair in enumerate(pairs, 1):
        name = pair.relative.as_posix()
        try:
            if pair.error is not None:
                raise pair.error
            view = View(spec.page or 1, spec.select, spec.level)
            with closing(open_source(pair.input, view)) as source:
                info = source.info
                roi = part_of(info, spec.size.output_shape(info.height, info.width), at)
                tiles = [
                    shown(upscale_source(model, source, dataclasses.replace(one, roi=roi)), info)
                    for model, one in ((plain, kernel), (loaded, spec))
                ]
            cells.append(_framed(name, tiles))
        except Exception as error:
            errors[name] = one_line(error)
            cells.append(_framed(name, [], errors[name]))
        told(number)
    return _sheet(cells), errors


def part_of(info: ImageInfo, out_shape: tuple[int, int], at: tuple[int, int] | None) -> Window:
    """The input window whose output fills a tile, as far as there are pixels."""
    sides, starts = [], []
    for length, out, tile, centre in zip(
        (info.height, info.width), out_shape, TILE, at[::-1] if at else (None, None), strict=True
    ):
        side = min(length, max(1, math.ceil(tile * length / out)))
        middle = length // 2 if centre is None else centre
        sides.append(side)
        starts.append(min(max(0, middle - side // 2), length - side))
    return Window(starts[0], starts[1], sides[0], sides[1])


def shown(pixels: Pixels, info: ImageInfo) -> Canvas:
    """Pixels as a display shows them: RGB of 8 bits, transparent parts over the paper."""
    alpha = pixels[..., -1:] if info.alpha else None
    colours = pixels[..., :-1] if info.alpha else pixels
    colours = colours[..., :3] if colours.shape[2] >= 3 else colours[..., :1]
    values = _unit(colours, info.dtype)
    if alpha is not None:
        share = _unit(alpha, info.dtype)
        values = values * share + _PAPER / 255 * (1 - share)
    levels = np.rint(255 * values).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(levels, (*levels.shape[:2], 3)))


def _unit(values: Pixels, dtype: np.dtype[np.generic]) -> npt.NDArray[np.float64]:
    """Samples in [0, 1]: of uint8 and uint16 by their type, of others by what there is."""
    exact = np.nan_to_num(values.astype(np.float64))
    if dtype in (np.uint8, np.uint16):
        return exact / float(np.iinfo(values.dtype).max)
    low, high = min(0.0, float(exact.min())), max(1.0, float(exact.max()))
    return np.clip((exact - low) / (high - low), 0, 1)


def _framed(name: str, tiles: Sequence[Canvas], error: str = "") -> Canvas:
    """Two tiles side by side above a line of text."""
    height, width = TILE
    canvas = np.full((height + _LABEL + 4, 2 * width + 4, 3), _PAPER, np.uint8)
    for column, tile in enumerate(tiles):
        part = tile[:height, :width]
        left = column * (width + 4)
        canvas[: part.shape[0], left : left + part.shape[1]] = part
    text = name if tiles else f"{name}: {error}"
    plain = text.encode("ascii", "replace").decode()
    most = 2 * width // 7
    plain = plain if len(plain) <= most else plain[: most - 3] + "..."
    ink = _INK if tiles else _WARN
    place = (0, height + _LABEL - 2)
    cv2.putText(canvas, plain, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, ink, 1, cv2.LINE_AA)
    return canvas


def _sheet(cells: Sequence[Canvas]) -> Canvas:
    columns = min(_MOST_COLUMNS, max(1, math.isqrt(len(cells))))
    rows = -(-len(cells) // columns)
    height, width = cells[0].shape[:2]
    sheet = np.full(
        (rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3), _PAPER, np.uint8
    )
    for number, cell in enumerate(cells):
        row, column = divmod(number, columns)
        top, left = _GAP + row * (height + _GAP), _GAP + column * (width + _GAP)
        sheet[top : top + height, left : left + width] = cell
    return sheet
