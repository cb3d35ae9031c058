"""What do the tile store, the exporters and the sources cost beside the plainest library call?

One image of 8-bit RGB, its bytes the same for both: TileStore against assigning and slicing a zarr
array of the same shards and codecs; each exporter against ``cv2.imwrite``, ``tifffile.imwrite`` or
the codec's own call, with the same quality or compression where the library has it; each source,
read whole, against the library's reader. Wall time, in turns, medians; MB are uncompressed. OpenCV
is spared the order of its channels, and zarr that of its axes. Ours flushes shards to the disk.
Where ours writes reduced levels as well, a third more pixels, the second column says that the
baseline has one level. ``bytes`` is what ours takes on the disk over what the baseline does.

    python -m benchmarks.io [--side N] [--repeats N] [--only PART ...]
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import tifffile
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.batch import Result
from liif_cli.engine.machine import cores
from liif_cli.geometry.window import Window
from liif_cli.io import EXPORTERS, SOURCES, exporter_for, open_source
from liif_cli.io.base import OutputInfo
from liif_cli.io.tilestore import TileStore

CHUNK, SHARD, LEVEL, QUALITY, TILE_QUALITY = 512, 2048, 3, 95, 90
LOSSLESS = ("png", "tiff", "zarr", "bmp")
JPEG = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
JPEG += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]


@dataclass(frozen=True)
class Case:
    """Two ways to do the same; each is called with nothing."""

    name: str
    baseline: str
    ours: Callable[[], Any]
    plain: Callable[[], Any]
    files: tuple[Path, Path] | None = None


def photo(side: int) -> np.ndarray:
    """Pixels (side, side, 3) uint8: smooth noise of several sizes and a little grain."""
    rng = np.random.default_rng(0)
    total = np.zeros((side, side, 3), np.float32)
    for grain, share in ((256, 90), (32, 50), (4, 20)):
        noise = rng.random((side // grain + 1, side // grain + 1, 3), np.float32)
        total += share * cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)
    total += 4 * rng.random((side, side, 3), np.float32)
    return np.clip(total + 40, 0, 255).astype(np.uint8)


def store_cases(pixels: np.ndarray, folder: Path) -> list[Case]:
    """The tile store, shard by shard, against one assignment and one slice."""
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    height, width, channels = pixels.shape
    ours, plain = folder / "store", folder / "array"

    def write() -> TileStore:
        shutil.rmtree(ours, ignore_errors=True)
        store = TileStore.create(
            ours,
            height=height,
            width=width,
            channels=channels,
            dtype=pixels.dtype,
            chunk=CHUNK,
            shard=SHARD,
            fingerprint="",
            level=LEVEL,
        )
        for window in store.grid:
            store.base.write_shard(window, pixels[window.to_slices()])
        return store

    def assign() -> None:
        shutil.rmtree(plain, ignore_errors=True)
        array = zarr.create_array(
            str(plain),
            shape=planes.shape,
            chunks=(channels, CHUNK, CHUNK),
            shards=(channels, SHARD, SHARD),
            dtype=planes.dtype,
            compressors=[ZstdCodec(level=LEVEL), Crc32cCodec()],
        )
        array[:] = planes

    def read() -> np.ndarray:
        store = TileStore.open(ours)
        return assembled(store.read, list(store.grid), pixels)

    return [
        Case("tile store, write", "zarr: array[:] = planes", write, assign, (ours, plain)),
        Case("tile store, read", "zarr: array[:]", read, lambda: zarr.open_array(str(plain))[:]),
    ]


def assembled(
    read: Callable[[Window], np.ndarray], windows: list[Window], like: np.ndarray
) -> np.ndarray:
    """The whole image from reads of windows."""
    found = np.empty_like(like)
    for window in windows:
        found[window.to_slices()] = read(window)
    return found


def exporter_cases(pixels: np.ndarray, folder: Path) -> list[Case]:
    """Each exporter of the registry."""
    bgr = np.ascontiguousarray(pixels[..., ::-1])

    def tiff(path: Path) -> None:
        # as deflated as the exporter's default
        tifffile.imwrite(
            path,
            pixels,
            photometric="rgb",
            tile=(CHUNK, CHUNK),
            compression="zlib",
            compressionargs={"level": 1},
            predictor=True,
        )

    def webp(path: Path) -> None:
        cv2.imwrite(str(path), bgr, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])

    writers: dict[str, tuple[str, Callable[[Path], Any]]] = {
        "png": ("cv2.imwrite", lambda path: cv2.imwrite(str(path), bgr)),
        "jpg": ("cv2.imwrite, 4:4:4", lambda path: cv2.imwrite(str(path), bgr, JPEG)),
        "webp": ("cv2.imwrite", webp),
        "tiff": ("tifffile.imwrite, one level", tiff),
        "cog": ("tifffile.imwrite, one level", tiff),
        "dzi": (
            "cv2.imwrite, one JPEG",
            lambda path: cv2.imwrite(f"{path}.jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, TILE_QUALITY]),
        ),
        "zarr": ("zarr.save_array, one level", lambda path: zarr.save_array(str(path), pixels)),
    }
    kinds = [(name, "") for name in EXPORTERS] + [("tiff", "none")]
    cases = []
    for name, pyramid in kinds:
        exporter = exporter_for(name)
        needs = getattr(exporter, "needs", None)
        if name not in writers or (needs and importlib.util.find_spec(needs) is None):
            print(f"export {name}: left out" + f", needs {needs}" * bool(needs))
            continue
        stem = name + pyramid
        ours, plain = (folder / f"{who}{stem}{exporter.suffixes[0]}" for who in ("ours", "plain"))
        label, writer = writers[name]

        def write(exporter: Any = exporter, path: Path = ours, pyramid: str = pyramid) -> None:
            if path.is_dir():
                shutil.rmtree(path)
            exporter.export(Result(pixels), path, OutputInfo(pyramid=pyramid))

        def call(writer: Callable[[Path], Any] = writer, path: Path = plain) -> None:
            if path.is_dir():
                shutil.rmtree(path)
            writer(path)

        # a Deep Zoom image is a folder beside its file
        files = None if name == "dzi" else (ours, plain)
        title = f"export {name}" + ", 1 level" * (pyramid == "none")
        cases.append(Case(title, label, write, call, files))
    return cases


def source_cases(pixels: np.ndarray, folder: Path) -> list[Case]:
    """Each source of the registry, on a file that is written here by another library."""
    bgr = np.ascontiguousarray(pixels[..., ::-1])
    for suffix in ("png", "jpg", "webp", "bmp"):
        cv2.imwrite(str(folder / f"in.{suffix}"), bgr)
    tile = (CHUNK, CHUNK)
    tifffile.imwrite(
        folder / "in.tiff", pixels, photometric="rgb", tile=tile, compression="zstd", predictor=True
    )
    (folder / "in.avif").write_bytes(imagecodecs.avif_encode(pixels, level=QUALITY, speed=10))
    zarr.save_array(str(folder / "in.zarr"), pixels)
    readers: dict[str, tuple[str, Callable[[Path], Any]]] = {
        "tiff": ("tifffile.imread", tifffile.imread),
        "avif": (
            "imagecodecs.avif_decode",
            lambda path: imagecodecs.avif_decode(path.read_bytes()),
        ),
        "zarr": ("zarr: array[:]", lambda path: zarr.open_array(str(path))[:]),
    }
    cases = []
    for name in SOURCES:
        path = folder / f"in.{name}"
        label, reader = readers.get(name, ("cv2.imread", lambda path: cv2.imread(str(path))))

        def read(path: Path = path) -> np.ndarray:
            source = open_source(path)
            found = source.read(Window.whole(source.info.height, source.info.width))
            source.close()
            return found

        def call(reader: Callable[[Path], Any] = reader, path: Path = path) -> Any:
            return reader(path)

        cases.append(Case(f"read {name}", label, read, call))
    return cases


def seconds(job: Callable[[], Any]) -> float:
    """Wall time."""
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def size_of(path: Path) -> int:
    """Bytes of a file, or of the files of a folder."""
    return sum(part.stat().st_size for part in (path, *path.rglob("*")) if part.is_file())


def run(case: Case, pixels: np.ndarray, repeats: int) -> None:
    """Measure one case and print its row.

    Raises:
        SystemExit: what ours reads without loss is not what was written.
    """
    found = case.ours()
    case.plain()
    exact = isinstance(found, np.ndarray) and case.name.endswith((*LOSSLESS, "store, read"))
    if exact and not np.array_equal(found, pixels):
        raise SystemExit(f"{case.name}: other pixels")
    del found
    ours, plain = [], []
    for _ in range(repeats):
        ours.append(seconds(case.ours))
        plain.append(seconds(case.plain))
    fast, slow = statistics.median(ours), statistics.median(plain)
    megabytes = pixels.nbytes / 1e6
    row = f"{case.name:20} {case.baseline:29} {megabytes / fast:9.0f} {megabytes / slow:10.0f} "
    row += f"{slow / fast:6.2f}"
    if case.files is not None:
        row += f" {size_of(case.files[0]) / size_of(case.files[1]):7.2f}"
    print(row, flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--side", type=int, default=4096, help="of the image, pixels")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=["store", "export", "read"])
    options = parser.parse_args()
    pixels = photo(options.side)
    made = {"store": store_cases, "export": exporter_cases, "read": source_cases}
    print(
        f"{options.side}x{options.side} RGB, 8 bit, {pixels.nbytes / 1e6:.0f} MB, {cores()} cores, "
        f"wall time, medians of {options.repeats}"
    )
    print("what                 against                        ours MB/s  plain MB/s  ratio  bytes")
    with tempfile.TemporaryDirectory() as name:
        for part in options.only or made:
            for case in made[part](pixels, Path(name)):
                run(case, pixels, options.repeats)


if __name__ == "__main__":
    main()
