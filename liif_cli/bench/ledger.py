"""Scores as they are measured, a JSON line each, so that a killed bench can go on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from liif_cli.bench.results import ImageScore
from liif_cli.io.atomic import output_errors

NAME = "results.jsonl"

Key = Mapping[str, Any]


class Ledger:
    """Scores by everything that decides them; kept in a file when there is a folder for it.

    A last line that was cut short is removed; a line that holds no score is passed over.

    Args:
        folder: where results.jsonl lies; None keeps everything in memory.

    Raises:
        OutputError: the folder cannot be written.
    """

    def __init__(self, folder: Path | None) -> None:
        self.path = folder / NAME if folder is not None else None
        self._scores: dict[str, ImageScore] = {}
        if self.path is None:
            return
        with output_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file:
                file.seek(0)
                data = file.read()
                whole = data.rfind(b"\n") + 1
                if whole < len(data):
                    file.truncate(whole)
        for line in data[:whole].splitlines():
            self._take(line)

    def __len__(self) -> int:
        return len(self._scores)

    def _take(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
            self._scores[_text(entry["key"])] = ImageScore.from_json(entry["score"])
        except (ValueError, KeyError, TypeError):
            pass  # damaged: measured once more

    def get(self, key: Key) -> ImageScore | None:
        """The score that was measured under ``key``, or None."""
        return self._scores.get(_text(key))

    def add(self, key: Key, score: ImageScore) -> None:
        """Keep a score; when this returns it is on the disk.

        Raises:
            OutputError: a full disk, or the folder is gone.
        """
        self._scores[_text(key)] = score
        if self.path is None:
            return
        line = json.dumps({"key": dict(key), "score": score.to_json()}) + "\n"
        with output_errors(self.path), self.path.open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())


def _text(key: Key) -> str:
    return json.dumps(key, sort_keys=True)
