"""The command line as a whole: help, exit codes, errors on one line."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from liif_cli import __version__
from liif_cli.cli import COMMANDS, liif
from liif_cli.errors import InputError, UsageError

ROOT = Path(__file__).resolve().parent.parent
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}
HEAVY = ("torch", "cv2", "zarr", "numpy", "tifffile", "imagecodecs", "rich")


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "liif_cli", *args],
        capture_output=True,
        text=True,
        timeout=60,
        env=ENV,
    )


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Puts a command named "probe" into the group, with ``-v``."""
    from liif_cli.ui.options import verbose_option

    def install(body: Callable[[], None]) -> None:
        @click.command()
        @verbose_option
        def probe(verbose: bool) -> None:
            body()

        monkeypatch.setitem(COMMANDS, "probe", ("tests.probe:probe", "A command of the tests."))
        get = type(liif).get_command
        monkeypatch.setattr(
            type(liif),
            "get_command",
            lambda self, ctx, name: probe if name == "probe" else get(self, ctx, name),
        )

    return install


def test_version() -> None:
    result = CliRunner().invoke(liif, ["--version"])
    assert (result.exit_code, result.output) == (0, f"liif {__version__}\n")


def test_help_lists_every_command() -> None:
    result = CliRunner().invoke(liif, ["--help"])
    assert result.exit_code == 0
    for name, (_, text) in COMMANDS.items():
        assert f"  {name} " in result.output
        assert text in result.output
        assert len(text) <= 70


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_imports_nothing_heavy(name: str) -> None:
    code = (
        "import sys\nfrom liif_cli.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code\n"
        f"print('imported:', [m for m in {HEAVY!r} if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *([name] if name else []), "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        env=ENV,
    )
    assert result.stdout.endswith("imported: []\n"), result.stderr
    assert "Usage:" in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_documented(name: str) -> None:
    command = liif.get_command(click.Context(liif), name)
    assert command is not None
    assert command.name == name
    text = CliRunner().invoke(liif, [name, "--help"]).output
    assert "Example" in text
    assert f"  liif {name}" in text
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert parameter.help.endswith((".", "]")), parameter.help


def test_no_arguments_show_the_help() -> None:
    result = run()
    assert result.returncode == 2
    assert "Commands:" in result.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["upscale", "-s", "2"], "INPUT: got nothing"),
        (["upscale", "a", "b", "--scalee", "2"], "--scale"),
        (["upscale", "a", "b", "--size", "0x5"], "--size: got '0x5'"),
        (["upscale", "a", "b", "--scale", "2", "--tile", "3"], "--tile"),
        (["upscale", "a", "b", "--scale", "2", "--precision", "int8"], "--precision"),
        (["train", "--data", "x", "--out", "y"], "--preset"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(args: list[str], words: str) -> None:
    result = CliRunner().invoke(liif, args)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: ")
    assert words in result.stderr


def test_an_error_of_ours_gives_its_code(command: Callable[[Callable[[], None]], None]) -> None:
    def body() -> None:
        raise InputError("a.png", got="no image", expected="one", cure="try another")

    command(body)
    result = CliRunner().invoke(liif, ["probe"])
    assert result.exit_code == 1
    assert result.stderr == "error: a.png: got no image, expected one; try another\n"
    assert "Traceback" in CliRunner().invoke(liif, ["probe", "-v"]).stderr


def test_a_usage_error_of_ours_is_code_2(command: Callable[[Callable[[], None]], None]) -> None:
    def body() -> None:
        raise UsageError("--model", got="'x'")

    command(body)
    assert CliRunner().invoke(liif, ["probe"]).exit_code == 2


def test_an_unexpected_error_names_its_type(command: Callable[[Callable[[], None]], None]) -> None:
    def body() -> None:
        raise ZeroDivisionError("two\nlines")

    command(body)
    result = CliRunner().invoke(liif, ["probe"])
    assert result.exit_code == 1
    assert result.stderr == (
        "error: unexpected ZeroDivisionError: two lines; run it again with -v to see where\n"
    )
    result = CliRunner().invoke(liif, ["probe", "--verbose"])
    assert "in body" in result.stderr
    assert result.stderr.endswith("error: unexpected ZeroDivisionError: two lines\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_an_interrupt(
    number: signal.Signals, command: Callable[[Callable[[], None]], None]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    command(lambda: os.kill(os.getpid(), number))
    result = CliRunner().invoke(liif, ["probe"])
    assert result.exit_code == 3
    assert "error: interrupted" in result.stderr
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_closed_pipe_is_quiet() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "liif_cli", "upscale", "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENV,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    stderr = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 1
    assert stderr == b""


def generator(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / f"docs/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    return generate


def test_reference_is_up_to_date() -> None:
    generate = generator("generate_cli")
    page = generate.TARGET.read_text(encoding="utf-8")
    assert page == generate.reference(), "run python docs/generate_cli.py"


def test_manual_pages_are_up_to_date() -> None:
    generate = generator("generate_man")
    there = {path.name: path.read_text(encoding="utf-8") for path in generate.FOLDER.glob("*.1")}
    assert there == generate.pages(), "run python docs/generate_man.py"
    assert {f"liif-{name}.1" for name in COMMANDS} | {"liif.1"} == set(there)


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_manual_pages_are_what_man_expects() -> None:
    for path in sorted((ROOT / "docs/man").glob("*.1")):
        done = subprocess.run(
            ["groff", "-man", "-Tutf8", "-Wbreak", "-wmac", "-wmissing", "-wsyntax", str(path)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        plain = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout)
        for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "SEE ALSO"):
            assert f"\n{heading}\n" in plain, (path, heading)
