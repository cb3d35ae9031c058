"""Writes docs/cli.md from the help texts of the commands.

python docs/generate_cli.py            write docs/cli.md
python docs/generate_cli.py --check    exit 1 where it is not up to date
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from liif_cli.cli import liif

TARGET = Path(__file__).with_name("cli.md")
WIDTH = 96
HEAD = """# Command line reference

Made from the help texts by `python docs/generate_cli.py`; change those, not this page.
"""


def reference() -> str:
    """The page as Markdown."""
    # "liif" and not the name of the running program, and one width on every terminal
    settings = {**liif.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    root = click.Context(liif, info_name="liif", **settings)
    parts = [HEAD, _section("liif", liif.get_help(root))]
    for name in liif.list_commands(root):
        command = liif.get_command(root, name)
        if command is None:
            raise LookupError(name)
        context = click.Context(command, info_name=name, parent=root)
        parts.append(_section(f"liif {name}", command.get_help(context)))
    return "\n".join(parts)


def _section(title: str, text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return f"## {title}\n\n```text\n{lines}\n```\n"


if __name__ == "__main__":
    page = reference()
    if "--check" in sys.argv[1:]:
        current = TARGET.read_text(encoding="utf-8") if TARGET.exists() else ""
        sys.exit(0 if current == page else f"{TARGET} is not up to date: run {sys.argv[0]}")
    TARGET.write_text(page, encoding="utf-8")
