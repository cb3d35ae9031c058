"""Deep Zoom: tiles that a web page shows, ours beside them or OpenSeadragon, in bounded memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from liif_cli.errors import OutputError
from liif_cli.io.abilities import abilities
from liif_cli.io.atomic import atomic_path, final_name, output_errors, remove_stale
from liif_cli.io.base import Exporter, OutputInfo, PixelReader, Pixels
from liif_cli.io.deepzoom import DeepZoom, Tile, tiles_folder
from liif_cli.io.exporters.bands import codec_workers
from liif_cli.io.limits import check_compression, check_limit
from liif_cli.io.scratch import is_scratch
from liif_cli.io.viewerpage import add_to_index

_QUALITY = 90
# tiles per side that are read at once: a tile alone would decode each chunk of a store nine times
_BLOCK = 8


class DeepZoomExporter(Exporter):
    """8 bits, gray and RGB; JPEG tiles, or PNG where there is alpha.

    The tiles are put together in a hidden folder. It gets its name when all of them are there, and
    the descriptor, without which no viewer opens them, is the caller's to rename last.
    """

    name = "dzi"
    suffixes = (".dzi",)
    dtypes = ("uint8",)
    max_side = None
    streams = True
    channels = (1, 2, 3, 4)
    compressions = ("auto", "jpeg", "png")
    levels = True
    quality = _QUALITY
    carries = abilities("ICC")
    disk = 5 / 3  # the levels twice

    def export(self, pixels: PixelReader, path: Path, info: OutputInfo) -> None:
        """Write the descriptor ``path``, and the folder of tiles beside its final name.

        Raises:
            OutputError: permission, a full disk, a limit of the format, or a folder of that name
                that holds something else.
        """
        from liif_cli.io.pyramid import Weighing, reduced_levels

        check_limit(self, pixels, path, info.alpha)
        kind = info.compression
        if kind in ("", "auto"):
            kind = "png" if pixels.channels in (2, 4) else "jpeg"
        check_compression(kind, pixels, path, info.alpha)
        final = final_name(path)
        image = DeepZoom(final, pixels.height, pixels.width, kind)
        folder = tiles_folder(final)
        _refuse_other(folder)
        remove_stale(folder)
        with output_errors(path):
            path.touch()  # whether it may be written turns out before the work
            with (
                atomic_path(folder) as partial,
                reduced_levels(
                    pixels, path, codec_workers(), below=2, weighing=Weighing.of(info)
                ) as levels,
            ):
                for number, level in enumerate(reversed(levels)):
                    _write_level(image, number, level, partial, info)
                if path != final:
                    # no descriptor of earlier tiles stays beside these
                    final.unlink(missing_ok=True)
            path.write_text(image.descriptor(), encoding="utf-8")
            if not is_scratch(final):
                # one in a bucket would have to show what others put there
                add_to_index(image)


def _refuse_other(folder: Path) -> None:
    if folder.exists() and not all(entry.name.isdigit() for entry in folder.iterdir()):
        raise OutputError(
            f"cannot write {folder}",
            got="a folder of that name that holds no tiles",
            expected="none, or one of an earlier image",
            cure="remove it or choose another name",
        )


def _write_level(
    image: DeepZoom,
    number: int,
    level: PixelReader,
    folder: Path,
    info: OutputInfo,
) -> None:
    """Write the tiles of a level, several at once, in threads."""
    (folder / str(number)).mkdir(parents=True)

    def write(places: list[Tile]) -> None:
        around = image.around(places)
        block = level.read(around)
        for place in places:
            piece = block[image.window(place).relative_to(around).to_slices()]
            image.tile_path(place, folder).write_bytes(_encode(piece, image.suffix, info))

    with ThreadPoolExecutor(codec_workers()) as pool:
        jobs = [pool.submit(write, places) for places in image.blocks(number, _BLOCK)]
        try:
            for job in as_completed(jobs):
                job.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _encode(pixels: Pixels, kind: str, info: OutputInfo) -> bytes:
    """A tile as a file; browsers heed the colour profile of each."""
    import imagecodecs

    from liif_cli.io.exporters import jpeg, png

    pixels = np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    if kind == "png":
        return png.with_profile(bytes(imagecodecs.png_encode(pixels, level=6)), info.icc)
    data = imagecodecs.jpeg8_encode(pixels, level=info.quality or _QUALITY, subsampling="444")
    return jpeg.with_profile(bytes(data), info.icc)
