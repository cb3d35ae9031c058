"""What a run that was stopped left beside an output: a half-rendered store, and what it is of."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from liif_cli.engine.record import Record, differences
from liif_cli.errors import OutputError
from liif_cli.io.atomic import cover, is_partial
from liif_cli.io.place import ObjectPath, is_object
from liif_cli.io.scratch import run_folder
from liif_cli.io.tilestore import TileStore, is_draft
from liif_cli.plan.plan import Cut, RenderPlan


def store_path(output: Path) -> Path:
    """Where the store of an output lies while it is rendered: in a bucket a Zarr output itself."""
    if is_object(output) and output.suffix.lower() == ".zarr":
        return output
    return output.with_name(f".{cover(output.name)}.partial.zarr")


def unpacked_path(output: Path) -> Path:
    """Where the unpacked input of an output lies while it is rendered, on this machine."""
    if is_object(output):
        digest = hashlib.sha256(str(output).encode(errors="surrogateescape")).hexdigest()[:24]
        return run_folder() / f"{digest}.partial.npy"
    return output.with_name(f".{cover(output.name)}.partial.npy")


def unpacked_bytes(output: Path) -> int:
    """Bytes that an unpacked input takes on the disk."""
    try:
        # the file has its full length from the start; blocks are what is written of it
        return unpacked_path(output).stat().st_blocks * 512
    except OSError:
        return 0


def store_attributes(plan: RenderPlan, software: str) -> dict[str, Any]:
    """What a store says of its making; ``Unfinished`` reads it back."""
    return {
        "liif": plan.identity(),
        "cut": plan.cut.to_dict(),
        "model": plan.model,
        "software": software,
    }


@dataclass(frozen=True)
class Unfinished:
    """A half-rendered store, or a finished one that lacks shards.

    Attributes:
        path: its folder.
        identity: of the plan that made it; empty where the store cannot be read.
        model: name of its model.
        cut: how it is cut; None where the store cannot be read.
        problem: why it cannot be read.
        held: bytes that it takes on the disk.
        fingerprint: of the store; empty where it cannot be read.
        half: whether it is half rendered, and not a finished one.
    """

    path: Path
    identity: dict[str, Any] = field(default_factory=dict)
    model: str = ""
    cut: Cut | None = None
    problem: str = ""
    held: int = 0
    fingerprint: str = ""
    half: bool = True

    @classmethod
    def read(cls, output: Path) -> Unfinished | None:
        """What lies beside ``output``, or at it; None where no pixels are there yet.

        A hidden folder that lacks the group's metadata is not a store, but what is left of one.
        """
        while True:
            try:
                return cls._read(output)
            except FileNotFoundError:
                # another process finished it, or moved it, in between
                continue

    @classmethod
    def _read(cls, output: Path) -> Unfinished | None:
        hidden = store_path(output)
        path = hidden if hidden.exists() else output
        if not (path.is_dir() and any(_pixel_files(path))):
            return None
        half = is_draft(path) if is_object(path) else path == hidden
        try:
            store = TileStore.open(path)
        except OutputError as error:
            if path == hidden and not (path / "zarr.json").is_file():
                return None
            return cls(path, problem=f"a store that cannot be resumed: {error.got}", half=half)
        # what lies in a bucket takes nothing of a disk
        held = 0 if is_object(path) else sum(e.lstat().st_size for e in _pixel_files(path))
        provenance = store.provenance
        identity, cut = provenance.get("liif"), Cut.from_dict(provenance.get("cut"))
        if not isinstance(identity, dict) or cut is None:
            return cls(path, problem="a store of an older version", held=held, half=half)
        model = str(provenance.get("model", ""))
        return cls(path, identity, model, cut, held=held, fingerprint=store.fingerprint, half=half)

    def difference(self, plan: RenderPlan, tile: int | None) -> str:
        """What it was begun with that ``plan`` has not; empty where the plan can resume it.

        ``tile`` is the side that was asked for, None where any will do.
        """
        if self.cut is None:
            return self.problem
        changes = differences(self.identity, plan.identity(), (self.model, plan.model))
        if tile is not None and tile != self.cut.tile:
            changes.append(f"tile: was {self.cut.tile}, now {tile}")
        return "; ".join(changes)


def remembered_gray(
    plan: RenderPlan, begun: Unfinished | None, record: Record | None
) -> bool | None:
    """Whether the input was found to be gray by who made what lies at the output or beside it.

    Args:
        plan: of the same output; its own ``gray`` does not matter.
        begun: the half-rendered store there.
        record: that of the output there.

    Returns:
        None where nobody looked, or at another input.
    """
    before = [(record.identity, record.gray)] if record is not None else []
    before += [(begun.identity, None)] if begun is not None else []
    for identity, looked in before:
        gray = identity.get("gray", looked)
        now = plan.identity()
        names = ("input", "page", "select", "level")
        same = all(identity.get(name) == now.get(name) for name in names)
        if same and isinstance(gray, bool):
            return gray
    return None


def _pixel_files(path: Path) -> Iterator[Path]:
    """Files of a store that are not metadata, nor in the making."""
    if isinstance(path, ObjectPath):
        # those of the first rows tell whether there are any
        return (file for file, _ in path.below() if file.suffix != ".json")
    return (
        Path(folder, name)
        for folder, _, names in os.walk(path)
        for name in names
        if name != "zarr.json" and not is_partial(Path(name))
    )
