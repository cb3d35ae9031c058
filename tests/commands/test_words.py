"""What people type: short options, sizes in words, several inputs, an output that nobody named."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import psutil
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from liif_cli.cli import COMMANDS, liif
from liif_cli.geometry.size import SizeRequest
from liif_cli.ui.types import MemoryType

SHAPE = (30, 40)


def run(*args: object) -> Result:
    return CliRunner().invoke(liif, [str(arg) for arg in args])


def done(*args: object) -> str:
    result = run(*args)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """a.jpg, b.jpg, c.png and photos/ with d.tif, thumb-d.tif and sub/e.png."""
    rng = np.random.default_rng(0)
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    names = ("a.jpg", "b.jpg", "c.png", "photos/d.tif", "photos/thumb-d.tif", "photos/sub/e.png")
    for name in names:
        pixels = rng.integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    return tmp_path


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


@pytest.mark.parametrize(
    ("words", "size"),
    [
        (("-s", "2"), (80, 60)),
        (("--scale", "2x"), (80, 60)),
        (("--scale", "x2"), (80, 60)),
        (("--scale", "250%"), (100, 75)),
        (("--scale", "2x3"), (80, 90)),
        (("--scale", "2*3"), (80, 90)),
        (("--size", "80"), (80, 60)),
        (("--size", "80*90"), (80, 90)),
        (("--size", "80\N{MULTIPLICATION SIGN}90"), (80, 90)),
        (("--size", "50%"), (20, 15)),
        (("--long-side", "100"), (100, 75)),
        (("--short-side", "60"), (80, 60)),
        (("--megapixels", "0.0048"), (80, 60)),
    ],
)
def test_sizes_as_people_say_them(folder: Path, words: tuple[str, ...], size) -> None:
    done("upscale", folder / "a.jpg", folder / "o.png", *words, "-m", "nearest")
    assert size_of(folder / "o.png") == size


@pytest.mark.parametrize(
    ("text", "shape", "expected"),
    [
        ("4k", (1000, 2000), (1920, 3840)),
        ("8K", (2000, 1000), (7680, 3840)),
        ("4k", (600, 600), (3840, 3840)),
    ],
)
def test_names_of_screens_are_long_sides(text: str, shape, expected) -> None:
    assert SizeRequest.from_size(text).output_shape(*shape) == expected


def test_megapixels_keep_the_aspect() -> None:
    height, width = SizeRequest(pixels=100_000_000).output_shape(3000, 4000)
    assert abs(height * width - 1e8) < 1e5
    assert abs(width / height - 4 / 3) < 1e-3


@pytest.mark.parametrize("words", [("--scale", "x"), ("--scale", "0%"), ("--size", "4kk"), ()])
def test_sizes_that_are_none(folder: Path, words: tuple[str, ...]) -> None:
    assert run("upscale", folder / "a.jpg", folder / "o.png", *words).exit_code == 2


def test_two_sizes_are_one_too_many(folder: Path) -> None:
    result = run("upscale", folder / "a.jpg", folder / "o.png", "-s", "2", "--long-side", "90")
    assert result.exit_code == 2
    assert "both --scale and --long-side" in result.output


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2G", 2**31), ("1.5M", 3 * 2**19), ("2GiB", 2**31), ("2GB", 2 * 10**9)],
)
def test_memory_in_words(text: str, expected: int) -> None:
    assert MemoryType().convert(text, None, None) == expected


def test_memory_as_a_share() -> None:
    assert MemoryType().convert("50%", None, None) == psutil.virtual_memory().total // 2


@pytest.mark.parametrize(("word", "suffix"), [("jpeg", ".jpg"), ("tif", ".tif"), ("TIFF", ".tif")])
def test_formats_by_other_words(folder: Path, word: str, suffix: str) -> None:
    done("upscale", folder / "c.png", folder / "out", "-s", "2", "-f", word, "-m", "nearest")
    assert (folder / "out" / f"c{suffix}").exists()


def test_an_output_that_nobody_named_lies_beside(folder: Path) -> None:
    said = done("upscale", folder / "a.jpg", "-s", "4", "-m", "nearest")
    assert size_of(folder / "a-4x.jpg") == (160, 120)
    assert f"to {folder / 'a-4x.jpg'}" in said
    done("upscale", folder / "a.jpg", "--size", "80x", "-m", "nearest", "-f", "tif")
    assert size_of(folder / "a-80x.tif") == (80, 60)
    assert size_of(folder / "a.jpg") == (40, 30)


def test_a_folder_wants_an_output(folder: Path) -> None:
    result = run("upscale", folder / "photos", "-s", "4")
    assert result.exit_code == 2
    assert "photos-4x" in result.output


def test_any_number_of_inputs(folder: Path) -> None:
    out = folder / "out"
    inputs = (folder / "a.jpg", folder / "c.png", folder / "photos")
    done("upscale", *inputs, out, "-s", "2", "-m", "nearest")
    names = sorted(p.relative_to(out).as_posix() for p in out.rglob("*.*") if p.is_file())
    shown = [name for name in names if ".liif" not in name]
    assert shown == ["a.jpg", "c.png", "d.tif", "sub/e.png", "thumb-d.tif"]
    again = folder / "again"
    done("upscale", *inputs, "-o", again, "-s", "2", "-m", "nearest", "-j", "1")
    assert (again / "a.jpg").read_bytes() == (out / "a.jpg").read_bytes()


def test_several_inputs_and_the_name_of_a_file(folder: Path) -> None:
    result = run("upscale", folder / "a.jpg", folder / "c.png", folder / "o.png", "-s", "2")
    assert result.exit_code == 2
    assert "o.png, for 2 inputs" in result.output


def test_two_inputs_of_one_name_clash(folder: Path) -> None:
    other = folder / "photos" / "a.jpg"
    other.write_bytes((folder / "a.jpg").read_bytes())
    result = run("upscale", folder / "a.jpg", other, folder / "out", "-s", "2")
    assert result.exit_code == 2
    assert "two inputs would write one output" in result.output


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("--include", "*.tif"), ["d.tif", "thumb-d.tif"]),
        (("--exclude", "thumb*"), ["d.tif", "sub/e.png"]),
        (("--include", "*.tif", "--exclude", "thumb*"), ["d.tif"]),
        (("--include", "sub/*"), ["sub/e.png"]),
        (("--include", "d.*", "--include", "e.*"), ["d.tif", "sub/e.png"]),
    ],
)
def test_patterns(folder: Path, words: tuple[str, ...], names: list[str]) -> None:
    out = folder / "out"
    done("upscale", folder / "photos", out, "-s", "2", "-m", "nearest", *words)
    found = [p.relative_to(out).as_posix() for p in out.rglob("*.*") if p.is_file()]
    assert sorted(name for name in found if ".liif" not in name) == names


def test_patterns_that_leave_nothing(folder: Path) -> None:
    result = run("upscale", folder / "photos", folder / "out", "-s", "2", "--include", "*.gif")
    assert result.exit_code == 2
    assert "leave no image" in result.output


def test_a_dry_run_by_one_letter(folder: Path) -> None:
    done("upscale", folder / "a.jpg", folder / "c.png", folder / "out", "-s", "2", "-n")
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("upscal",), "Did you mean 'upscale'?"),
        (("hlep",), "Did you mean 'help'?"),
        (("photo.jpg", "-s", "4"), "liif upscale photo.jpg -s 4"),
        (("my photo.jpg", "-s", "4"), "liif upscale 'my photo.jpg' -s 4"),
        (("frobnicate",), "No such command 'frobnicate'."),
    ],
)
def test_words_that_are_no_command(words: tuple[str, ...], message: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert message in result.output


def test_help_as_a_word() -> None:
    assert "Commands:" in done("help")
    for name in COMMANDS:
        assert done("help", name) == done(name, "--help")
    assert run("help", "upscal").exit_code == 2


@pytest.mark.parametrize(
    ("words", "size", "dpi"),
    [
        (("--print", "2x1in", "--dpi", "100"), (133, 100), 100),
        (("--print", "5.08x5.08cm", "--dpi", "50"), (100, 75), 50),
        (("--print", "50.8x50.8mm"), (300, 225), 150),
        (("-s", "2", "--dpi", "72"), (80, 60), 72),
        (("-s", "2"), (80, 60), 600),
    ],
)
def test_prints(folder: Path, words: tuple[str, ...], size: tuple[int, int], dpi: int) -> None:
    path = folder / "dots.png"
    with Image.open(folder / "a.jpg") as image:
        image.save(path, dpi=(300, 300))
    done("upscale", path, folder / "o.tif", *words, "-m", "nearest")
    with Image.open(folder / "o.tif") as image:
        assert image.size == size
        assert image.info["dpi"] == pytest.approx((dpi, dpi), rel=1e-4)


@pytest.mark.parametrize("text", ["2x1", "0x1cm", "2cm", "axbcm", "-2x1cm"])
def test_prints_that_are_none(folder: Path, text: str) -> None:
    result = run("upscale", folder / "a.jpg", folder / "o.png", "--print", text)
    assert result.exit_code == 2
    assert "--print 120x80cm --dpi 150" in result.output


def test_one_image_through_a_pipe(folder: Path) -> None:
    data = (folder / "c.png").read_bytes()
    command = [sys.executable, "-m", "liif_cli", "upscale", "-", "-s", "2", "-m", "nearest"]
    ended = subprocess.run(command, input=data, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
    named = CliRunner().invoke(liif, ["upscale", "-", "-o", "-", *command[5:]], input=data)
    assert named.exit_code == 0, named.stderr
    assert named.stdout_bytes == ended.stdout
    with Image.open(io.BytesIO(ended.stdout)) as image:
        assert (image.format, image.size) == ("PNG", (80, 60))


def test_a_pipe_at_one_end(folder: Path) -> None:
    words = ["-", str(folder / "o.tif"), "-s", "2", "-m", "nearest"]
    data = (folder / "a.jpg").read_bytes()
    result = CliRunner().invoke(liif, ["upscale", *words], input=data)
    assert result.exit_code == 0, result.output
    assert size_of(folder / "o.tif") == (80, 60)
    command = [
        sys.executable,
        "-m",
        "liif_cli",
        "upscale",
        str(folder / "c.png"),
        "-",
        "-f",
        "webp",
    ]
    ended = subprocess.run([*command, "-s", "2", "-q"], capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
    with Image.open(io.BytesIO(ended.stdout)) as image:
        assert (image.format, image.size) == ("WEBP", (80, 60))


def test_a_pipe_is_called_by_its_name(folder: Path) -> None:
    data = (folder / "a.jpg").read_bytes()
    words = ["upscale", "-", "-", "-s", "2", "-m", "nearest"]
    report, log = folder / "r.json", folder / "l.jsonl"
    more = ["--report", str(report), "--log-file", str(log), "-v"]
    result = CliRunner().invoke(liif, [*words, *more], input=data)
    assert result.exit_code == 0, result.stderr
    assert "stdin: 40x30 -> 80x60" in result.stderr
    assert re.search(r"^stdin: done in .*: stdout$", result.stderr, re.MULTILINE)
    assert "wrote stdout\n" in result.stderr
    image = json.loads(report.read_text())["images"][0]
    assert (image["input"], image["output"]) == ("stdin", "stdout")
    planned = CliRunner().invoke(liif, [*words, "-n"], input=data)
    assert planned.stdout.startswith("stdin -> stdout: 40x30 -> 80x60")
    failed = CliRunner().invoke(liif, words, input=b"no image")
    assert failed.stderr.count("error: stdin: got a file of unknown format") == 1
    to_pipe = CliRunner().invoke(liif, ["upscale", str(folder / "a.jpg"), "-", *words[3:]])
    assert f"{folder / 'a.jpg'}: done in " in to_pipe.stderr
    said = "".join([result.stderr, planned.output, failed.stderr, to_pipe.stderr, log.read_text()])
    assert "liif-" not in said, "no temporary file"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-", "photos", "-"), "one image through a pipe"),
        (("photos", "-"), "a folder"),
        (("a.jpg", "-", "-f", "zarr"), "- for zarr"),
    ],
)
def test_pipes_that_are_refused(
    folder: Path, words: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    result = run("upscale", *words, "-s", "2", "-m", "nearest")
    assert result.exit_code == 2
    assert message in result.output
    assert not (folder / "-").exists()


def test_what_is_no_image_writes_nothing(folder: Path) -> None:
    result = CliRunner().invoke(liif, ["upscale", "-", "-", "-s", "2"], input=b"no image")
    assert result.exit_code == 1
    assert "unknown format" in result.output


@pytest.mark.parametrize("name", ["o.xyz", "o.jpgg"])
def test_an_output_of_no_known_format_is_refused(tmp_path: Path, name: str) -> None:
    Image.new("RGB", (8, 6)).save(tmp_path / "a.png")
    found = run("upscale", tmp_path / "a.png", tmp_path / name, "-s", 2, "-m", "bicubic")
    assert found.exit_code == 2
    assert "no known format" in found.output
    assert f"{name}/" in found.output
    assert not (tmp_path / name).exists()
    found = run("upscale", tmp_path / "a.png", f"{tmp_path / name}/", "-s", 2, "-m", "bicubic")
    assert found.exit_code == 0, found.output
    assert (tmp_path / name / "a.png").is_file()


def test_folders_whose_names_have_dots(tmp_path: Path) -> None:
    Image.new("RGB", (8, 6)).save(tmp_path / "a.png")
    for name in ("2026.11", "v1.2", "out.superlarge"):
        found = run("upscale", tmp_path / "a.png", tmp_path / name, "-s", 2, "-m", "bicubic")
        assert found.exit_code == 0, found.output


def test_outputs_that_are_there_are_kept_whoever_made_them(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (8, 6)).save(tmp_path / "in" / name)
    Image.new("RGB", (3, 3), (1, 2, 3)).save(tmp_path / "out" / "a.png")
    whole = (tmp_path / "in" / "b.png").read_bytes()
    (tmp_path / "out" / "b.png").write_bytes(whole[: len(whole) // 2])
    words = ("upscale", tmp_path / "in", tmp_path / "out", "-s", 2, "-m", "bicubic")
    assert run(*words).exit_code == 1
    found = run(*words, "--skip-existing")
    assert found.exit_code == 1, "what cannot be read whole is not kept silently"
    assert "cannot be read whole" in found.output
    assert Image.open(tmp_path / "out" / "a.png").size == (3, 3)
    assert Image.open(tmp_path / "out" / "c.png").size == (16, 12)
    assert run(*words, "--skip-existing", "--overwrite").exit_code == 2


@pytest.mark.parametrize("name", ["upscale", "plan"])
def test_help_has_its_options_in_groups_and_leaves_none_out(name: str) -> None:
    text = run(name, "--help").output
    headings = [line for line in text.splitlines() if line.endswith(":") and line[0] != " "]
    assert headings[-6:] == ["Size, one of:", "Model:", "Inputs:", "Outputs:", "Machine:", "Batch:"]
    command = liif.get_command(None, name)  # type: ignore[arg-type]
    for parameter in command.params:
        for word in parameter.opts if isinstance(parameter, click.Option) else []:
            assert re.search(rf"(^|[ ,]){re.escape(word)}\b", text), word
    # what everybody needs comes first
    listed = text[text.index("Size, one of:") :]
    assert listed.index("--scale") < listed.index("--model") < listed.index("--max-memory")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("plan", "INPUT OUTPUT"),
        ("export", "STORE FILE"),
        ("work", "PLAN"),
        ("status", "PLAN"),
        ("upscale", "INPUT... [OUTPUT]"),
        ("info", "FILE..."),
    ],
)
def test_usage_names_the_arguments(name: str, words: str) -> None:
    assert run(name, "--help").output.splitlines()[0] == f"Usage: liif {name} [OPTIONS] {words}"
