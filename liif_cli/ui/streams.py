"""Standard streams may be closed, full, or read by nobody; the work does not depend on them."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class TolerantStream:
    """``stream``, and silence from the first text on that cannot be written."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.gone = stream, False

    def write(self, text: str) -> int:
        """Write ``text`` as far as anybody takes it."""
        if not self.gone:
            try:
                self.stream.write(text)
            except OSError:
                self.gone = True
        return len(text)

    def flush(self) -> None:
        """Flush what can be."""
        if not self.gone:
            try:
                self.stream.flush()
            except OSError:
                self.gone = True

    def writelines(self, lines: list[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def open_closed_streams() -> None:
    """Give a process that was started without stdin, stdout or stderr such that lead nowhere.

    The next file that is opened would get their number, and whatever a library prints would end in
    it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # the lowest number that is free
            os.open(os.devnull, os.O_RDWR)
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", closefd=False))  # noqa: SIM115


@contextmanager
def tolerant_streams() -> Iterator[None]:
    """While it lasts, stderr never fails, and stdout escapes letters that its encoding lacks."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # as Python does on stderr
        sys.stdout.reconfigure(errors="backslashreplace")
    before = sys.stderr
    sys.stderr = TolerantStream(before)
    try:
        yield
    finally:
        sys.stderr = before
