"""``--log-file``: every event of a batch as a line of JSON, appended."""

from __future__ import annotations

import dataclasses
import datetime
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from liif_cli.engine.events import Event, Warned
from liif_cli.errors import printable
from liif_cli.io.atomic import output_errors
from liif_cli.plan.plan import RenderPlan


class EventLog:
    """Writes events to the end of a file, each one at once.

    A line has "time" (with the time zone), "event" and what the event says; a plan is told by
    input, output, shapes and identity. What cannot be written is said once: the work is worth more
    than its log.

    Args:
        path: the file; made where it is not there.
        listen: told of what cannot be written.

    Raises:
        OutputError: the file cannot be opened.
    """

    def __init__(self, path: Path, listen: Callable[[Event], None]) -> None:
        self.path, self.listen, self.gone = path, listen, False
        with output_errors(path):
            self.file = path.open("a", encoding="utf-8")

    def __call__(self, event: Event) -> None:
        """Append a line."""
        if self.gone:
            return
        values = {
            field.name: _plain(getattr(event, field.name)) for field in dataclasses.fields(event)
        }
        now = datetime.datetime.now().astimezone().isoformat(timespec="milliseconds")
        try:
            print(json.dumps({"time": now, "event": _name(event), **values}), file=self.file)
            self.file.flush()
        except OSError as error:
            self.gone = True
            self.listen(Warned(f"cannot write {self.path}: {error.strerror or error}"))

    def close(self) -> None:
        """Nothing more comes."""
        try:
            self.file.close()
        except OSError:
            self.gone = True


@contextmanager
def logged(path: Path | None, listen: Callable[[Event], None]) -> Iterator[Callable[[Event], None]]:
    """``listen``, and a log at ``path`` where there is one.

    Raises:
        OutputError: the log cannot be opened.
    """
    if path is None:
        yield listen
        return
    log = EventLog(path, listen)

    def both(event: Event) -> None:
        log(event)
        listen(event)

    try:
        yield both
    finally:
        log.close()


def _name(event: Event) -> str:
    """``ImageDone`` as "image done"."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", type(event).__name__).lower()


def _plain(value: Any) -> Any:
    if isinstance(value, RenderPlan):
        return {
            "input": printable(value.input),
            "output": printable(value.output),
            "in_shape": value.in_shape,
            "out_shape": value.out_shape,
            "tasks": value.task_count,
            "identity": value.identity(),
        }
    return printable(value) if isinstance(value, Path | str) else value
