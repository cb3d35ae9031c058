"""The command line: the table of commands, and errors as exit codes.

Nothing here, and nothing that a ``--help`` shows, imports more than click.
"""

from __future__ import annotations

import difflib
import os
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from types import FrameType
from typing import Any

import click

from liif_cli import __version__
from liif_cli.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE, LiifError, printable
from liif_cli.ui.settings import PREFIX
from liif_cli.ui.settings import read as read_settings
from liif_cli.ui.streams import open_closed_streams, tolerant_streams

COMMANDS: dict[str, tuple[str, str]] = {
    "upscale": ("liif_cli.commands.upscale:upscale", "Upscale an image or a folder of images."),
    "plan": ("liif_cli.commands.plan:plan", "Write a batch down, for several machines."),
    "work": ("liif_cli.commands.work:work", "Do a plan's work, beside other workers."),
    "status": ("liif_cli.commands.status:status", "Say how far the work on a plan is."),
    "info": ("liif_cli.commands.info:info", "Say what images, tile stores and weights files hold."),
    "export": ("liif_cli.commands.export:export", "Write a finished store to any format."),
    "verify": ("liif_cli.commands.verify:verify", "Read outputs again and say what is damaged."),
    "view": ("liif_cli.commands.view:view", "Show outputs beside their inputs in a browser."),
    "models": ("liif_cli.commands.models:models", "List the models that come with liif."),
    "sample": ("liif_cli.commands.sample:sample", "Write a few generated images to try liif with."),
    "bench": ("liif_cli.commands.bench:bench", "Measure PSNR and speed of models at any scales."),
    "config": ("liif_cli.commands.config:config", "Print the settings in force, and where from."),
    "train": ("liif_cli.commands.train:train", "Train a network on a folder of photos."),
    "convert": ("liif_cli.commands.convert:convert", "Convert a published checkpoint."),
}
"""Command name -> ("module:attribute", one line for ``liif --help``)."""


@click.command("help", add_help_option=False)
@click.argument("command", required=False)
@click.pass_context
def _help(ctx: click.Context, command: str | None) -> None:
    """Show the help of a command, or of all."""
    assert ctx.parent is not None
    group = ctx.parent.command
    assert isinstance(group, click.Group)
    if command is None:
        click.echo(ctx.parent.get_help())
        return
    _, named, _ = group.resolve_command(ctx.parent, [command])
    assert named is not None
    with click.Context(named, info_name=command, parent=ctx.parent) as inner:
        click.echo(named.get_help(inner))


class LazyGroup(click.Group):
    """Imports a command when it is asked for, and turns every error into an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if word in ("help", *COMMANDS) or word.startswith("-"):
            return super().resolve_command(ctx, args)
        near = difflib.get_close_matches(word.lower(), [*COMMANDS, "help"], 1)
        looks_like_a_path = os.path.exists(word) or os.sep in word or "." in word
        if looks_like_a_path and not near:
            line = " ".join(map(shlex.quote, ["liif", "upscale", *args]))
            ctx.fail(f"No such command {word!r}, but a path: {line}")
        ctx.fail(f"No such command {word!r}." + (f" Did you mean {near[0]!r}?" if near else ""))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "help":
            return _help
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{attribute} is not a click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line of ``args`` and exit with its code."""
        # commands note here whether they are verbose: click's own context is gone when one fails
        words = list(sys.argv[1:] if args is None else args)
        state: dict[str, Any] = {"words": words, "began": time.perf_counter()}
        said: list[str] = []

        def _say(message: str) -> None:
            # the parser's own messages may have several lines
            line = printable(" ".join(message.split()))
            said.append(line)
            with suppress(OSError):
                click.echo(f"error: {line}", err=True)

        with tolerant_streams(), _terminate_as_interrupt():
            try:
                code = super().main(
                    args, prog_name, complete_var, standalone_mode=False, obj=state, **extra
                )
                sys.stdout.flush()
            except BrokenPipeError:
                # nobody reads on; without this the interpreter complains once more at its end
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                code = EXIT_FAILED
            except (click.Abort, KeyboardInterrupt):
                _say("interrupted")
                code = EXIT_INTERRUPTED
                # an interrupt within exec() of a library leaves a mark in CPython, which would die
                # of SIGINT at its end instead of returning the code; evaluating a text unmarks it
                eval("0")
            except click.exceptions.NoArgsIsHelpError as error:
                error.show()
                code = EXIT_USAGE
            except click.UsageError as error:
                where = error.ctx.command_path if error.ctx else "liif"
                _say(f"{error.format_message()} See '{where} --help'.")
                code = EXIT_USAGE
                _begin_report_anyway(state)
            except click.ClickException as error:
                _say(error.format_message())
                code = error.exit_code
            except LiifError as error:
                if state.get("verbose") and error.exit_code != EXIT_USAGE:
                    traceback.print_exc()
                _say(str(error))
                code = error.exit_code
            except Exception as error:
                if state.get("verbose"):
                    traceback.print_exc()
                _say(_unexpected(error, verbose=bool(state.get("verbose"))))
                code = EXIT_FAILED
            try:
                if (report := state.get("report")) is not None:
                    report.end(code if isinstance(code, int) else EXIT_OK, "; ".join(said))
            except LiifError as error:
                _say(str(error))
                code = EXIT_FAILED
        sys.exit(code if isinstance(code, int) else EXIT_OK)


@click.group(
    cls=LazyGroup,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "auto_envvar_prefix": PREFIX,
    },
)
@click.version_option(__version__, "--version", prog_name="liif", message="%(prog)s %(version)s")
@click.pass_context
def liif(ctx: click.Context) -> None:
    """Upscale folders of images to any size with LIIF networks, tile by tile, in bounded memory.

    \b
    First steps:
      liif sample photos/
      liif upscale photos/ large/ --scale 4

    Exit codes: 0 all done, 1 some failed, 2 wrong usage, 3 interrupted (the same command
    resumes).
    """
    name = ctx.invoked_subcommand
    settings = read_settings(COMMANDS.__contains__)
    ctx.obj["settings"] = settings
    if settings.values.get(name or ""):
        group = ctx.command
        assert isinstance(group, click.Group)
        assert name is not None
        command = group.get_command(ctx, name)
        assert command is not None
        ctx.default_map = {name: settings.default_map(command, name)}


def _unexpected(error: Exception, *, verbose: bool) -> str:
    """What is said of an error that nothing expected; one of a bucket says itself what it is."""
    if isinstance(error, OSError) and getattr(error, "cure", None) is not None:
        return "; ".join(filter(None, (f"{error.filename}: {error.strerror}", error.cure)))  # type: ignore[attr-defined]
    cure = "" if verbose else "; run it again with -v to see where"
    return f"unexpected {type(error).__name__}: {error}{cure}"


def main() -> None:
    """Entry point of the command ``liif``; leaves by SystemExit with the exit code."""
    open_closed_streams()
    liif.main(prog_name="liif")


def _begin_report_anyway(state: dict[str, Any]) -> None:
    """The report of a command line that the parser refused: what lies there is another run's."""
    from liif_cli.ui.reportfile import ReportFile, named_report

    words = state["words"]
    path = named_report(words) if words[:1] == ["upscale"] and "report" not in state else None
    if path is not None:
        with suppress(LiifError):
            state["report"] = ReportFile(path, words)


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """SIGTERM and SIGHUP stop like Ctrl-C does: resumable, exit code 3.

    SIGTERM comes from kill, systemd, a batch queue; SIGHUP from a terminal that is closed, and is
    left alone where it is ignored (nohup).
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if before[number] is not signal.SIG_IGN or number == signal.SIGTERM:
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
