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

from liif_cli.io.atomic import write_atomically
from liif_cli.plan.plan import RenderPlan, fingerprint_of

FOLDER = ".liif"
VERSION = 1


class OutputState(Enum):
    """What lies at an output's path."""

    ABSENT = "absent"
    FINISHED = "finished"
    OTHER = "other"


@dataclass(frozen=True)
class Record:
    """Identity of the plan that made an output, and the file it made."""

    identity: dict[str, Any]
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, plan: RenderPlan, written: Path) -> Record:
        """The record of a file that is written but has not its final name yet."""
        size, mtime_ns = _stat(written)
        return cls(plan.identity(), size, mtime_ns)

    @classmethod
    def read(cls, output: Path) -> Record | None:
        """The record of ``output``; None where there is none that can be read."""
        try:
            data = json.loads(_path(output).read_text())
            if data.get("version") != VERSION:
                return None
            return cls(dict(data["identity"]), int(data["size"]), int(data["mtime_ns"]))
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
            "size": self.size,
            "mtime_ns": self.mtime_ns,
        }
        text = json.dumps(data, indent=1, sort_keys=True) + "\n"
        write_atomically(_path(output), text.encode())

    def state(self, output: Path, plan: RenderPlan) -> OutputState:
        """Whether ``output`` is the finished result of ``plan``."""
        same = (self.size, self.mtime_ns) == _stat(output) and self.identity == plan.identity()
        return OutputState.FINISHED if same else OutputState.OTHER


def output_state(output: Path, plan: RenderPlan) -> OutputState:
    """What lies at ``output``, as far as ``plan`` is concerned."""
    if not output.exists():
        return OutputState.ABSENT
    record = Record.read(output)
    return record.state(output, plan) if record else OutputState.OTHER


def difference(output: Path, plan: RenderPlan) -> str:
    """What an existing output was made with that ``plan`` does not have, for a message."""
    record = Record.read(output)
    if record is None:
        return "a file that was not made by this command"
    now = plan.identity()
    names = sorted(
        key
        for key in now.keys() | record.identity.keys()
        if now.get(key) != record.identity.get(key)
    )
    if not names:
        return "a file that was changed after it was made"
    return "one made with another " + ", ".join(name.replace("_", " ") for name in names)


def _path(output: Path) -> Path:
    return output.parent / FOLDER / f"{output.name}.json"


def _stat(path: Path) -> tuple[int, int]:
    """Size and time of change; of a store, those of its metadata."""
    status = os.stat(path / "zarr.json" if path.is_dir() else path)
    return status.st_size, status.st_mtime_ns
