"""Options that need not be typed: from ``liif.toml`` files, and what is in force from where.

A file has a table per command, whose keys are the long names of its options::

    [upscale]
    model = "quality"
    max-memory = "2GiB"
    strip-metadata = true

The nearest one counts, from the working folder upwards, and then that of the user's configuration
folder; an option of the command line or a variable of the environment counts before both.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from liif_cli.errors import UsageError

NAME = "liif.toml"
PREFIX = "LIIF"
"""Of variables: LIIF_UPSCALE_MAX_MEMORY is ``liif upscale --max-memory``."""


@dataclass(frozen=True)
class Settings:
    """Values of options by command and long name, and the file that each comes from."""

    values: dict[str, dict[str, tuple[Any, Path]]] = field(default_factory=dict)
    files: tuple[Path, ...] = ()

    def default_map(self, command: click.Command, name: str) -> dict[str, Any]:
        """click's defaults of a command.

        Raises:
            UsageError: a key that is not an option of it.
        """
        options = long_names(command)
        defaults: dict[str, Any] = {}
        for key, (value, path) in self.values.get(name, {}).items():
            if key not in options:
                near = difflib.get_close_matches(key, options, 1)
                raise UsageError(
                    f"{path}, [{name}]",
                    got=key,
                    expected="a long option without its dashes",
                    cure=f"did you mean {near[0]}?" if near else f"see 'liif {name} --help'",
                )
            parameter = options[key]
            assert parameter.name is not None
            # as on the command line, where everything is text
            plain = isinstance(value, bool) or parameter.multiple
            defaults[parameter.name] = value if plain else str(value)
        return defaults


def long_names(command: click.Command) -> dict[str, click.Option]:
    """Options of a command by their long names, without dashes."""
    return {
        word.removeprefix("--"): parameter
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for word in parameter.opts
        if word.startswith("--")
    }


def places() -> Iterator[Path]:
    """Files that are looked for, the one that counts first first."""
    here = Path.cwd()
    nearest = (folder / NAME for folder in (here, *here.parents))
    yield next((path for path in nearest if path.is_file()), here / NAME)
    yield Path(click.get_app_dir("liif"), NAME)


def read(commands: Callable[[str], bool]) -> Settings:
    """What the files say.

    Args:
        commands: whether there is a command of a name.

    Raises:
        UsageError: a file that is not TOML, or has something else than tables of commands.
    """
    values: dict[str, dict[str, tuple[Any, Path]]] = {}
    files = [path for path in places() if path.is_file()]
    for path in files:
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(str(path), got=str(error), expected="a file of settings") from error
        for name, table in document.items():
            if not isinstance(table, dict) or not commands(name):
                raise UsageError(
                    str(path),
                    got=f"[{name}]" if isinstance(table, dict) else f"{name} outside of a table",
                    expected="a table per command",
                    cure='for instance [upscale] and below it model = "quality"',
                )
            for key, value in table.items():
                values.setdefault(name, {}).setdefault(key, (value, path))
    return Settings(values, tuple(files))
