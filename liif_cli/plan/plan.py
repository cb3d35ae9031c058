"""The plan of one image: every decision of a render, before any work."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from liif_cli.geometry.axis import AxisMap
from liif_cli.geometry.cell import CellPolicy
from liif_cli.geometry.grid import TileGrid
from liif_cli.geometry.halo import read_window
from liif_cli.geometry.window import Window
from liif_cli.io.base import View
from liif_cli.plan.passes import Range, RenderPass, render_passes

RENDER_VERSION = 1
"""Raised when the same plan gives other pixels than before."""


@dataclass(frozen=True)
class RenderTask:
    """One read window and the output window rendered from it, a whole number of shards."""

    number: int
    output: Window
    read: Window


@dataclass(frozen=True)
class Cut:
    """How an output is cut, in output pixels; a render that resumes keeps the cut it began with.

    ``task`` is (height, width) of a task's output; see ``RenderPlan`` for the others.
    """

    task: tuple[int, int]
    shard: int
    chunk: int
    tile: int

    def to_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, found: Any) -> Cut | None:
        """The inverse of ``to_dict``; None for anything else."""
        try:
            height, width = found["task"]
            sides = [int(found[name]) for name in ("shard", "chunk", "tile")]
            cut = cls((int(height), int(width)), *sides)
        except (TypeError, KeyError, ValueError):
            return None
        return cut if min(*cut.task, *sides) > 0 else None


@dataclass(frozen=True)
class RenderPlan:
    """Frozen, and JSON both ways. Shapes are (height, width), sides in output pixels.

    Attributes:
        input, output: paths.
        input_format, output_format: names of the source and of the exporter.
        input_digest, model_digest: what identifies the content.
        in_shape, out_shape: (height, width).
        channels: of input and output, alpha included.
        dtype: sample type of input and output.
        model: name or path of the model.
        device, precision: where and how the network runs.
        cell: the pixel size told to the network; "scaled" where a clamp changes nothing.
        via: scale at which the network is asked, with Lanczos from there; None asks it directly.
        self_ensemble: average over 8 flips and turns.
        radius: (rows, cols) LR pixels read around a task's own.
        tile: side of a query.
        task: (height, width) of a task's output.
        chunk, shard: sides of the store's chunks and shards.
        via_store: rendered into a tile store on disk; in memory otherwise.
        workers: threads that render at once.
        projected_mem, allowed_mem: bytes of the whole process.
        projected_disk: bytes at most on the output's file system while it runs.
        alpha: whether the last channel is alpha; ``radius`` counts the bleeding of colour then.
        ranges: (black, white) of all colours together, or a pair a band; none where all span their
            sample type.
        page, select, level: of the input, see ``io.base.View``.
        strip_metadata: leave out EXIF, XMP and provenance.
        roi: the part that is rendered, in input pixels; None is the whole. ``out_shape`` and the
            cut are always those of the whole.
        unpack: the input is unpacked to the disk first, and read by window from there.
        compression, pyramid: choices that the output's format offers; empty where it offers none.
        quality: of a lossy output, where it is not its format's own; 0 where it is.
        nodata: the sample that means that nothing was measured; ``radius`` counts the bleeding of
            colour where there is one.
        cleanup: how lossy the network is told that the colours are, in [0, 100]; 0 is clean, and
            for models that cannot be told.
        gray: all of the input's three colours are equal everywhere: they go through the network
            once, as gray, and stay equal. False where there is no need to know: for other images
            than RGB.
        linear: colours are amounts of light, which the network sees as a display shows them;
            ``ranges`` are of what it sees.
        dpi: resolution that is written, in pixels per inch; 0 is the input's, scaled.
        mask: alpha is all or nothing: that of the nearest input pixel.
    """

    input: str
    output: str
    input_format: str
    output_format: str
    input_digest: str
    model_digest: str
    in_shape: tuple[int, int]
    out_shape: tuple[int, int]
    channels: int
    dtype: str
    model: str
    device: str
    precision: str
    cell: CellPolicy
    via: Fraction | None
    self_ensemble: bool
    radius: tuple[int, int]
    tile: int
    task: tuple[int, int]
    chunk: int
    shard: int
    via_store: bool
    workers: int
    projected_mem: int
    allowed_mem: int
    projected_disk: int
    alpha: bool = False
    ranges: tuple[Range, ...] = ()
    page: int = 1
    select: tuple[tuple[str, int], ...] = ()
    level: int = 0
    strip_metadata: bool = False
    roi: Window | None = None
    unpack: bool = False
    compression: str = ""
    quality: int = 0
    nodata: float | None = None
    pyramid: str = ""
    cleanup: float = 0.0
    gray: bool = False
    linear: bool = False
    mask: bool = False
    dpi: float = 0.0

    @property
    def view(self) -> View:
        """Which picture of the input is read."""
        return View(self.page, self.select, self.level)

    @property
    def rows(self) -> AxisMap:
        return AxisMap(self.in_shape[0], self.out_shape[0])

    @property
    def cols(self) -> AxisMap:
        return AxisMap(self.in_shape[1], self.out_shape[1])

    @property
    def region(self) -> Window:
        """What is rendered, in pixels of the whole output: those whose centres lie in ``roi``."""
        if self.roi is None:
            return Window.whole(*self.out_shape)
        return region_of(self.roi, self.rows, self.cols)

    @property
    def canvas(self) -> Window:
        """What the store covers: ``region``, grown up and left to the shards of the whole."""
        region = self.region
        if not self.via_store:
            return region
        top, left = (at // self.shard * self.shard for at in (region.row_off, region.col_off))
        return Window.between(top, region.row_stop, left, region.col_stop)

    @property
    def pixels(self) -> int:
        """Output pixels that are rendered."""
        return self.region.pixels

    @property
    def scale(self) -> tuple[float, float]:
        """(rows, cols) output pixels per input pixel."""
        return self.rows.scale, self.cols.scale

    @property
    def passes(self) -> list[RenderPass]:
        """Which channels go through the network together."""
        full = 1.0 if np.dtype(self.dtype).kind == "f" else float(np.iinfo(self.dtype).max)
        return render_passes(self.channels, self.alpha, self.ranges, full, self.gray)

    @property
    def cut(self) -> Cut:
        return Cut(self.task, self.shard, self.chunk, self.tile)

    @property
    def task_grid(self) -> TileGrid:
        return TileGrid(*self.out_shape, *self.task)

    def tasks(self) -> Iterator[RenderTask]:
        """Tasks of the whole that hold rendered pixels, row by row.

        A part is rendered from the windows and the tiles of the whole, so that its bytes are equal.
        """
        grid = self.task_grid
        for number, part in enumerate(grid.split(self.region)):
            window = grid.holder(part)
            yield RenderTask(number, window, read_window(window, self.rows, self.cols, self.radius))

    @property
    def task_count(self) -> int:
        """How many tasks there are."""
        return sum(1 for _ in self.task_grid.split(self.region))

    def identity(self) -> dict[str, Any]:
        """What decides the pixels and the file; two runs of equal identity give one result."""
        roi = {"roi": dataclasses.asdict(self.roi)} if self.roi is not None else {}
        # said where they are something only: outputs of before have neither
        choices = {
            "compression": self.compression,
            "quality": self.quality,
            "nodata": None if self.nodata is None else str(self.nodata),
            "pyramid": self.pyramid,
            "cleanup": self.cleanup,
            "gray": self.gray,
            "linear": self.linear,
            "mask": self.mask,
            "dpi": self.dpi,
            "select": [list(pair) for pair in self.select],
            "level": self.level,
        }
        return {
            **roi,
            "version": RENDER_VERSION,
            "input": self.input_digest,
            "model": self.model_digest,
            "out_shape": list(self.out_shape),
            "format": self.output_format,
            "precision": self.precision,
            "cell": str(self.cell),
            "via": str(self.via) if self.via else None,
            "self_ensemble": self.self_ensemble,
            "page": self.page,
            "strip_metadata": self.strip_metadata,
            **{key: value for key, value in choices.items() if value},
        }

    def store_identity(self) -> dict[str, Any]:
        """What decides whether a half-rendered store can be resumed: the grid as well."""
        pixels = {
            key: value
            for key, value in self.identity().items()
            if key not in ("compression", "pyramid")
        }
        return {**pixels, "chunk": self.chunk, "shard": self.shard}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of ``identity``, hexadecimal."""
        return fingerprint_of(self.identity())

    @property
    def store_fingerprint(self) -> str:
        """SHA-256 of ``store_identity``, hexadecimal."""
        return fingerprint_of(self.store_identity())

    def to_json(self) -> str:
        """The plan as a JSON object."""
        values = dataclasses.asdict(self)
        values |= {"cell": str(self.cell), "via": str(self.via) if self.via else None}
        return json.dumps(values, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> RenderPlan:
        """The inverse of ``to_json``."""
        values = json.loads(text)
        values["roi"] = Window(**values["roi"]) if values.get("roi") else None
        via = Fraction(values["via"]) if values["via"] else None
        values |= {"cell": CellPolicy.parse(values["cell"]), "via": via}
        return cls(**{key: _tuples(value) for key, value in values.items()})


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def region_of(roi: Window, rows: AxisMap, cols: AxisMap) -> Window:
    """Output pixels whose centres lie in ``roi``, a window of the input."""
    top, bottom = rows.outputs(roi.row_off, roi.row_stop)
    left, right = cols.outputs(roi.col_off, roi.col_stop)
    return Window.between(top, bottom, left, right)


def fingerprint_of(identity: dict[str, Any]) -> str:
    """SHA-256 of a JSON object, hexadecimal, independent of the order of its keys."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
