"""The canvas of a large output: a Zarr v3 group whose first array is filled shard by shard.

The group becomes an OME-Zarr image when it is finished (``io/pyramid.py``, ``io/omezarr.py``): full
resolution is the array "0", the reduced levels are "1", "2", ... beside it. Nothing is copied.

In a bucket nothing can be renamed, so that the group lies under its final name from the start. What
makes it a group, ``zarr.json``, is put last; until then ``.liif/state.json`` stands for it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from liif_cli.errors import OutputError
from liif_cli.geometry.grid import TileGrid
from liif_cli.geometry.window import Window
from liif_cli.io.atomic import is_partial, output_errors, put_once, write_atomically
from liif_cli.io.base import Pixels
from liif_cli.io.jsontext import parse_json
from liif_cli.io.place import ObjectPath, PlaceError, is_object
from liif_cli.io.shards import KEPT, ShardedArray

ATTRIBUTE = "liif"
VERSION = 2
"""Of the layout on the disk. 2: a group with levels; 1 was a single array."""
_DIGEST, _ARRAYS = "digest", "arrays"


class TileStore:
    """Finished pixels (channels, height, width) on the disk, shard by shard, and their provenance.

    A shard's presence in a store of the right fingerprint is its done mark. Made by ``create`` and
    ``open``. A ``PixelReader``; threads, and processes, may read and write at once; of two that
    write the same shard the first one's stays. The group's metadata holds digests of its own
    content and of every array's, since zarr guards chunks only.
    """

    def __init__(self, path: Path, base: ShardedArray, attributes: dict[str, Any]) -> None:
        self.path = path
        self.base = base
        self.keep = False
        """Whether an exporter must leave it where it is."""
        self.attributes = attributes
        facts = attributes[ATTRIBUTE]
        self.fingerprint: str = facts["fingerprint"]
        self.provenance: dict[str, Any] = facts["provenance"]
        self.height, self.width, self.channels = base.height, base.width, base.channels
        self.dtype: np.dtype[Any] = base.dtype
        self.chunk = base.chunk
        self.grid: TileGrid = base.grid

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        height: int,
        width: int,
        channels: int,
        dtype: npt.DTypeLike,
        chunk: int = 512,
        shard: int = 2048,
        fingerprint: str,
        attributes: Mapping[str, Any] | None = None,
        level: int = KEPT,
    ) -> Self:
        """Make an empty store.

        Args:
            path: the folder to make.
            height: in pixels.
            width: in pixels.
            channels: 1 or more.
            dtype: uint8, uint16 or float32.
            chunk: side of an inner chunk in pixels.
            shard: side of a shard in pixels, a multiple of ``chunk``.
            fingerprint: of everything that decides the pixels.
            attributes: provenance, plain JSON values.
            level: of zstd, ``KEPT`` or ``SCRATCH``.

        Raises:
            OutputError: something is there already, or it cannot be written.
        """
        if _document_path(path).exists():
            raise OutputError(
                str(path), got="a store that is there already", cure="open it or remove it"
            )
        base = ShardedArray.create(
            path / "0",
            height=height,
            width=width,
            channels=channels,
            dtype=dtype,
            chunk=chunk,
            shard=shard,
            level=level,
        )
        facts: dict[str, Any] = {
            "version": VERSION,
            "fingerprint": fingerprint,
            "provenance": dict(attributes or {}),
            _ARRAYS: {"0": file_digest(base.metadata_path)},
        }
        # last: a group without its first array would not be a store
        if isinstance(path, ObjectPath):
            document = _with_digest({ATTRIBUTE: facts})
            with output_errors(path):
                put_once(_draft_path(path), _text_of(document), path)
            # somebody may have been faster
            return cls.open(path, fingerprint)
        return cls(path, base, _write(path, {ATTRIBUTE: facts}))

    @classmethod
    def open(cls, path: Path, fingerprint: str | None = None) -> Self:
        """Open a store to read it or to go on writing it.

        Args:
            path: the store's folder.
            fingerprint: what the store must have been made for; None takes any.

        Raises:
            OutputError: no store of this program, of another version, or of another fingerprint, or
                one whose metadata are damaged.
        """
        if not _document_path(path).is_file():
            raise OutputError(str(path), got="no tile store", cure="check the path")
        try:
            attributes = read_attributes(path)
            facts: Any = attributes[ATTRIBUTE]
            version, made_for = int(facts["version"]), facts["fingerprint"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise OutputError(
                str(path), got="no readable tile store", cure="remove it and run again"
            ) from error
        if version != VERSION:
            raise OutputError(
                str(path),
                got=f"a tile store of version {version}",
                expected=f"version {VERSION}",
                cure="use the program that wrote it, or remove it",
            )
        if fingerprint is not None and made_for != fingerprint:
            raise OutputError(
                str(path),
                got=f"a tile store of other work ({made_for})",
                expected=fingerprint,
                cure="remove it to start afresh",
            )
        try:
            if facts[_ARRAYS]["0"] != file_digest(path / "0" / "zarr.json"):
                raise ValueError("other metadata than were written")
            return cls(path, ShardedArray.open(path / "0"), attributes)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(
                str(path / "0" / "zarr.json"),
                got=f"damaged metadata ({error})",
                expected="those of the store",
                cure="remove the store and run again",
            ) from error

    @property
    def on_read(self) -> Callable[[], None] | None:
        """Called before each read of full resolution; may raise to end what reads."""
        return self.base.on_read

    @on_read.setter
    def on_read(self, call: Callable[[], None] | None) -> None:
        self.base.on_read = call

    def read(self, window: Window) -> Pixels:
        """Pixels (window.height, window.width, channels).

        Raises:
            ValueError: the window leaves the image.
            OutputError: a shard is damaged, or not done yet.
        """
        return self.base.read(window)

    @property
    def finished(self) -> bool:
        """Whether it is a whole OME-Zarr image, all levels included."""
        return "ome" in self.attributes and all(level.complete for level in self.levels())

    def levels(self) -> list[ShardedArray]:
        """Full resolution, and the reduced levels of a store that was finished.

        Raises:
            OutputError: the metadata of a level are damaged.
        """
        names = sorted(self.attributes[ATTRIBUTE][_ARRAYS], key=int)
        return [self.base, *(ShardedArray.open(self.path / name) for name in names[1:])]

    def annotate(
        self,
        attributes: Mapping[str, Any],
        levels: int | None = None,
        before: Callable[[int], None] = lambda size: None,
    ) -> None:
        """Add attributes beside the store's own; with ``levels``, say that these are all there.

        ``before`` is called with the size of the group's metadata in bytes before those of a store
        in a bucket make it a finished one.

        Raises:
            OutputError: permission, a full disk.
        """
        facts = dict(self.attributes[ATTRIBUTE])
        if levels is not None:
            facts[_ARRAYS] = {
                str(number): file_digest(self.path / str(number) / "zarr.json")
                for number in range(levels)
            }
        written = {**self.attributes, **attributes, ATTRIBUTE: facts}
        if isinstance(self.path, ObjectPath) and levels is not None:
            document = _with_digest(written)
            text = _text_of(document)
            before(len(text))
            with output_errors(self.path):
                # from here on it is there
                put_once(_metadata_path(self.path), text, self.path)
                _draft_path(self.path).unlink(missing_ok=True)
            self.attributes = dict(document["attributes"])
            return
        self.attributes = _write(self.path, written)

    @property
    def lost(self) -> bool:
        """Whether nobody may write it any more: another process moved, removed or finished it."""
        if isinstance(self.path, ObjectPath):
            try:
                return not _draft_path(self.path).is_file()
            except PlaceError:
                # nobody knows, and whatever comes next will say why
                return False
        return not _metadata_path(self.path).exists()

    @classmethod
    def reopen(cls, path: Path) -> None:
        """Make a finished store of a bucket, of which shards were removed, an unfinished one."""
        with output_errors(path):
            put_once(_draft_path(path), _metadata_path(path).read_bytes(), path)
            _metadata_path(path).unlink(missing_ok=True)

    def remove_partials(self) -> None:
        """Remove what killed processes were writing; call it when no other one writes."""
        for folder, _, names in () if is_object(self.path) else os.walk(self.path):
            for name in names:
                if is_partial(Path(name)):
                    Path(folder, name).unlink(missing_ok=True)

    def move(self, path: Path) -> None:
        """Rename the store's folder; the store goes on under the new name.

        Raises:
            OSError: the folder cannot be renamed, for instance to another file system.
        """
        self.path.rename(path)
        moved = TileStore.open(path)
        moved.on_read = self.on_read
        self.path, self.base = moved.path, moved.base


def is_draft(path: Path) -> bool:
    """Whether a store of a bucket is begun and not finished."""
    return is_object(path) and _draft_path(path).is_file() and not _metadata_path(path).is_file()


def is_tile_store(path: Path) -> bool:
    """Whether a folder is a store of this program, of any version, finished or not."""
    try:
        return ATTRIBUTE in read_attributes(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def metadata_damage(path: Path) -> dict[str, str]:
    """What is wrong with the metadata of a store: file below ``path`` -> what. Empty when intact.

    Raises:
        OutputError: the group's metadata cannot be read at all.
    """
    name = _document_path(path).relative_to(path).as_posix()
    array_name = _metadata_path(path).name
    try:
        attributes = read_attributes(path)
        facts = attributes[ATTRIBUTE]
        damage = {}
        if facts.get(_DIGEST) != _digest_of(_document(path)):
            damage[name] = "its content is not what its digest says"
        for array, digest in sorted(facts[_ARRAYS].items()):
            file = path / array / array_name
            if not file.is_file():
                damage[f"{array}/{array_name}"] = "missing"
            elif file_digest(file) != digest:
                damage[f"{array}/{array_name}"] = "its content is not what its digest says"
        return damage
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutputError(
            str(_metadata_path(path)),
            got=f"damaged metadata ({error!r})",
            expected="those of a tile store",
            cure="remove the store and run again",
        ) from error


def read_attributes(path: Path) -> dict[str, Any]:
    """Attributes of the group or array in a folder.

    Raises:
        ValueError, KeyError, TypeError, OSError: there is none that can be understood.
    """
    return dict(_document(path)["attributes"])


def file_digest(path: Path) -> str:
    """SHA-256 of a small file, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _metadata_path(path: Path) -> Path:
    return path / "zarr.json"


def _draft_path(path: Path) -> Path:
    return path / ".liif" / "state.json"


def _document_path(path: Path) -> Path:
    """The group's metadata: in a bucket those of an unfinished store where it is not finished."""
    final = _metadata_path(path)
    return _draft_path(path) if is_object(path) and not final.is_file() else final


def _document(path: Path) -> dict[str, Any]:
    text = _document_path(path).read_text(encoding="utf-8")
    return dict(parse_json(text))


def _digest_of(document: dict[str, Any]) -> str:
    """SHA-256 of the group's metadata without the digest itself, whatever the spaces between."""
    attributes = dict(document["attributes"])
    attributes[ATTRIBUTE] = {k: v for k, v in attributes[ATTRIBUTE].items() if k != _DIGEST}
    text = json.dumps({**document, "attributes": attributes}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _write(path: Path, attributes: dict[str, Any]) -> dict[str, Any]:
    """Put the group's metadata, with its digest, at once; returns the attributes as written."""
    document = _with_digest(attributes)
    with output_errors(path):
        write_atomically(_document_path(path), _text_of(document))
    return dict(document["attributes"])


def _with_digest(attributes: dict[str, Any]) -> dict[str, Any]:
    """The group's metadata of some attributes."""
    document = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    # through JSON: the digest is of what will be read
    document = json.loads(json.dumps(document))
    document["attributes"][ATTRIBUTE][_DIGEST] = _digest_of(document)
    return dict(document)


def _text_of(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=2, sort_keys=True).encode()
