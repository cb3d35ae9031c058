"""A page that shows images in a browser, from tiles laid out as Deep Zoom lays them out.

One file without anything from elsewhere, which opens from the disk as well as from a server.
"""

from __future__ import annotations

import html
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from liif_cli.errors import printable
from liif_cli.io.atomic import output_errors, write_atomically
from liif_cli.io.deepzoom import DeepZoom, tiles_folder
from liif_cli.io.filelock import try_lock

INDEX = "index.html"
_MARK = '<meta name="generator" content="liif view">'
_DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)
_LOCK_SECONDS = 30


@dataclass(frozen=True)
class Layer:
    """One picture of an image, by its tiles.

    Attributes:
        label: what it is, for people.
        width: in pixels.
        height: in pixels.
        base: URL of the folder of tiles, with its last slash.
        tile: side of a tile without its overlap.
        overlap: pixels of its neighbours that a tile has on each side.
        suffix: of the tiles' files, without its dot.
        rect: (left, top, width, height) of where it lies in the image, which is (0, 0, 1, 1).
    """

    label: str
    width: int
    height: int
    base: str
    tile: int
    overlap: int
    suffix: str
    rect: tuple[float, float, float, float] = (0, 0, 1, 1)

    @classmethod
    def of(cls, image: DeepZoom, label: str, base: str, rect: Any = (0, 0, 1, 1)) -> Layer:
        """That of a Deep Zoom image whose tiles lie at ``base``."""
        size = image.width, image.height
        return cls(label, *size, base, image.tile, image.overlap, image.suffix, tuple(rect))


@dataclass(frozen=True)
class Shown:
    """An image of the page: a name, and its pictures, of which the last one is the output."""

    name: str
    layers: Sequence[Layer] = field(default_factory=tuple)


@cache
def _part(name: str) -> str:
    return (files("liif_cli.io") / "viewer" / name).read_text(encoding="utf-8")


def page(title: str, images: Sequence[Shown]) -> str:
    """The page of these images, HTML.

    Args:
        title: in the window and above the images.
        images: in the order in which they are shown.
    """
    return _page(title, [asdict(image) for image in images])


def _page(title: str, images: list[dict[str, Any]]) -> str:
    # no text of a name may end the script; in ASCII, since a name may not be text at all
    data = json.dumps(images).replace("<", "\\u003c")
    parts = {
        "TITLE": html.escape(printable(title)),
        "CSS": _part("viewer.css"),
        "DATA": data,
        "JS": _part("viewer.js"),
    }
    # in one pass: a name may hold what looks like a place
    return re.sub(r"@(TITLE|CSS|DATA|JS)@", lambda found: parts[found[1]], _part("viewer.html"))


def add_to_index(image: DeepZoom) -> None:
    """Put a Deep Zoom image into the page ``index.html`` beside it, which shows all of its folder.

    A page of that name that is not liif's is left as it is. Processes may add to a page at once.

    Raises:
        OutputError: permission, a full disk.
    """
    folder = image.path.parent
    path = folder / INDEX
    with _locked(folder):
        before = _images_of(path)
        if before is None:
            return
        name = image.path.stem
        base = quote(os.fsencode(f"{tiles_folder(image.path).name}/"))
        layer = Layer.of(image, name, base)
        images = {
            one["name"]: one
            for one in before
            if all(_folder(folder, layer["base"]).is_dir() for layer in one["layers"])
        }
        images[name] = asdict(Shown(name, [layer]))
        title = folder.absolute().name or "Images"
        write_atomically(path, _page(title, [images[key] for key in sorted(images)]).encode())


def _folder(folder: Path, base: str) -> Path:
    return folder / os.fsdecode(unquote_to_bytes(base))


def is_ours(path: Path) -> bool:
    """Whether there is a page at ``path`` that liif wrote."""
    return path.is_file() and _images_of(path) is not None


def _images_of(path: Path) -> list[dict[str, Any]] | None:
    """The images of a page of ours, none where there is no page; None of somebody else's."""
    with output_errors(path):
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        except UnicodeDecodeError:
            return None
    match = _DATA.search(text)
    if _MARK not in text or match is None:
        return None
    try:
        images = json.loads(match[1])
        return [one for one in images if one["name"] and one["layers"][0]["base"]]
    except (ValueError, LookupError, TypeError):
        return []


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """While no other process changes the page of a folder, where the file system knows locks."""
    path = folder / ".liif" / f"{INDEX}.lock"
    with output_errors(path):
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as file:
            until = monotonic() + _LOCK_SECONDS
            while try_lock(file) is False and monotonic() < until:
                sleep(0.02)
            yield
