"""Exceptions of liif: one class a kind of failure, one exit code per class.

Every message says what went wrong, what was got, what was expected and the cure, on one line.
"""

from __future__ import annotations

import re

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 3

# control characters, ends of lines, what turns the direction of writing, bytes that are not UTF-8
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: object) -> str:
    """Text for a terminal, a log or JSON: what could steer a terminal, or is not text, escaped.

    File names may hold anything. Control characters become ``\\n``, ``\\x1b`` or ``\\u202e``, and a
    byte that is not UTF-8 ``\\xff``; everything else stays. The result is one line, and UTF-8.
    """

    def escaped(match: re.Match[str]) -> str:
        code = ord(match[0])
        # how Python holds the byte 0xff of a name: U+DCFF
        byte = chr(code - 0xDC00) if 0xDC80 <= code <= 0xDCFF else match[0]
        return byte.encode("unicode_escape").decode("ascii")

    return _UNSAFE.sub(escaped, str(text))


class LiifError(Exception):
    """Base of every error that liif raises on purpose; its message is ``printable``.

    Args:
        what: what went wrong, naming the file or option.
        got: what was found.
        expected: what would have been right.
        cure: what the user can do.
    """

    exit_code = EXIT_FAILED

    def __init__(self, what: str, *, got: str = "", expected: str = "", cure: str = "") -> None:
        self.what, self.got, self.expected, self.cure = what, got, expected, cure
        facts = ", ".join(
            f"{label} {value}" for label, value in (("got", got), ("expected", expected)) if value
        )
        message = f"{what}: {facts}" if facts else what
        super().__init__(printable(f"{message}; {cure}" if cure else message))


class UsageError(LiifError):
    """Options or arguments that do not fit together, or name something unknown."""

    exit_code = EXIT_USAGE


class InputError(LiifError):
    """An input image that cannot be read, or is of a kind that cannot be handled."""


class OutputError(LiifError):
    """An output that cannot be written: permission, disk, or a limit of its format."""


class PlanError(LiifError):
    """A render that cannot fit the memory or the disk; raised before any work."""


class CheckpointError(LiifError):
    """A weights file that is not a checkpoint, is damaged, or does not fit its config."""


class RenderError(LiifError):
    """A network that gave something that is not a colour (NaN, infinity)."""


class TrainError(LiifError):
    """A training that cannot start or go on."""


class Interrupted(LiifError):
    """Stopped by the user; the same command resumes."""

    exit_code = EXIT_INTERRUPTED
