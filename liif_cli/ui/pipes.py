"""One image through a pipe: "-" is stdin as INPUT and stdout as OUTPUT. Imports nothing heavy."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from liif_cli.errors import OutputError, UsageError

PIPE = Path("-")
_FOLDERS = ("zarr", "dzi")


@dataclass(frozen=True)
class Piped:
    """The paths that stand for a pipe's ends, and where its output is looked for."""

    inputs: list[Path]
    output: Path
    made: Path | None = None

    def deliver(self) -> None:
        """Write the one output to stdout, where it goes there.

        Raises:
            OutputError: there is none.
        """
        if self.made is None:
            return
        files = [entry for entry in sorted(self.made.iterdir()) if entry.is_file()]
        if len(files) != 1:
            raise OutputError("stdout", got="no output", expected="one image")
        with files[0].open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()


@contextmanager
def piped(inputs: Sequence[Path], output: Path, format: str) -> Iterator[Piped]:
    """Files for the ends that are pipes, removed at the end.

    Args:
        inputs: of the command; one of them alone may be "-".
        output: of the command.
        format: that of ``--format``.

    Raises:
        UsageError: more than one input through a pipe, or an output that is a folder.
    """
    if PIPE not in inputs and output != PIPE:
        yield Piped(list(inputs), output)
        return
    if len(inputs) > 1:
        raise UsageError("-", got=f"{len(inputs)} inputs", expected="one image through a pipe")
    if output == PIPE and format in _FOLDERS:
        raise UsageError("OUTPUT", got=f"- for {format}, which is a folder", cure="name a folder")
    if output == PIPE and inputs[0].is_dir():
        raise UsageError("OUTPUT", got=f"- for the folder {inputs[0]}", cure="name a folder")
    with tempfile.TemporaryDirectory(prefix="liif-") as folder:
        source = inputs[0]
        if source == PIPE:
            source = Path(folder, "stdin")
            with source.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
        made = Path(folder, "out") if output == PIPE else None
        yield Piped([source], made or output, made)
