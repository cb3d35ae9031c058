"""``liif config``: which settings are in force, and where they come from."""

from __future__ import annotations

import json
from typing import Any

import click

from liif_cli.errors import printable
from liif_cli.ui import options
from liif_cli.ui.settings import PREFIX, Settings, long_names, places


@click.command()
@click.argument("command", required=False)
@options.json_option
@click.pass_context
def config(ctx: click.Context, /, command: str | None, as_json: bool) -> None:
    """Print the settings that are in force, of all commands or of COMMAND, and where from.

    Settings are options that need not be typed. They come from liif.toml, the nearest one from
    here upwards, and from the one of your configuration folder; it has a table per command:

    \b
      [upscale]
      model = "quality"
      max-memory = "2GiB"

    and from variables, LIIF_UPSCALE_MAX_MEMORY for instance. What is typed counts first, then
    variables, then the nearest file.

    \b
    Examples:
      liif config
      liif config upscale --json
    """
    parent = ctx.parent
    assert parent is not None
    group = parent.command
    assert isinstance(group, click.Group)
    settings: Settings = ctx.obj.get("settings") or Settings()
    settings_in_force: list[dict[str, Any]] = []
    names = [command] if command else list(group.list_commands(parent))
    for name in names:
        _, kind, _ = group.resolve_command(parent, [name])
        assert kind is not None
        settings.default_map(kind, name)
        for option, parameter in long_names(kind).items():
            assert parameter.name is not None
            variable = f"{PREFIX}_{name.upper()}_{parameter.name.upper()}"
            inner = click.Context(kind, info_name=name, parent=parent)
            if (text := parameter.resolve_envvar_value(inner)) is not None:
                settings_in_force.append(_line(name, option, text, variable))
            elif (value := settings.values.get(name, {}).get(option)) is not None:
                settings_in_force.append(_line(name, option, value[0], str(value[1])))
    if as_json:
        click.echo(json.dumps(settings_in_force, indent=1))
        return
    for line in settings_in_force:
        click.echo(
            f"liif {line['command']} --{line['option']} {line['value']}   (from {line['from']})"
        )
    if not settings_in_force:
        click.echo("no settings; looked for " + " and ".join(printable(path) for path in places()))


def _line(command: str, option: str, value: object, source: str) -> dict[str, Any]:
    return {
        "command": command,
        "option": option,
        "value": value if isinstance(value, bool | int | float) else printable(value),
        "from": printable(source),
    }
