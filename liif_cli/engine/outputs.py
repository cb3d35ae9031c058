"""What lies where a batch writes, and what it may do there."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

from liif_cli.engine.claims import Claims, claim_path
from liif_cli.engine.record import (
    FOLDER,
    OutputState,
    difference,
    output_state,
    remove_stale_records,
    repair,
)
from liif_cli.engine.unfinished import Unfinished, store_path, unpacked_bytes, unpacked_path
from liif_cli.engine.verify import verify
from liif_cli.errors import OutputError
from liif_cli.io import exporter_for
from liif_cli.io.atomic import cover, output_errors, stale_names
from liif_cli.io.base import Exporter, Source
from liif_cli.io.gray import is_gray
from liif_cli.io.place import ObjectPath, is_object, location, probe
from liif_cli.io.scratch import run_folder
from liif_cli.plan.plan import RenderPlan
from liif_cli.plan.spec import OutputFacts, RenderSpec


def output_facts(path: Path, exporter: Exporter, disk_held: int = 0) -> OutputFacts:
    """What a plan needs to know of an output of that format at a path.

    Args:
        path: of the output; its folder need not be there.
        exporter: of the format.
        disk_held: bytes of the disk that a half-rendered store of it takes already.
    """
    return OutputFacts(
        path=str(path),
        format=exporter.name,
        disk_free=shutil.disk_usage(_disk_of(path)).free,
        disk_held=disk_held,
        max_side=exporter.max_side,
        dtypes=exporter.dtypes,
        streams=exporter.streams,
        channels=exporter.channels,
        compressions=exporter.compressions,
        pyramids=exporter.pyramids,
        levels=exporter.levels,
        quality=exporter.quality,
        nodata=exporter.nodata,
        memory=exporter.memory,
        disk=exporter.disk,
        remote=is_object(path),
    )


def _disk_of(path: Path) -> Path:
    """A folder of the disk that an output takes; in a bucket, that of this machine's own work."""
    folder = run_folder() if is_object(path) else path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    return folder


class Outputs:
    """The outputs of a batch.

    Args:
        spec: what is asked for.
        claims: of this process.
        write: False where nothing is rendered, and nothing is tidied up.
    """

    def __init__(self, spec: RenderSpec, claims: Claims, *, write: bool) -> None:
        self.spec, self.claims, self._write = spec, claims, write
        self._stale: dict[Path, set[str]] = {}

    def facts(self, path: Path, name: str) -> OutputFacts:
        """What a plan needs to know of an output of that format at a path.

        Raises:
            OutputError: nothing can be written there.
        """
        if self._write and isinstance(path, ObjectPath):
            with output_errors(path):
                probe(path)
        folder = _disk_of(path)
        if not os.access(folder, os.W_OK | os.X_OK):
            read_only = hasattr(os, "statvfs") and bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
            raise OutputError(
                f"cannot write {path}",
                got="a read-only file system" if read_only else f"no permission to write {folder}",
                expected="a place to write",
                cure="choose another folder",
            )
        unfinished = Unfinished.read(path)
        held = (unfinished.held if unfinished else 0) + unpacked_bytes(path)
        return output_facts(path, exporter_for(name), held)

    def look(
        self, plan: RenderPlan, state: OutputState, source: Source
    ) -> tuple[RenderPlan, OutputState]:
        """A plan that knows whether its input is gray, and what lies at its output then.

        Args:
            plan: one of whose input nobody knows.
            state: of its output, with an input that is not gray.
            source: its input; what is decoded of a whole file stays in it.

        Raises:
            InputError: the file is damaged.
            OutputError: see ``state``.
        """
        if not is_gray(source, bands=plan.unpack):
            return plan, state
        plan = dataclasses.replace(plan, gray=True)
        return plan, self.state(plan)

    def untidy(self, output: Path) -> bool:
        """Whether killed processes may have left something of ``output``."""
        return (
            cover(output.name) in self._stale.get(output.parent, ())
            or claim_path(output) in self.claims.taken_over
            or _there(store_path(output))
            or _there(unpacked_path(output))
        )

    def state(self, plan: RenderPlan) -> OutputState:
        """What lies at the plan's output.

        Raises:
            OutputError: something else, finished or half rendered, that may not be overwritten.
        """
        output = location(plan.output)
        if self._write and output.parent not in self._stale:
            remove_stale_records(output.parent)
            self.claims.tidy(output.parent)
            names = stale_names(output.parent / FOLDER)
            records = {name.removesuffix(".json") for name in names}
            self._stale[output.parent] = stale_names(output.parent) | records
        state = output_state(output, plan, remember=self._write)
        begun = Unfinished.read(output)
        differs = begun.difference(plan, self.spec.tile) if begun is not None else ""
        if begun is not None and begun.half and differs and not self.spec.overwrite:
            raise OutputError(
                f"{output} is half rendered with other options or from another input",
                got=differs,
                expected="what it was begun with",
                cure="run the command that began it, or use --overwrite to start afresh",
            )
        if state is OutputState.OTHER and self.spec.skip_existing:
            damage = verify(output).damage
            if not damage:
                return OutputState.FINISHED
            raise OutputError(
                f"{output} exists",
                got=f"a file that cannot be read whole: {damage[0].where}: {damage[0].what}",
                expected="an image",
                cure="remove it, or use --overwrite to replace it",
            )
        if state is OutputState.OTHER and not self.spec.overwrite:
            raise OutputError(
                f"{output} exists",
                got=difference(output, plan),
                expected="no file, or the same one finished before",
                cure="use --overwrite to replace it",
            )
        if self.spec.verify and state is OutputState.FINISHED and repair(output):
            return OutputState.DAMAGED
        return state


def _there(path: Path) -> bool:
    if is_object(path):
        # a Zarr output is its own store
        return path.suffix != ".zarr" or ".partial." in path.name if path.is_dir() else False
    return os.path.lexists(path)
