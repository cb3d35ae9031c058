"""Writes the manual pages docs/man/*.1 from the help texts of the commands.

python docs/generate_man.py            write the pages
python docs/generate_man.py --check    exit 1 where they are not up to date
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from liif_cli import __version__
from liif_cli.cli import COMMANDS, liif
from liif_cli.ui.groups import GroupedCommand

FOLDER = Path(__file__).with_name("man")
_UNWRAPPED = "\b"
_EXIT = [
    ("0", "all done"),
    ("1", "some images failed; the others are done"),
    ("2", "wrong usage"),
    ("3", "interrupted, or out of time; the same command resumes"),
]


def pages() -> dict[str, str]:
    """Name of each page's file, and its content."""
    root = click.Context(liif, info_name="liif", terminal_width=200, max_content_width=200)
    found = {"liif.1": _page("liif", _summary(liif), liif, root)}
    for name, (_, summary) in COMMANDS.items():
        command = liif.get_command(root, name)
        if command is None:
            raise LookupError(name)
        context = click.Context(
            command, info_name=name, parent=root, terminal_width=200, max_content_width=200
        )
        found[f"liif-{name}.1"] = _page(f"liif-{name}", summary, command, context)
    return found


def _page(title: str, summary: str, command: click.Command, context: click.Context) -> str:
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [
        '.\\" Made from the help texts by docs/generate_man.py; change those, not this page.',
        f'.TH {_text(title.upper())} 1 "" "liif {__version__}" "liif"',
        ".SH NAME",
        f"{_text(title)} \\- {_text(summary[:1].lower() + summary[1:].rstrip('.'))}",
        ".SH SYNOPSIS",
        f".B {_text(context.command_path)}",
        _text(usage),
        ".SH DESCRIPTION",
        *_body(command.help or ""),
        ".SH OPTIONS",
        *_options(command, context),
    ]
    if isinstance(command, click.Group):
        lines.append(".SH COMMANDS")
        for name, (_, text) in COMMANDS.items():
            lines += [".TP", f".BR liif\\-{_text(name)} (1)", _text(text)]
    lines.append(".SH EXIT STATUS")
    for code, text in _EXIT:
        lines += [".TP", f".B {code}", _text(text)]
    lines += [
        ".SH ENVIRONMENT",
        ".TP",
        f".BI {_text(_variable(context))}_ OPTION",
        "the value of an option, where the command line does not say one",
        ".SH FILES",
        ".TP",
        ".I liif.toml",
        "options that need not be typed, in this folder, those above it, and the user's folder for "
        "configuration; liif config prints what is in force",
        ".TP",
        ".I .liif/",
        "what is known of the outputs in a folder: which were finished, and how",
        ".SH SEE ALSO",
        *_others(title),
    ]
    return "\n".join(lines) + "\n"


def _others(title: str) -> list[str]:
    names = [name for name in ("liif", *(f"liif-{name}" for name in COMMANDS)) if name != title]
    commas = [","] * (len(names) - 1) + [""]
    return [f".BR {_text(name)} (1){comma}" for name, comma in zip(names, commas, strict=True)]


def _summary(command: click.Command) -> str:
    return (command.help or "").split("\n\n")[0].replace("\n", " ").strip()


def _variable(context: click.Context) -> str:
    words = [word.upper() for word in context.command_path.split()]
    return "_".join(words if len(words) > 1 else [*words, "COMMAND"])


def _body(help: str) -> Iterator[str]:
    """Paragraphs; those that are laid out by hand keep their lines."""
    for number, paragraph in enumerate(re.split(r"\n\s*\n", help.strip())):
        lines = [line.rstrip() for line in paragraph.splitlines()]
        if number:
            yield ".PP"
        if lines and lines[0].strip() == _UNWRAPPED:
            yield ".nf"
            yield from map(_text, lines[1:])
            yield ".fi"
        else:
            yield _text(" ".join(line.strip() for line in lines))


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    parameters = {
        parameter.name: record
        for parameter in command.params
        if isinstance(parameter, click.Option)
        and (record := parameter.get_help_record(context)) is not None
    }
    # click keeps the option that it makes for this, as the first context had it
    parameters["help"] = ("-h, --help", "Show this message and exit.")
    groups = {"": list(parameters)}
    if isinstance(command, GroupedCommand):
        groups = dict(command.groups(list(parameters)))
    for heading, names in groups.items():
        if heading:
            yield f".SS {_text(heading)}"
        for name in names:
            words, text = parameters[name]
            yield ".TP"
            yield f".B {_text(words)}"
            yield _text(text)


def _text(text: str) -> str:
    """Text that roff takes as it is."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("\xd7", "x")
    # a line that begins with a dot or a quote is a request
    return re.sub(r"(?m)^([.'])", r"\\&\1", escaped)


if __name__ == "__main__":
    made = pages()
    if "--check" in sys.argv[1:]:
        there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.1")}
        sys.exit(0 if there == made else f"{FOLDER} is not up to date: run {sys.argv[0]}")
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.1"):
        path.unlink()
    for name, page in made.items():
        (FOLDER / name).write_text(page, encoding="utf-8")
