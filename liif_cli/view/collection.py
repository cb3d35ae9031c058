"""Which files are shown together: an input, and what was made of it by one model or several."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from liif_cli.engine.record import Record
from liif_cli.errors import LiifError, UsageError
from liif_cli.geometry.window import Window
from liif_cli.io import is_image, open_source
from liif_cli.io.deepzoom import DeepZoom
from liif_cli.io.place import is_object
from liif_cli.io.sources.zarr import is_zarr_store

Rect = tuple[float, float, float, float]
WHOLE: Rect = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class View:
    """A file, what it is for people, and where it lies in the image (``viewerpage.Layer``)."""

    path: Path
    label: str
    width: int
    height: int
    rect: Rect = WHOLE


@dataclass(frozen=True)
class Item:
    """An image: its input, where that is known, and its outputs."""

    name: str
    views: tuple[View, ...]


@dataclass(frozen=True)
class _Output:
    name: str
    root: str
    path: Path
    size: tuple[int, int]
    record: Record | None


def collect(
    outputs: Sequence[Path],
    input: Path | None = None,
    *,
    unread: Callable[[str], None] = lambda why: None,
) -> list[Item]:
    """Put what belongs together side by side.

    Outputs of one input, as their records say, are versions of one image; those without a record
    are where they have the same path below the folders that were named.

    Args:
        outputs: files, stores, Deep Zoom descriptors, and folders of them.
        input: the file, or the folder, that they were made from; None is what the records say.
        unread: told of what cannot be shown, and why.

    Raises:
        UsageError: there is nothing to show, or no such file.
    """
    groups: dict[object, list[_Output]] = {}
    for number, path in enumerate(outputs):
        for output in _below(path, unread):
            identity = output.record.identity if output.record is not None else {}
            own = (path.is_dir() and not is_zarr_store(path)) or len(outputs) == 1
            key: object = output.name if own else (number, output.name)
            # pages and parts of one input are images of their own
            if digest := identity.get("input"):
                part = (digest, identity.get("page"), str(identity.get("roi")))
                key = (*part, str(identity.get("select")), identity.get("level"))
            groups.setdefault(key, []).append(output)
    if not groups:
        raise UsageError(
            "OUTPUT",
            got="nothing that can be shown",
            expected="images, Zarr stores, Deep Zoom images, or folders of them",
        )
    items = [_item(versions, input, unread) for versions in groups.values()]
    return sorted(_named_apart(items), key=lambda item: item.name.lower())


def _below(path: Path, unread: Callable[[str], None]) -> Iterator[_Output]:
    """The outputs at a path or in a folder."""
    if is_object(path):
        raise UsageError(
            "OUTPUT",
            got=str(path),
            expected="a file or folder of this machine",
            cure="copy it here, or run liif view where it can be read as a file",
        )
    if not path.exists():
        raise UsageError("OUTPUT", got=f"no such file or folder: {path}", cure="check the path")
    folder = path.is_dir() and not is_zarr_store(path)
    root = path.absolute().name
    for file in _files(path) if folder else [path]:
        relative = file.relative_to(path) if folder else Path(file.name)
        try:
            size = _size(file)
        except LiifError as error:
            unread(str(error))
            continue
        except Exception as error:  # codecs raise what they like
            unread(f"{file}: {type(error).__name__}: {error}")
            continue
        name = relative.with_suffix("").as_posix()
        yield _Output(name, root if folder else "", file, size, Record.read(file))


def _files(folder: Path) -> Iterator[Path]:
    for here, folders, names in os.walk(folder):
        stores = [name for name in folders if is_zarr_store(Path(here, name))]
        zooms = {f"{Path(name).stem}_files" for name in names if name.lower().endswith(".dzi")}
        folders[:] = sorted(
            name
            for name in folders
            if name not in stores and name not in zooms and not name.startswith(".")
        )
        for name in sorted([*stores, *names]):
            shown = is_image(Path(name)) or name.lower().endswith(".dzi")
            if name in stores or (shown and not name.startswith(".")):
                yield Path(here, name)


def _size(path: Path) -> tuple[int, int]:
    """(width, height)."""
    if path.suffix.lower() == ".dzi":
        zoom = DeepZoom.open(path)
        return zoom.width, zoom.height
    source = open_source(path)
    try:
        return source.info.width, source.info.height
    finally:
        source.close()


def _item(versions: list[_Output], input: Path | None, unread: Callable[[str], None]) -> Item:
    labels = _labels(versions)
    views = [
        View(version.path, label, *version.size)
        for version, label in zip(versions, labels, strict=True)
    ]
    first = versions[0]
    source = _input_of(first, input)
    if source is not None:
        try:
            width, height = _size(source)
        except LiifError as error:
            if input is not None:
                unread(str(error))
        else:
            roi = (first.record.identity if first.record else {}).get("roi")
            rect = _around(Window(**roi), (width, height)) if roi else WHOLE
            views.insert(0, View(source, "input", width, height, rect))
    return Item(first.name, tuple(views))


def _around(roi: Window, size: tuple[int, int]) -> Rect:
    """Where an input of which a part was rendered lies, in units of that part."""
    return (
        -roi.col_off / roi.width,
        -roi.row_off / roi.height,
        size[0] / roi.width,
        size[1] / roi.height,
    )


def _labels(versions: list[_Output]) -> list[str]:
    """A name for each version of an image: its model, its folder or its file, where they differ."""
    choices: list[list[str]] = [
        [version.record.model if version.record else "" for version in versions],
        [version.root for version in versions],
        [
            f"{version.root}, {version.record.model}" if version.record and version.root else ""
            for version in versions
        ],
        [version.path.name for version in versions],
    ]
    for labels in choices:
        if all(labels) and len(set(labels)) == len(labels):
            return labels
    return [str(version.path) for version in versions]


def _input_of(version: _Output, input: Path | None) -> Path | None:
    """The file that a version was made from."""
    if input is None:
        return _recorded(version)
    if input.is_file() or is_zarr_store(input):
        return input
    if not input.exists():
        raise UsageError("--input", got=f"no such file or folder: {input}", cure="check the path")
    recorded = _recorded(version)
    if recorded is not None and recorded.is_relative_to(input.absolute()):
        return recorded
    beside = input / version.name
    near = sorted(beside.parent.glob(f"{_literal(beside.name)}.*"))
    return next((path for path in near if is_image(path)), None)


def _recorded(version: _Output) -> Path | None:
    """What the output's record says, where that is still there."""
    if version.record is None or not version.record.input:
        return None
    path = Path(os.path.normpath(version.path.absolute().parent / version.record.input))
    return path if path.exists() and path != version.path.absolute() else None


def _literal(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _named_apart(items: list[Item]) -> list[Item]:
    """Items of equal names get their outputs' suffixes, or paths."""
    ways: list[Callable[[Item], str]] = [
        lambda item: item.name,
        lambda item: item.name + item.views[-1].path.suffix,
        lambda item: str(item.views[-1].path),
    ]
    for way in ways:
        names = [way(item) for item in items]
        if len(set(names)) == len(names):
            return [replace(item, name=name) for item, name in zip(items, names, strict=True)]
    return items
