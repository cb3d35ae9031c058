"""What the user asked for, the same for every image of a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from liif_cli.geometry.cell import CellPolicy
from liif_cli.geometry.size import SizeRequest
from liif_cli.geometry.window import Window
from liif_cli.registries import EXPORTERS

FORMATS = ("auto", *EXPORTERS.own)
"""Names of output formats; packages may add to ``EXPORTERS``."""
FORMAT_ALIASES = {
    "jpeg": "jpg",
    "tif": "tiff",
    "ome.tif": "ome-tiff",
    "ometiff": "ome-tiff",
    "j2k": "jp2",
    "openexr": "exr",
    "geotiff": "tiff",
    "deepzoom": "dzi",
}
"""Other words for the same."""
COMPRESSIONS = ("auto", "deflate", "zstd", "lzw", "jpeg", "png", "lossy", "lossless", "none")
PYRAMIDS = ("auto", "subifd", "pages", "none")
PRECISIONS = ("auto", "fp32", "bf16x3", "bf16", "fp16")
TILE_RANGE = (64, 8192)
WHOLE_INPUT_PIXELS = 1 << 30
"""Inputs above are taken for decompression bombs where the whole file must be decoded."""


@dataclass(frozen=True)
class RenderSpec:
    """Options of an upscaling.

    Attributes:
        size: wanted size or scale, and how it fits.
        model: name of a shipped model or of an interpolation kernel, or a weights file's path.
        format: one of ``FORMATS``.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        precision: one of ``PRECISIONS``; auto is fp32 on the CPU, bf16x3 for 8 bits on one
            with AMX, fp16 on CUDA.
        cell: the pixel size told to the network; None is the default policy.
        via: scale at which the network is asked, with Lanczos from there; None asks it directly.
        tile: side of a rendered tile in output pixels; None chooses.
        max_memory: bytes of the whole process; None is half of the free memory, 4 GiB at most.
        self_ensemble: average the results of the 8 flips and turns of the input.
        overwrite: replace outputs that were made by something else.
        skip_existing: keep those that can be read whole instead.
        quality: of lossy outputs, 1 to 100; None is the format's own, or the input's where that is
            higher.
        name: of an output in a folder without its ending; "{stem}" is the input's.
        keep_extension: a suffix that changes stays in the output's name: "a.bmp.png".
        strict: files that look like images and are not read are failures, and so are those whose
            decoder passes over damage.
        include, exclude: patterns of a shell for names, or for paths below the folder.
        jobs: threads that render; None is one per core.
        dpi: resolution that is written, in pixels per inch; None is the input's, scaled.
        page: of inputs of several pages, counted from 1; None is the first.
        select: axes of inputs that have some, and the index of each that is read.
        level: of inputs with reduced levels; 0 is full resolution.
        strip_metadata: leave EXIF, XMP and provenance out of the outputs.
        max_input_pixels: inputs above are refused; None is ``WHOLE_INPUT_PIXELS`` for formats that
            are decoded as a whole, and no limit for those that are read by window.
        roi: the part to render, in input pixels; None is the whole. ``size`` is of the whole.
        verify: re-read finished stores, and render their damaged shards again.
        compression: one of ``COMPRESSIONS``; auto is the format's own default.
        pyramid: one of ``PYRAMIDS``: where reduced levels go; auto is the format's own default.
        cleanup: how lossy the inputs are, in [0, 100], for models that can be told; None is what
            each file says.
    """

    size: SizeRequest
    model: str
    format: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    cell: CellPolicy | None = None
    via: Fraction | None = None
    tile: int | None = None
    max_memory: int | None = None
    self_ensemble: bool = False
    overwrite: bool = False
    skip_existing: bool = False
    name: str = "{stem}"
    keep_extension: bool = False
    strict: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    jobs: int | None = None
    dpi: float | None = None
    page: int | None = None
    select: tuple[tuple[str, int], ...] = ()
    level: int = 0
    strip_metadata: bool = False
    max_input_pixels: int | None = None
    verify: bool = False
    roi: Window | None = None
    compression: str = "auto"
    pyramid: str = "auto"
    cleanup: float | None = None
    quality: int | None = None


@dataclass(frozen=True)
class ModelCost:
    """What a model takes at the scale of one image. Bytes are those of the run's precision.

    Attributes:
        radius: (rows, cols) LR pixels that an output pixel depends on, either side.
        encode_bytes: peak bytes of encoding, per LR pixel.
        latent_bytes: bytes of the latent and of making it, per LR pixel.
        encode_macs: multiply-adds of encoding, per LR pixel.
        query_macs: multiply-adds per output pixel.
        query_bytes: peak bytes of one tile's query, its result included.
        exact_tiling: False when a pixel depends on the tile it is rendered in.
        takes_cleanup: whether it can be told how lossy an image is.
        feat_bytes: what stays of ``encode_bytes``; 0 is a quarter of it.
        column_bytes: of an encoder that takes large windows in bands of rows, the rows that it
            keeps, per column of the window; 0 for one that goes layer by layer.
        band_bytes: of such an encoder, the bands in work.
        bands_only: whether small windows go in bands as well; otherwise they go layer by layer.
    """

    radius: tuple[int, int]
    encode_bytes: int
    latent_bytes: int
    encode_macs: int
    query_macs: int
    query_bytes: int
    exact_tiling: bool = True
    takes_cleanup: bool = False
    feat_bytes: int = 0
    column_bytes: int = 0
    band_bytes: int = 0
    bands_only: bool = False

    def network_bytes(self, height: int, width: int) -> int:
        """Peak bytes of the network on a window, its input and its tiles left out."""
        pixels = height * width
        feat = pixels * (self.feat_bytes or self.encode_bytes // 4)
        encoding = pixels * self.encode_bytes
        if self.column_bytes:
            in_bands = feat + width * self.column_bytes + self.band_bytes
            # going layer by layer takes less where windows are small
            encoding = in_bands if self.bands_only else min(encoding, in_bands)
        # the encoder's scratch is gone when the latent is made
        return max(encoding, feat + pixels * self.latent_bytes)


@dataclass(frozen=True)
class Machine:
    """What there is to work with.

    Attributes:
        workers: threads that render at once.
        base_bytes: memory of the process with the model loaded, before any image.
        allowed_bytes: memory that the process may take.
        device: where the network runs, "cpu", "cuda:N" or "mps".
        alone: the images of the run are fewer than its workers, so that one is best cut for all.
    """

    workers: int
    base_bytes: int
    allowed_bytes: int
    device: str = "cpu"
    alone: bool = False


@dataclass(frozen=True)
class InputFacts:
    """What a plan needs to know of an input image.

    ``shape`` is (height, width, channels); ``decoded_bytes`` stay in memory while it is read, and
    ``unpack_bytes`` while it is unpacked instead, None where it cannot be.
    ``digest`` identifies the content. ``alpha``: the last channel is alpha. ``ranges``: (black,
    white) of all colours together, or a pair a band; none where all span their sample type.
    ``cleanup`` is how lossy the file is, ``nodata`` the sample that means that nothing was
    measured, ``linear`` whether colours are amounts of light, and ``mask`` whether
    alpha is all or nothing (``io.base.ImageInfo``).
    """

    path: str
    format: str
    shape: tuple[int, int, int]
    dtype: str
    digest: str
    decoded_bytes: int = 0
    alpha: bool = False
    ranges: tuple[tuple[float, float], ...] = ()
    page: int = 1
    select: tuple[tuple[str, int], ...] = ()
    level: int = 0
    unpack_bytes: int | None = None
    cleanup: float = 0.0
    nodata: float | None = None
    linear: bool = False
    mask: bool = False


@dataclass(frozen=True)
class OutputFacts:
    """Where the output goes, and what its format holds and takes (see ``io.base.Exporter``).

    ``disk_free`` is the free bytes of its file system, ``disk_held`` those that a half-rendered
    store of it takes already; both of this machine, where the output is put into a bucket
    (``remote``).
    """

    path: str
    format: str
    disk_free: int
    disk_held: int = field(default=0, kw_only=True)
    max_side: int | None = None
    dtypes: tuple[str, ...] = field(default=("uint8", "uint16", "float32"))
    streams: bool = True
    channels: tuple[int, ...] | None = None
    compressions: tuple[str, ...] = ()
    pyramids: tuple[str, ...] = ()
    levels: bool = False
    quality: int = 0
    nodata: bool = True
    memory: float = 2.0
    disk: float = 1.0
    remote: bool = False
