"""The JSON file of ``--report`` from the first moment of a command to its last.

It is begun before anything is loaded and ended on every way out, so that what lies there is this
run's, and says that it is under way where it is. Imports nothing heavy.
"""

from __future__ import annotations

import datetime
import json
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from liif_cli import __version__
from liif_cli.errors import EXIT_INTERRUPTED, UsageError, printable
from liif_cli.io.atomic import write_atomically

REPORT_VERSION = 2


class ReportFile:
    """The report of this process at ``path``, written by ``begin`` and ``end``.

    Args:
        path: where it is written, atomically each time.
        command: the words of the command line behind the program's name.

    Raises:
        UsageError: its folder is not there, or it is a folder itself.
    """

    def __init__(self, path: Path, command: Sequence[str]) -> None:
        check_report_path(path)
        self.path = path
        self.result: Mapping[str, Any] = {}
        """What became of the batch; set where there was one."""
        self.begun: dict[str, Any] = {
            "version": REPORT_VERSION,
            "liif": __version__,
            "command": [printable(word) for word in command],
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": _now(),
        }

    def begin(self) -> None:
        """Write that the command runs.

        Raises:
            OutputError: the file cannot be written.
        """
        self._write({**self.begun, "state": "running"})

    def end(self, exit_code: int, error: str = "") -> None:
        """Write how the command ended.

        Args:
            exit_code: of the process.
            error: what ended it early, one line; empty where nothing did.

        Raises:
            OutputError: the file cannot be written.
        """
        self._write(
            {
                **self.begun,
                "state": "ended",
                "ended": _now(),
                "exit_code": exit_code,
                "interrupted": exit_code == EXIT_INTERRUPTED,
                "error": error or None,
                **self.result,
            }
        )

    def _write(self, data: Mapping[str, Any]) -> None:
        write_atomically(self.path, (json.dumps(data, indent=1) + "\n").encode())


def check_report_path(path: Path) -> None:
    """Refuse a report that could not be written, before the work rather than after it.

    Raises:
        UsageError: its folder is not there, or it is a folder itself.
    """
    if path.is_dir():
        raise UsageError("--report", got=f"{str(path)!r}, a folder", expected="a file")
    if not path.parent.is_dir():
        raise UsageError(
            "--report",
            got=repr(str(path)),
            expected="a file in a folder that is there",
            cure=f"make {path.parent} first",
        )


def named_report(words: Sequence[str]) -> Path | None:
    """The file behind ``--report`` in a command line that could not be understood."""
    for number, word in enumerate(words):
        if word == "--report" and number + 1 < len(words):
            return Path(words[number + 1])
        if word.startswith("--report="):
            return Path(word.removeprefix("--report="))
    return None


def _now() -> str:
    """With the time zone, to the second."""
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")
