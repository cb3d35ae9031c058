"""What the texts of options mean: click's types. Imports nothing heavy."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from liif_cli.errors import UsageError
from liif_cli.geometry.cell import CellPolicy
from liif_cli.geometry.size import SizeRequest
from liif_cli.geometry.window import Window

_UNITS = {"": 1, "B": 1, **{letter: 1024**power for power, letter in enumerate("KMGT", 1)}}
_UNITS |= {f"{letter}B": 1000**power for power, letter in enumerate("KMGT", 1)}
_UNITS |= {f"{letter}IB": 1024**power for power, letter in enumerate("KMGT", 1)}
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Z]*)")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%", re.ASCII)
_PRINT = re.compile(r"(\d+(?:\.\d+)?)\s*[x*]\s*(\d+(?:\.\d+)?)\s*(cm|mm|in)", re.ASCII)
_INCHES = {"cm": 1 / 2.54, "mm": 1 / 25.4, "in": 1.0}
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")
_SCALE = re.compile(r"\d+(?:\.\d*)?", re.ASCII)
MOST_VIA = 64
"""Largest scale of an image in between; beyond, nobody could tell it from the output."""
_DEVICE = re.compile(r"auto|cpu|mps|cuda(?::\d+)?")


class _TextType(click.ParamType):  # type: ignore[type-arg]  # no generic before click 8.2
    """A type whose name is shown in the help as it is written here."""

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return self.name


class SizeType(_TextType):
    """WxH, Wx or xH as a SizeRequest."""

    name = "WxH"

    def convert(self, value: Any, param: Any, ctx: Any) -> SizeRequest:
        return value if isinstance(value, SizeRequest) else SizeRequest.from_size(value)


class ScaleType(_TextType):
    """S or SxS as a SizeRequest."""

    name = "S|SxS"

    def convert(self, value: Any, param: Any, ctx: Any) -> SizeRequest:
        return value if isinstance(value, SizeRequest) else SizeRequest.from_scale(value)


class PointType(_TextType):
    """X,Y as two whole numbers."""

    name = "X,Y"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d+),(\d+)", value.strip(), re.ASCII)
        if match is None:
            self.fail(f"{value!r} is not X,Y in whole pixels", param, ctx)
        return int(match[1]), int(match[2])


class PlaceType(_TextType):
    """A path of this machine, or a URL of a bucket."""

    name = "PATH"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        # an argument is shown by its own name
        return (param.name or self.name).upper() if isinstance(param, click.Argument) else self.name

    def convert(self, value: Any, param: Any, ctx: Any) -> Path:
        # it brings numpy along, which --help does without
        from liif_cli.io.place import location

        return location(value)


PLACE = PlaceType()


class AliasType(click.Choice):  # type: ignore[type-arg]
    """A choice that also knows other words for the same, and what packages add to a registry."""

    def __init__(
        self, choices: Sequence[str], aliases: Mapping[str, str], registry: Mapping[str, str]
    ) -> None:
        super().__init__(choices)
        self.aliases, self.registry = aliases, registry

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        text = str(value).strip().lower()
        text = self.aliases.get(text, text)
        if text not in self.choices and text in self.registry:
            return text
        return str(super().convert(text, param, ctx))


class PrintType(_TextType):
    """120x80cm, 300x200mm or 12x8in as (width, height) in inches."""

    name = "WxHcm|mm|in"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, float]:
        if isinstance(value, tuple):
            return value
        match = _PRINT.fullmatch(str(value).strip().lower())
        sides = (float(match[1]), float(match[2])) if match else (0.0, 0.0)
        if match is None or min(sides) <= 0:
            raise UsageError(
                "--print",
                got=repr(value),
                expected="width and height above 0 with cm, mm or in",
                cure="for instance --print 120x80cm --dpi 150",
            )
        unit = _INCHES[match[3]]
        return sides[0] * unit, sides[1] * unit


class MemoryType(_TextType):
    """2GiB, 2G, 1.5GB, 500MB, 50% of all or plain bytes as a number of bytes."""

    name = "BYTES"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        if isinstance(value, int):
            return value
        if (share := _SHARE.fullmatch(str(value).strip())) and 0 < float(share[1]) <= 100:
            import psutil

            return int(psutil.virtual_memory().total * float(share[1]) / 100)
        match = _MEMORY.fullmatch(str(value).strip().upper())
        count = int(float(match[1]) * _UNITS[match[2]]) if match and match[2] in _UNITS else 0
        if count < 1:
            raise UsageError(
                param.opts[0] if param is not None else "memory",
                got=repr(value),
                expected="bytes above 0, with or without K, M, G, KB, MB, GB, KiB, MiB, GiB, or a "
                "percentage of the machine's memory",
                cure="for instance --max-memory 2GiB",
            )
        return count


class RoiType(_TextType):
    """X,Y,W,H in input pixels as a Window."""

    name = "X,Y,W,H"

    def convert(self, value: Any, param: Any, ctx: Any) -> Window:
        if isinstance(value, Window):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        if len(parts) == 4 and all(part.isdecimal() and len(part) <= 9 for part in parts):
            left, top, width, height = map(int, parts)
            if width and height:
                return Window(top, left, height, width)
        raise UsageError(
            "--roi",
            got=repr(value),
            expected="X,Y,W,H in whole input pixels, W and H above 0",
            cure="for instance --roi 1000,500,2000,1500",
        )


class CellType(_TextType):
    """scaled, clamped or a factor as a CellPolicy."""

    name = "scaled|clamped|FACTOR"

    def convert(self, value: Any, param: Any, ctx: Any) -> CellPolicy:
        return CellPolicy.of(value)


class CleanupType(_TextType):
    """auto as None, none as 0, or a number of 0 to 100."""

    name = "auto|none|0..100"

    def convert(self, value: Any, param: Any, ctx: Any) -> float | None:
        text = str(value).strip().lower()
        if text in ("auto", "none"):
            return None if text == "auto" else 0.0
        level = float(text) if _SCALE.fullmatch(text) else math.inf
        if level > 100:
            raise UsageError(
                "--cleanup",
                got=repr(value),
                expected="auto, none or a number of 0 to 100",
                cure="for instance --cleanup 30 for a JPEG that was of quality 70 once",
            )
        return level


class ViaType(_TextType):
    """A scale of 1 or more, exact."""

    name = "S"

    def convert(self, value: Any, param: Any, ctx: Any) -> Fraction:
        if isinstance(value, Fraction):
            return value
        text = str(value).strip().lower().removeprefix("x")
        scale = Fraction(text) if _SCALE.fullmatch(text) else Fraction(0)
        if not 1 <= scale <= MOST_VIA:
            raise UsageError(
                "--via",
                got=repr(value),
                expected=f"a scale of 1 to {MOST_VIA}",
                cure="for instance --via 4",
            )
        return scale


class SelectType(_TextType):
    """c=0,z=3 as pairs of names and indices."""

    name = "AXIS=N,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[tuple[str, int], ...]:
        if isinstance(value, tuple):
            return value
        pairs = [part.partition("=") for part in str(value).lower().split(",")]
        names = [name.strip() for name, _, _ in pairs]
        indices = [index.strip() for _, _, index in pairs]
        known = all(name.isalpha() for name in names) and len(set(names)) == len(names)
        if not known or not all(one.isdecimal() and len(one) <= 9 for one in indices):
            raise UsageError(
                "--select",
                got=repr(value),
                expected="names of axes, each once, and indices from 0",
                cure="for instance --select c=0,z=3",
            )
        return tuple(sorted(zip(names, map(int, indices), strict=True)))


class DeviceType(_TextType):
    """auto, cpu, cuda, cuda:N or mps; whether it is there is found out later."""

    name = "auto|cpu|cuda[:N]|mps"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        text = str(value).strip().lower()
        if not _DEVICE.fullmatch(text):
            raise UsageError(
                "--device", got=repr(value), expected="auto, cpu, cuda, cuda:N (N from 0) or mps"
            )
        return text


class TimeOfDayType(_TextType):
    """A time of day, HH:MM."""

    name = "HH:MM"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime.time:
        match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", str(value).strip())
        if match is None:
            raise UsageError("--stop-at", got=repr(value), expected="a time of day, as 06:00")
        return datetime.time(int(match[1]), int(match[2]))


class DurationType(_TextType):
    """90s, 25m or 1h30m as seconds."""

    name = "DURATION"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        if isinstance(value, float):
            return value
        match = _DURATION.fullmatch(str(value).strip().lower())
        parts = [float(part or 0) for part in match.groups()] if match else []
        seconds = sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))
        if seconds <= 0:
            raise UsageError(
                param.opts[0] if param is not None else "duration",
                got=repr(value),
                expected="hours, minutes and seconds above 0",
                cure="for instance 90s, 25m or 1h30m",
            )
        return seconds


class AssignmentType(_TextType):
    """name=value as a pair of texts."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, sign, text = str(value).partition("=")
        if not (name.strip() and sign and text.strip()):
            raise UsageError(
                "--set", got=repr(value), expected="name=value", cure="for instance --set lr=1e-3"
            )
        return name.strip(), text.strip()


class NumbersType(_TextType):
    """2,3,3.7 as a tuple of numbers above 0, each once."""

    name = "N,N,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        texts = [text.strip().lower().removeprefix("x") for text in str(value).split(",")]
        try:
            numbers = tuple(dict.fromkeys(float(text) for text in texts))
        except ValueError:
            numbers = ()
        if not numbers or not all(0 < number < math.inf for number in numbers):
            name = param.opts[0] if param is not None else "numbers"
            raise UsageError(name, got=repr(value), expected="numbers above 0, as 2,3,4")
        return numbers


class NamesType(_TextType):
    """a,b,c as a tuple of texts, each once."""

    name = "NAME,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(dict.fromkeys(text.strip() for text in str(value).split(",")))
        if not all(names):
            name = param.opts[0] if param is not None else "names"
            raise UsageError(name, got=repr(value), expected="names, as liif,bicubic")
        return names
