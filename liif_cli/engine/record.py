"""What is known of finished outputs: one small file per output, in a hidden folder beside it.

An output counts as finished when its record's fingerprint is the plan's and the file is still the
one that was written (size and time of change). A record is written before the output gets its
name, so that an output without one was never finished by this tool.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from liif_cli.errors import OutputError
from liif_cli.io.atomic import (
    LONGEST_NAME,
    cover,
    final_name,
    is_partial,
    output_errors,
    remove_stale,
    write_atomically,
)
from liif_cli.io.deepzoom import tiles_folder
from liif_cli.io.exporters.bands import codec_workers
from liif_cli.io.jsontext import parse_json
from liif_cli.io.place import ObjectPath, is_object, location
from liif_cli.io.tilestore import TileStore, is_draft, metadata_damage
from liif_cli.plan.plan import RenderPlan, fingerprint_of

FOLDER = ".liif"
VERSION = 1
_BLOCK = 4 * 2**20
_STALE_SECONDS = 600


def make_folder(output: Path) -> Path:
    """The hidden folder beside ``output``, for what is known of it; made where it is not there.

    Raises:
        OutputError: permission.
    """
    folder = output.parent / FOLDER
    with output_errors(output):
        if folder.is_symlink():
            # records lie beside their outputs, and nothing is written elsewhere
            folder.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
    return folder


class OutputState(Enum):
    """What lies at an output's path; DAMAGED is a finished store that lacks shards."""

    ABSENT = "absent"
    FINISHED = "finished"
    DAMAGED = "damaged"
    OTHER = "other"


@dataclass(frozen=True)
class Record:
    """Identity of the plan that made an output, the file it made, and the model's name.

    ``checksum`` is the CRC-32C of a file's content, empty for a store, which has its own. ``gray``
    is whether the input was found to be gray, None where nobody looked. ``files`` are the checksums
    of the output's other files, by their path from its folder. ``input`` is the path of the input
    from there, a whole one where it lies elsewhere, empty where it is not known.
    """

    identity: dict[str, Any]
    size: int
    mtime_ns: int
    model: str = ""
    checksum: str = ""
    gray: bool | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    input: str = ""

    @classmethod
    def of(cls, plan: RenderPlan, written: Path) -> Record:
        """The record of a file that is written but has not its final name yet."""
        record = cls.of_file(plan.identity(), written, plan.model, plan.gray)
        return dataclasses.replace(record, input=_from_output(plan))

    @classmethod
    def of_file(
        cls, identity: dict[str, Any], written: Path, model: str = "", gray: bool | None = None
    ) -> Record:
        """As ``of``, from the identity of a plan, the name of its model, and what it found."""
        size, mtime_ns = _stat(written)
        checksum = "" if written.is_dir() else file_checksum(written)
        return cls(identity, size, mtime_ns, model, checksum, gray, _other_files(written))

    @classmethod
    def read(cls, output: Path) -> Record | None:
        """The record of ``output``; None where there is none that can be read."""
        try:
            path = _path(output)
            # of another folder, a link says nothing
            data = {} if path.parent.is_symlink() else parse_json(path.read_text())
            if data.get("version") != VERSION:
                return None
            return cls(
                dict(data["identity"]),
                int(data["size"]),
                int(data["mtime_ns"]),
                str(data.get("model", "")),
                checksum=str(data.get("checksum", "")),
                gray=data.get("gray"),
                files={str(name): str(sum_) for name, sum_ in data.get("files", {}).items()},
                input=str(data.get("input", "")),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, output: Path) -> None:
        """Save beside ``output``, atomically.

        Raises:
            OutputError: permission or a full disk.
        """
        data = {
            "version": VERSION,
            "output": output.name,
            "fingerprint": fingerprint_of(self.identity),
            "identity": self.identity,
            "model": self.model,
            "size": self.size,
            "mtime_ns": self.mtime_ns,
            "checksum": self.checksum,
            "gray": self.gray,
        }
        if self.files:
            data["files"] = dict(self.files)
        if self.input:
            data["input"] = self.input
        text = json.dumps(data, indent=1, sort_keys=True) + "\n"
        path = _path(output)
        make_folder(output)
        write_atomically(path, text.encode())

    def put(self, output: Path) -> None:
        """Save it with the time of change that ``output`` has now that it has its name.

        Raises:
            OutputError: permission.
        """
        with output_errors(output):
            changed = _stat(output)[1]
        dataclasses.replace(self, mtime_ns=changed).write(output)

    def state(self, output: Path, plan: RenderPlan) -> OutputState:
        """Whether ``output`` is the finished result of ``plan``.

        A copy has another time of change: its content is read then.
        """
        size, mtime_ns = _stat(output)
        if self.size != size or self.identity != plan.identity():
            return OutputState.OTHER
        if self.mtime_ns != mtime_ns and not self.intact(output):
            return OutputState.OTHER
        return OutputState.FINISHED if _whole(output, plan) else OutputState.DAMAGED

    def intact(self, output: Path) -> bool:
        """Whether the content is what was written, as far as there are checksums; reads all of it.

        Of a store only the metadata, whose shards are checked when they are read. False where there
        is nothing to tell by.
        """
        if output.is_dir():
            try:
                return not metadata_damage(output)
            except OutputError:
                return False
        if not self.checksum or file_checksum(output) != self.checksum:
            return False
        return not any(part_damage(output, part)[1] for part in self.files.items())


def _from_output(plan: RenderPlan) -> str:
    """The input's path from the output's folder, so that both may be moved together."""
    source, folder = location(plan.input), location(plan.output).parent
    if is_object(source) or is_object(folder):
        return plan.input
    try:
        return Path(os.path.relpath(source, folder)).as_posix()
    except ValueError:  # on another drive of Windows
        return str(source.absolute())


def output_state(output: Path, plan: RenderPlan, *, remember: bool = False) -> OutputState:
    """What lies at ``output``, as far as ``plan`` is concerned.

    ``remember``: write down the time of change of a copy, so that it need not be read again.
    """
    record = Record.read(output)
    if record is None:
        return OutputState.OTHER if _present(output) else OutputState.ABSENT
    try:
        state = record.state(output, plan)
    except FileNotFoundError:
        return OutputState.OTHER if _present(output) else OutputState.ABSENT
    if remember and state is OutputState.FINISHED:
        # without a record that says so it is read again the next time, and found the same
        with contextlib.suppress(OutputError, FileNotFoundError):
            changed = _stat(output)[1]
            if changed != record.mtime_ns:
                dataclasses.replace(record, mtime_ns=changed).write(output)
    return state


def _present(output: Path) -> bool:
    """Whether anything is there; what is begun in a bucket under its final name is not."""
    if not isinstance(output, ObjectPath):
        return output.exists()
    if output.is_file() or (output / "zarr.json").is_file():
        return True
    begun = is_draft(output) or all(path.suffix == ".json" for path, _ in output.below())
    return not begun


def finished_store(path: Path) -> TileStore | None:
    """The tile store at ``path``; None where there is none that can be read."""
    if not (path / "zarr.json").is_file():
        return None
    try:
        return TileStore.open(path)
    except OutputError:
        return None


def repair(output: Path) -> int:
    """Remove the damaged shards of a finished store, to be rendered again; returns how many.

    A file that is not what was written counts as one, and stays until its successor is there.
    """
    store = finished_store(output)
    if store is None and not output.is_dir():
        record = Record.read(output)
        return int(record is not None and bool(record.checksum) and not record.intact(output))
    levels = store.levels() if store is not None else []
    return sum(len(level.discard_damaged()) for level in levels)


def part_damage(output: Path, part: tuple[str, str]) -> tuple[str, str]:
    """(where, what) is wrong with a file beside the output; what is empty where nothing is.

    ``part`` is its path from the output's folder, and its checksum.
    """
    where, checksum = part
    try:
        actual = file_checksum(output.parent / where)
    except FileNotFoundError:
        return where, "missing"
    except OSError as error:
        return where, error.strerror or str(error)
    return where, "" if actual == checksum else "other content than was written"


def remove_stale_work(output: Path) -> None:
    """Remove what a killed process left of ``output`` and of its record.

    Call it with the claim of the output, when no other process writes them.
    """
    remove_stale(output)
    if not (output.parent / FOLDER).is_symlink():
        remove_stale(_path(output))


def remove_stale_records(folder: Path) -> None:
    """Remove records that a killed process was writing, of outputs in ``folder``.

    Those of the last minutes stay: they may be another process's, which is about to name them.
    """
    records = folder / FOLDER
    if is_object(folder) or records.is_symlink():
        return
    for path in records.glob(".*.partial"):
        with contextlib.suppress(OSError):
            if is_partial(path) and time.time() - path.lstat().st_mtime > _STALE_SECONDS:
                path.unlink()


def difference(output: Path, plan: RenderPlan) -> str:
    """What an existing output was made with that ``plan`` does not have, for a message."""
    record = Record.read(output)
    if record is None:
        return "a file that was not made by this command"
    changes = differences(record.identity, plan.identity(), (record.model, plan.model))
    if not changes:
        return "a file that was changed after it was made"
    return "one made with other options or another input (" + "; ".join(changes) + ")"


def differences(
    was: dict[str, Any], now: dict[str, Any], models: tuple[str, str] = ("", "")
) -> list[str]:
    """What differs between two identities, a phrase each; ``models`` are the two models' names."""
    return [
        _difference(key, was.get(key), now.get(key), models)
        for key in sorted(was.keys() | now.keys())
        if was.get(key) != now.get(key)
    ]


def _difference(key: str, was: Any, now: Any, models: tuple[str, str]) -> str:
    if key == "input":
        return "the input changed"
    if key == "model":
        before, after = models
        if before == after:
            return f"the weights of model {after} changed"
        return f"model: was {before or 'another'}, now {after}"
    if key == "gray":
        return "the input is gray, and was taken for coloured" if now else "the input is coloured"
    if key == "roi":
        was, now = (
            [roi[side] for side in ("col_off", "row_off", "width", "height")] if roi else None
            for roi in (was, now)
        )
    if key == "out_shape":
        key, was, now = "size", *(f"{side[1]}x{side[0]}" if side else "?" for side in (was, now))
    return f"{key.replace('_', ' ')}: was {_value(was)}, now {_value(now)}"


def _value(value: Any) -> str:
    if value is None:
        return "none"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _whole(output: Path, plan: RenderPlan) -> bool:
    """Whether no shard of a store is missing; a file counts as whole."""
    if plan.output_format != "zarr":
        return True
    store = finished_store(output)
    return store is not None and store.finished


def file_checksum(path: Path) -> str:
    """CRC-32C of a file, for instance "crc32c:8a9136aa". Several times faster than a digest."""
    import google_crc32c

    checksum = google_crc32c.Checksum()
    with path.open("rb") as file:
        while data := file.read(_BLOCK):
            checksum.update(data)
    return f"crc32c:{checksum.hexdigest().decode()}"


def _other_files(written: Path) -> dict[str, str]:
    """Checksums of the tiles of a Deep Zoom image, whose descriptor is ``written``."""
    final = final_name(written)
    folder = tiles_folder(final)
    if final.suffix.lower() != ".dzi" or not folder.is_dir():
        return {}
    tiles = sorted(path for path in folder.rglob("*") if path.is_file())
    with ThreadPoolExecutor(codec_workers()) as pool:
        sums = pool.map(file_checksum, tiles)
        return {
            path.relative_to(folder.parent).as_posix(): checksum
            for path, checksum in zip(tiles, sums, strict=True)
        }


def _path(output: Path) -> Path:
    name = output.name
    if len(os.fsencode(name)) > LONGEST_NAME - len(".json"):
        name = cover(name)
    return output.parent / FOLDER / f"{name}.json"


def _stat(path: Path) -> tuple[int, int]:
    """Size and time of change; of a store, those of its metadata."""
    status = (path / "zarr.json" if path.is_dir() else path).stat()
    return status.st_size, status.st_mtime_ns
