"""What is known of a file without doing anything with it: images, tile stores, weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from liif_cli.errors import InputError, printable
from liif_cli.io import open_source
from liif_cli.io.deepzoom import DeepZoom
from liif_cli.io.discover import images_below
from liif_cli.io.limits import kind_of
from liif_cli.io.sources.zarr import is_zarr_store
from liif_cli.ui.format import megapixels, sides, size_of
from liif_cli.ui.requests import PRINT_DPI

if TYPE_CHECKING:
    from liif_cli.models.checkpoint import Checkpoint
    from liif_cli.models.model import Part

WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt")

CM_PER_INCH = 2.54
Facts = dict[str, Any]
"""Name to value, plain JSON; the first one, "kind", is image, tile store or weights."""


def facts_of(path: Path) -> Facts:
    """Facts of an image file, a Zarr store or a weights file.

    Raises:
        InputError: the file is missing or is not an image.
        CheckpointError: a weights file that is damaged.
        OutputError: a tile store that is damaged.
    """
    if path.suffix.lower() in WEIGHTS_SUFFIXES:
        return _weights(path)
    if (path / "zarr.json").is_file() and _is_tile_store(path):
        return _tile_store(path)
    if path.suffix.lower() == ".dzi" and path.is_file():
        return _deep_zoom(path)
    if path.is_dir() and not is_zarr_store(path):
        return _folder(path)
    return _image(path)


def text_of(value: Any) -> str:
    """A fact as people read it, on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {text_of(entry)}" for key, entry in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(map(text_of, value)) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def lines_of(facts: Facts) -> list[str]:
    """A line a fact, in two columns; what a card says is indented under it."""
    lines = []
    for name, value in facts.items():
        if isinstance(value, dict) and value:
            lines += [f"  {printable(name)}", *(f"  {line}" for line in lines_of(value))]
        else:
            lines.append(printable(f"  {name:<16} {text_of(value)}"))
    return lines


def _image(path: Path) -> Facts:
    source = open_source(path)
    info = source.info
    source.close()
    return {
        "kind": "image",
        "format": info.format,
        "size": sides((info.height, info.width)),
        "channels": info.channels,
        "holds": kind_of(info.channels, info.alpha) + (f" from {info.kind}" if info.kind else ""),
        "samples": info.dtype.name,
        "stated range": _pair(info.stated_range),
        "cleanup": round(info.cleanup),
        "pages": info.pages,
        "pixel size": "x".join(f"{size:g}" for size in info.pixel_size) + " um"
        if info.pixel_size
        else None,
        "axes": ", ".join(f"{name} {length}" for name, length in info.axes) or None,
        "icc": f"{len(info.icc)} bytes" if info.icc else None,
        # files round it to pixels a metre
        "exif": f"{len(info.exif)} bytes" if info.exif else None,
        "xmp": f"{len(info.xmp)} bytes" if info.xmp else None,
        "dropped": list(info.dropped) or None,
        "print at x4": _print(info.height, info.width),
        "resolution": "x".join(f"{round(value, 1):g}" for value in info.resolution) + " dpi"
        if info.resolution
        else None,
    }


def _print(height: int, width: int) -> str:
    """The paper that a scale of 4 fills at the resolution of a print."""
    sides_ = (4 * side / PRINT_DPI * CM_PER_INCH for side in (width, height))
    return "x".join(f"{side:.0f}" for side in sides_) + f" cm at {PRINT_DPI:g} dpi"


def _folder(path: Path) -> Facts:
    images, left_out = images_below(path)
    lines: Facts = {}
    pixels = failed = 0
    for image in images:
        name = image.relative_to(path).as_posix()
        try:
            source = open_source(image)
        except InputError as error:
            failed += 1
            lines[name] = f"error: {error.got or error}"
            continue
        info = source.info
        source.close()
        pixels += info.height * info.width
        what = kind_of(info.channels, info.alpha)
        lines[name] = f"{sides((info.height, info.width))} {info.format}, {what}, {info.dtype.name}"
    return {
        "kind": "folder",
        "images": len(images),
        "unreadable": failed,
        "left out": [file.relative_to(path).as_posix() for file in left_out] or None,
        "sum": megapixels(pixels),
        "files": lines,
    }


def _deep_zoom(path: Path) -> Facts:
    image = DeepZoom.open(path)
    return {
        "kind": "image",
        "format": "Deep Zoom",
        "size": sides((image.height, image.width)),
        "levels": len(image.levels),
        "tiles": sum(1 for _ in image.tiles()),
        "tile format": image.suffix,
    }


def _pair(values: tuple[float, float] | None) -> str | None:
    return f"{values[0]:g} to {values[1]:g}" if values else None


def _is_tile_store(path: Path) -> bool:
    from liif_cli.io.tilestore import is_tile_store

    return is_tile_store(path)


def _tile_store(path: Path) -> Facts:
    from liif_cli.io.tilestore import TileStore

    store = TileStore.open(path)
    missing = sum(1 for _ in store.base.missing())
    return {
        "kind": "tile store",
        "size": sides((store.height, store.width)),
        "channels": store.channels,
        "samples": store.dtype.name,
        "chunk": store.chunk,
        "shard": sides((store.grid.tile_height, store.grid.tile_width)),
        "shards": len(store.grid),
        "shards done": len(store.grid) - missing,
        "fingerprint": store.fingerprint,
    }


def _weights(path: Path) -> Facts:
    from liif_cli.models import checkpoint
    from liif_cli.models.loader import model_digest

    weights = checkpoint.load(path)
    return {
        "kind": "weights",
        **network_facts(weights),
        "file": size_of(path.stat().st_size),
        "digest": model_digest(str(path)),
        "card": dict(weights.card),
    }


def network_facts(found: Checkpoint) -> Facts:
    """Names, arguments and parameter count of a network, and whether ``--cleanup`` is for it."""
    spec, model = found.spec, found.build()
    return {
        "encoder": _part(spec.encoder) if spec.encoder else None,
        "decoder": _part(spec.decoder),
        "parameters": model.parameter_count,
        "cleanup": model.takes_cleanup,
    }


def _part(part: Part) -> str:
    arguments = ", ".join(f"{key}={value}" for key, value in part.args.items())
    return f"{part.name}({arguments})"
