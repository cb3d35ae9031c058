"""One image through a pipe: "-" is stdin as INPUT and stdout as OUTPUT. Imports nothing heavy."""

from __future__ import annotations

import dataclasses
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from liif_cli.errors import OutputError, UsageError

PIPE = Path("-")
_FOLDERS = ("zarr", "dzi")
_WITH_PATHS = ("plan", "results")
"""Fields of events and reports that hold plans and results of images."""

T = TypeVar("T")


@dataclass(frozen=True)
class Piped:
    """The paths that stand for a pipe's ends, and where its output is looked for.

    ``names`` has what these paths are called, by a pattern of each.
    """

    inputs: list[Path]
    output: Path
    made: Path | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    def named(self, value: T) -> T:
        """A text, path, event or report that speaks of the pipe's ends, not of files for them."""
        if not self.names:
            return value
        plain: Any = value
        if isinstance(plain, str):
            for pattern, name in self.names.items():
                plain = re.sub(pattern, name, plain)
        elif isinstance(plain, Path):
            text = self.named(str(plain))
            plain = plain if text == str(plain) else Path(text)
        elif isinstance(plain, list):
            plain = [self.named(one) for one in plain]
        elif dataclasses.is_dataclass(plain) and not isinstance(plain, type):
            values = ((each.name, getattr(plain, each.name)) for each in dataclasses.fields(plain))
            plain = dataclasses.replace(
                plain,
                **{
                    name: self.named(one)
                    for name, one in values
                    if isinstance(one, str | Path) or name in _WITH_PATHS
                },
            )
        return cast(T, plain)

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
        names: dict[str, str] = {}
        if source == PIPE:
            source = Path(folder, "stdin")
            with source.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
            names[re.escape(str(source))] = "stdin"
        made = Path(folder, "out") if output == PIPE else None
        if made is not None:
            names[rf"{re.escape(str(made))}(/[^/\s:,;]+)?"] = "stdout"
        yield Piped([source], made or output, made, names)
