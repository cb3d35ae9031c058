"""liif.toml, LIIF_* variables, liif config, and completion."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from liif_cli.cli import COMMANDS, liif

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, and a user whose configuration folder is empty."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config" / "liif").mkdir(parents=True)
    work = tmp_path / "work" / "deep"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    Image.new("RGB", (20, 10), (9, 99, 199)).save(work / "a.png")
    return tmp_path


def run(*args: str, code: int = 0) -> Result:
    found = CliRunner().invoke(liif, args)
    assert found.exit_code == code, found.output
    return found


def size(path: str) -> tuple[int, int]:
    return Image.open(path).size


def test_the_nearest_file_then_the_users(home: Path) -> None:
    (home / "config" / "liif" / "liif.toml").write_text(
        '[upscale]\nmodel = "bicubic"\nscale = 4\nstrip-metadata = true\n'
    )
    (home / "work" / "liif.toml").write_text("[upscale]\nscale = 3\n")
    run("upscale", "a.png", "b.png")
    assert size("b.png") == (60, 30)
    found = json.loads(run("config", "--json").output)
    by_option = {entry["option"]: entry for entry in found}
    assert by_option["scale"]["value"] == 3
    assert by_option["scale"]["from"].endswith("work/liif.toml")
    assert by_option["model"]["value"] == "bicubic"
    assert by_option["strip-metadata"]["value"] is True
    assert by_option["model"]["from"].endswith("config/liif/liif.toml")


def test_what_is_typed_counts_first_then_variables(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "work" / "liif.toml").write_text('[upscale]\nmodel = "bicubic"\nscale = 3\n')
    run("upscale", "a.png", "typed.png", "--scale", "2")
    run("upscale", "a.png", "other.png", "--size", "50x40")
    monkeypatch.setenv("LIIF_UPSCALE_SCALE", "5")
    run("upscale", "a.png", "variable.png")
    assert size("typed.png") == (40, 20)
    assert size("other.png") == (50, 40)
    assert size("variable.png") == (100, 50)
    assert "liif upscale --scale 5   (from LIIF_UPSCALE_SCALE)" in run("config").output


def test_lists_flags_and_texts_with_units(home: Path) -> None:
    (home / "work" / "liif.toml").write_text(
        '[upscale]\nmodel = "bicubic"\nscale = "4x"\nmax-memory = "2GiB"\n'
        'exclude = ["thumb*", "*.gif"]\nquiet = true\njobs = 1\n'
    )
    Image.new("RGB", (20, 10)).save("thumb.png")
    assert run("upscale", ".", "out").output == ""
    assert sorted(path.name for path in Path("out").glob("*.png")) == ["a.png"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[upscale]\nmodl = "x"\n', "did you mean model?"),
        ('[upscal]\nmodel = "x"\n', "[upscal]"),
        ("scale = 3\n", "scale outside of a table"),
        ("[upscale\n", "liif.toml"),
        ('[upscale]\nscale = "wide"\n', "wide"),
        ('[upscale]\nmax-memory = "lots"\n', "lots"),
    ],
)
def test_files_that_are_refused(home: Path, text: str, said: str) -> None:
    (home / "work" / "liif.toml").write_text(text)
    assert said in run("upscale", "a.png", "b.png", "--model", "bicubic", code=2).output
    assert not Path("b.png").exists()


def test_no_settings(home: Path) -> None:
    found = run("config").output
    assert "no settings; looked for" in found
    assert str(home / "config" / "liif" / "liif.toml") in found
    assert run("config", "upscale", "--json").output.strip() == "[]"
    assert "Did you mean 'upscale'" in run("config", "upscal", code=2).output


def test_help_needs_no_settings_that_are_right(home: Path) -> None:
    (home / "work" / "liif.toml").write_text("[upscale]\nscale = 3\n")
    assert "Usage" in run("upscale", "--help").output
    assert "Usage" in run("--help").output


def completed(words: str) -> list[str]:
    """What bash would offer for the last word."""
    parts = words.split(" ")
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "_LIIF_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(parts) - 1),
    }
    code = "import sys; sys.argv[0] = 'liif'; from liif_cli.cli import main; main()"
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    return [line.split(",", 1)[1] for line in found.stdout.splitlines()]


def test_completion_of_commands_options_and_models(home: Path) -> None:
    assert completed("liif up") == ["upscale"]
    assert set(COMMANDS) <= set(completed("liif "))
    assert "--max-memory" in completed("liif upscale --max")
    assert "quality" in completed("liif upscale --model q")
    assert "bicubic" in completed("liif upscale a.png -m bi")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_line_for_each_shell(shell: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "_LIIF_COMPLETE": f"{shell}_source"}
    code = "import sys; sys.argv[0] = 'liif'; from liif_cli.cli import main; main()"
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert "_LIIF_COMPLETE" in found.stdout
    assert f"_LIIF_COMPLETE={shell}_source liif" in (ROOT / "README.md").read_text()
