"""A batch as a file, for several processes or machines to work on: what is asked for, and of what.

A line of JSON with the request, what decides the bytes of the results, and a checksum of all; then
one line per image with its name. An image is not opened for that: its worker plans it. Paths that
were given relative are relative to the file, so that a folder with both may be mounted anywhere.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from liif_cli import __version__
from liif_cli.errors import UsageError
from liif_cli.geometry.cell import CellPolicy
from liif_cli.geometry.size import SizeRequest
from liif_cli.geometry.window import Window
from liif_cli.io.atomic import write_atomically
from liif_cli.io.place import is_url, location
from liif_cli.plan.spec import RenderSpec

VERSION = 1
"""Of the form of the file."""


@dataclass(frozen=True)
class PlanFile:
    """What a plan file says.

    Attributes:
        input, output: as they were given; relative ones are relative to the file.
        spec: what is asked for.
        suffix: put behind the stem of every output's name.
        model_digest: identifies the weights.
        numerics: what else decides the bytes of a result, by name.
        names: of the images below ``input``, with "/"; empty where ``input`` is one image.
    """

    input: str
    output: str
    spec: RenderSpec
    suffix: str
    model_digest: str
    numerics: Mapping[str, str]
    names: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """SHA-256 of everything, hexadecimal: another plan has another one."""
        return _checksum(self._header(), self.names)

    def _header(self) -> dict[str, Any]:
        return {
            "liif_plan": VERSION,
            "liif": __version__,
            "input": self.input,
            "output": self.output,
            "images": max(1, len(self.names)),
            "spec": spec_to_dict(self.spec),
            "suffix": self.suffix,
            "model_digest": self.model_digest,
            "numerics": dict(self.numerics),
        }

    def write(self, path: Path) -> None:
        """Write the file whole.

        Raises:
            OutputError: the folder cannot be written.
        """
        header = self._header()
        header["sha256"] = _checksum(header, self.names)
        lines = [json.dumps(header), *map(json.dumps, self.names), ""]
        write_atomically(path, "\n".join(lines).encode())

    @classmethod
    def read(cls, path: Path) -> PlanFile:
        """The plan in a file.

        Raises:
            UsageError: it is not a plan, is of another version, or was changed by hand.
        """
        try:
            first, *rest = path.read_text(encoding="ascii").splitlines()
            header = json.loads(first)
            version = header.pop("liif_plan")
        except OSError as error:
            raise UsageError(
                "PLAN", got=f"{path}: {error.strerror}", cure="check the path"
            ) from error
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise UsageError(
                "PLAN", got=f"{path}", expected="a file that 'liif plan' wrote"
            ) from error
        if version != VERSION:
            raise UsageError(
                "PLAN",
                got=f"{path} of version {version}",
                expected=f"version {VERSION}",
                cure="make it again with this liif's 'liif plan'",
            )
        checksum = header.pop("sha256", None)
        try:
            names = tuple(json.loads(line) for line in rest)
            whole = _checksum({"liif_plan": version, **header}, names) == checksum
            if not whole or not all(isinstance(name, str) for name in names):
                raise ValueError
            return cls(
                input=header["input"],
                output=header["output"],
                spec=spec_from_dict(header["spec"]),
                suffix=header["suffix"],
                model_digest=header["model_digest"],
                numerics=header["numerics"],
                names=names,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                "PLAN",
                got=f"{path}, which was changed after it was made",
                expected="the file as 'liif plan' wrote it",
                cure="make it again with the options that are wanted",
            ) from error

    def place(self, path: Path, given: str) -> Path:
        """A path of the plan at ``path``, as a process of any working folder finds it."""
        if is_url(given):
            return location(given)
        return Path(os.path.normpath(path.absolute().parent / given))


def spec_to_dict(spec: RenderSpec) -> dict[str, Any]:
    """As a JSON object; what is the default is left out."""
    plain = RenderSpec(size=spec.size, model=spec.model)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(spec):
        value = getattr(spec, field.name)
        if field.name != "size" and value == getattr(plain, field.name) and field.name != "model":
            continue
        values[field.name] = _TO_JSON.get(field.name, lambda one: one)(value)
    return values


def spec_from_dict(found: Mapping[str, Any]) -> RenderSpec:
    """The inverse of ``spec_to_dict``.

    Raises:
        KeyError, TypeError, ValueError: it is not a spec.
    """
    values = {name: _FROM_JSON.get(name, lambda one: one)(value) for name, value in found.items()}
    return RenderSpec(**values)


def _size_to_json(size: SizeRequest) -> dict[str, Any]:
    scale = [str(value) for value in size.scale] if size.scale else None
    values = {"width": size.width, "height": size.height, "scale": scale, "fit": size.fit}
    others = {name: getattr(size, name) for name in ("long_side", "short_side", "pixels")}
    return values | {name: value for name, value in others.items() if value}


def _size_from_json(found: dict[str, Any]) -> SizeRequest:
    scale = found["scale"]
    both = (Fraction(scale[0]), Fraction(scale[1])) if scale else None
    rest = {name: found.get(name) for name in ("long_side", "short_side", "pixels")}
    return SizeRequest(found["width"], found["height"], both, found["fit"], **rest)


_TO_JSON: dict[str, Any] = {
    "size": _size_to_json,
    "cell": str,
    "via": str,
    "roi": dataclasses.asdict,
}
_FROM_JSON: dict[str, Any] = {
    "size": _size_from_json,
    "cell": CellPolicy.parse,
    "via": Fraction,
    "roi": lambda found: Window(**found),
    "include": tuple,
    "exclude": tuple,
    "select": lambda found: tuple((name, index) for name, index in found),
}


def _checksum(header: Mapping[str, Any], names: tuple[str, ...]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in names:
        digest.update(json.dumps(name).encode() + b"\n")
    return digest.hexdigest()
