"""What is known of finished outputs: a small file a output, in a hidden folder beside it.

An output counts as finished when its record's fingerprint is the plan's and the file is still the
one that was written (size and time of change). A record is written before the output gets its
name, so that an output without one was never finished by this tool.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from liif_cli.errors import OutputError
from liif_cli.io.atomic import LONGEST_NAME, cover, write_atomically
from liif_cli.io.tilestore import TileStore
from liif_cli.plan.plan import RenderPlan, fingerprint_of

FOLDER = ".liif"
VERSION = 1
_BLOCK = 4 * 2**20


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
    is whether the input was found to be gray, None where nobody looked.
    """

    identity: dict[str, Any]
    size: int
    mtime_ns: int
    model: str = ""
    checksum: str = ""
    gray: bool | None = None

    @classmethod
    def of(cls, plan: RenderPlan, written: Path) -> Record:
        """The record of a file that is written but has not its final name yet."""
        return cls.of_file(plan.identity(), written, plan.model, plan.gray)

    @classmethod
    def of_file(
        cls, identity: dict[str, Any], written: Path, model: str = "", gray: bool | None = None
    ) -> Record:
        """As ``of``, from the identity of a plan, the name of its model, and what it found."""
        size, mtime_ns = _stat(written)
        checksum = "" if written.is_dir() else file_checksum(written)
        return cls(identity, size, mtime_ns, model, checksum, gray)

    @classmethod
    def read(cls, output: Path) -> Record | None:
        """The record of ``output``; None where there is none that can be read."""
        try:
            data = json.loads(_path(output).read_text())
            if data.get("version") != VERSION:
                return None
            return cls(
                dict(data["identity"]),
                int(data["size"]),
                int(data["mtime_ns"]),
                str(data.get("model", "")),
                checksum=str(data.get("checksum", "")),
                gray=data.get("gray"),
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
        text = json.dumps(data, indent=1, sort_keys=True) + "\n"
        write_atomically(_path(output), text.encode())

    def state(self, output: Path, plan: RenderPlan) -> OutputState:
        """Whether ``output`` is the finished result of ``plan``."""
        same = (self.size, self.mtime_ns) == _stat(output) and self.identity == plan.identity()
        if not same:
            return OutputState.OTHER
        return OutputState.FINISHED if _whole(output, plan) else OutputState.DAMAGED


def output_state(output: Path, plan: RenderPlan) -> OutputState:
    """What lies at ``output``, as far as ``plan`` is concerned."""
    if not output.exists():
        return OutputState.ABSENT
    record = Record.read(output)
    return record.state(output, plan) if record else OutputState.OTHER


def finished_store(path: Path) -> TileStore | None:
    """The tile store at ``path``; None where there is none that can be read."""
    if not (path / "zarr.json").is_file():
        return None
    try:
        return TileStore.open(path)
    except OutputError:
        return None


def repair(output: Path) -> int:
    """Remove the damaged shards of a finished store, to be rendered again; returns how many."""
    store = finished_store(output)
    found = 0
    for level in store.levels() if store is not None else []:
        for row, col in level.damaged():
            level.discard(row, col)
            found += 1
    return found


def difference(output: Path, plan: RenderPlan) -> str:
    """What an existing output was made with that ``plan`` does not have, for a message."""
    record = Record.read(output)
    if record is None:
        return "a file that was not made by this command"
    found = differences(record.identity, plan.identity(), (record.model, plan.model))
    if not found:
        return "a file that was changed after it was made"
    return "one made with other options or another input (" + "; ".join(found) + ")"


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
    return store is not None and store.complete and store.finished


def file_checksum(path: Path) -> str:
    """CRC-32C of a file, for instance "crc32c:8a9136aa". Several times faster than a digest."""
    import google_crc32c

    checksum = google_crc32c.Checksum()
    with path.open("rb") as file:
        while data := file.read(_BLOCK):
            checksum.update(data)
    return f"crc32c:{checksum.hexdigest().decode()}"


def _path(output: Path) -> Path:
    name = output.name
    if len(os.fsencode(name)) > LONGEST_NAME - len(".json"):
        name = cover(name)
    return output.parent / FOLDER / f"{name}.json"


def _stat(path: Path) -> tuple[int, int]:
    """Size and time of change; of a store, those of its metadata."""
    status = os.stat(path / "zarr.json" if path.is_dir() else path)
    return status.st_size, status.st_mtime_ns
