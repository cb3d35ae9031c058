"""The main job through its command line, with kernels that need no weights."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from liif_cli.cli import liif


def photo(path: Path, width: int = 24, height: int = 16, seed: int = 0, **options: Any) -> Path:
    """A file of smooth noise, written by Pillow in the suffix's format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).save(path, **options)
    return path


def liif_upscale(*args: object) -> Result:
    return CliRunner().invoke(liif, ["upscale", *map(str, args)])


def bicubic(*args: object) -> Result:
    return liif_upscale(*args, "--model", "bicubic")


def files(folder: Path) -> list[str]:
    """Names of everything below ``folder`` but what the program keeps for itself."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.parts)
    )


def test_a_file_to_a_file(tmp_path: Path) -> None:
    source = photo(tmp_path / "a.png")
    result = bicubic(source, tmp_path / "b.png", "--scale", 2)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    with Image.open(source) as before, Image.open(tmp_path / "b.png") as after:
        assert after.size == (48, 32)
        expected = np.asarray(before.resize((48, 32), Image.Resampling.BICUBIC), np.int16)
        # Pillow works in 8 bit between its two passes
        assert np.abs(np.asarray(after, np.int16) - expected).max() <= 2


def test_size_is_width_first_and_fits(tmp_path: Path) -> None:
    source = photo(tmp_path / "a.png", 24, 16)
    for number, (args, size) in enumerate(
        [
            (["--size", "60x20"], (60, 20)),
            (["--size", "60x20", "--fit", "inside"], (30, 20)),
            (["--size", "60x20", "--fit", "cover"], (60, 40)),
            (["--size", "48x"], (48, 32)),
            (["--size", "x48"], (72, 48)),
            (["--scale", "2x3"], (48, 48)),
        ]
    ):
        target = tmp_path / f"{number}.png"
        result = bicubic(source, target, *args)
        assert result.exit_code == 0, result.stderr
        with Image.open(target) as image:
            assert image.size == size
        assert ("aspect" in result.stderr) == (number in (0, 5))


def test_nearest_repeats_pixels(tmp_path: Path) -> None:
    source = photo(tmp_path / "a.png")
    assert (
        liif_upscale(source, tmp_path / "b.png", "--scale", 3, "--model", "nearest").exit_code == 0
    )
    with Image.open(source) as before, Image.open(tmp_path / "b.png") as after:
        expected = np.asarray(before).repeat(3, 0).repeat(3, 1)
        np.testing.assert_array_equal(np.asarray(after), expected)


def test_a_folder_is_mirrored_and_skipped_the_second_time(tmp_path: Path) -> None:
    photo(tmp_path / "in/a.png")
    photo(tmp_path / "in/sub/b.jpg", seed=1)
    photo(tmp_path / "in/sub/deep/c.png", seed=2)
    command = (tmp_path / "in", tmp_path / "out", "--scale", 2)
    first = bicubic(*command)
    assert first.exit_code == 0, first.stderr
    assert files(tmp_path / "out") == ["a.png", "sub/b.jpg", "sub/deep/c.png"]
    assert "done 3" in first.stderr
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*g")}
    second = bicubic(*command)
    assert second.exit_code == 0
    assert "skipped 3" in second.stderr
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*g")}
    # other options are other pixels: never taken for finished, never replaced unasked
    third = bicubic(*command[:2], "--scale", 3)
    assert third.exit_code == 1
    assert "--overwrite" in third.stderr
    assert bicubic(*command[:2], "--scale", 3, "--overwrite").exit_code == 0
    with Image.open(tmp_path / "out/a.png") as image:
        assert image.size == (72, 48)


def test_a_half_written_output_is_not_finished(tmp_path: Path) -> None:
    source = photo(tmp_path / "a.png")
    target = tmp_path / "b.png"
    assert bicubic(source, target, "--scale", 2).exit_code == 0
    target.write_bytes(target.read_bytes()[:40])
    result = bicubic(source, target, "--scale", 2)
    assert result.exit_code == 1
    assert "--overwrite" in result.stderr
    assert bicubic(source, target, "--scale", 2, "--overwrite").exit_code == 0
    with Image.open(target) as image:
        image.load()


def test_one_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    photo(tmp_path / "in/a.png")
    whole = photo(tmp_path / "in/b.png", seed=1).read_bytes()
    (tmp_path / "in/b.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "in/c.jpg").write_bytes(b"this is not an image")
    (tmp_path / "in/d.png").write_bytes(b"")
    photo(tmp_path / "in/e.png", seed=2)
    result = bicubic(tmp_path / "in", tmp_path / "out", "--scale", 2)
    assert result.exit_code == 1
    assert files(tmp_path / "out") == ["a.png", "e.png"]
    head, _, tail = result.stderr.partition("failed: 3 of 5")
    for name in ("b.png", "c.jpg", "d.png"):
        assert f"error: {tmp_path / 'in' / name}" in head
        # once more at the end, by name
        assert name in tail.splitlines()[0]
        assert result.stderr.count(f"{name}: ") <= 2
    assert "done 2" in head


def test_quiet_says_errors_only(tmp_path: Path) -> None:
    photo(tmp_path / "in/a.png")
    result = bicubic(tmp_path / "in", tmp_path / "out", "--scale", 2, "-q")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    (tmp_path / "in/b.png").write_bytes(b"no image")
    result = bicubic(tmp_path / "in", tmp_path / "out", "--scale", 2, "-q")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "b.png" in result.stderr


def test_verbose_tells_the_plan(tmp_path: Path) -> None:
    photo(tmp_path / "in/a.png")
    result = bicubic(tmp_path / "in", tmp_path / "out", "--scale", 2, "-v")
    assert result.exit_code == 0
    assert "bicubic on cpu in fp32, 1 task of " in result.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "neither --size nor --scale"),
        (["--scale", "2", "--size", "40x30"], "both --size and --scale"),
        (["--scale", "2", "--fit", "cover"], "leave --fit out"),
        (["--size", "0x30"], "whole pixels above 0"),
        (["--scale", "-1"], "a number above 0"),
        (["--scale", "2", "--model", "bicubicc"], "bicubic"),
        (["--scale", "2", "--model", "nowhere/weights.safetensors"], "weights.safetensors"),
        (["--scale", "2", "--quiet", "--verbose"], "--quiet"),
        (["--scale", "2", "--dry-run", "--report", "r.json"], "--report"),
        (["--scale", "2", "--report", "no/such/folder/r.json"], "--report"),
        (["--scale", "2", "--device", "cuda:99"], "--device"),
        (["--scale", "2", "--max-memory", "plenty"], "--max-memory"),
    ],
)
def test_wrong_usage(
    tmp_path: Path, args: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "in/a.png")
    result = liif_upscale(tmp_path / "in", tmp_path / "out", *args)
    assert result.exit_code == 2, result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert words in result.stderr
    assert not (tmp_path / "out").exists()


def test_inputs_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text/notes.txt").write_text("no image")
    for name in ("empty", "text", "missing", "missing.png"):
        result = bicubic(tmp_path / name, tmp_path / "out", "--scale", 2)
        assert result.exit_code in (1, 2), name
        assert result.stderr.startswith("error: "), name
        assert result.stderr.count("\n") == 1
        assert str(tmp_path / name) in result.stderr
        assert not (tmp_path / "out").exists()


def test_sidecar_files_are_no_inputs(tmp_path: Path) -> None:
    photo(tmp_path / "in/a.png")
    (tmp_path / "in/._a.png").write_bytes(b"\0\5\x16\7 resource fork")
    (tmp_path / "in/Thumbs.db").write_bytes(b"thumbnails")
    (tmp_path / "in/.hidden").mkdir()
    photo(tmp_path / "in/.hidden/b.png")
    result = bicubic(tmp_path / "in", tmp_path / "out", "--scale", 2)
    assert result.exit_code == 0, result.stderr
    assert files(tmp_path / "out") == ["a.png"]


def test_output_inside_the_input_folder(tmp_path: Path) -> None:
    photo(tmp_path / "in/a.png")
    for _ in range(2):
        result = bicubic(tmp_path / "in", tmp_path / "in/large", "--scale", 2)
        assert result.exit_code == 0, result.stderr
        assert files(tmp_path / "in") == ["a.png", "large/a.png"]


def test_two_inputs_for_one_output(tmp_path: Path) -> None:
    photo(tmp_path / "in/a.png")
    photo(tmp_path / "in/a.jpg")
    result = bicubic(tmp_path / "in", tmp_path / "out", "--scale", 2, "--format", "png")
    assert result.exit_code == 2, result.stderr
    assert "a.png" in result.stderr
    assert "a.jpg" in result.stderr
    assert not (tmp_path / "out").exists()


def test_the_input_is_never_the_output(tmp_path: Path) -> None:
    source = photo(tmp_path / "a.png")
    before = source.read_bytes()
    for target in (source, tmp_path):
        result = bicubic(source, target, "--scale", 2, "--overwrite")
        assert result.exit_code != 0
    assert source.read_bytes() == before


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    # a path below a file refuses even the superuser
    photo(tmp_path / "in/a.png")
    (tmp_path / "file").write_text("no folder")
    result = bicubic(tmp_path / "in", tmp_path / "file/out", "--scale", 2)
    assert result.exit_code in (1, 2)
    assert "error: " in result.stderr
    assert "unexpected" not in result.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    photo(tmp_path / "in/a.png")
    (tmp_path / "out").mkdir(mode=0o555)
    result = bicubic(tmp_path / "in", tmp_path / "out", "--scale", 2)
    assert result.exit_code == 1
    assert "permission" in result.stderr


def test_a_scale_below_1_works_and_warns(tmp_path: Path) -> None:
    source = photo(tmp_path / "a.png")
    result = bicubic(source, tmp_path / "b.png", "--scale", "0.5")
    assert result.exit_code == 0
    assert "warning: " in result.stderr
    assert "below 1" in result.stderr
    with Image.open(tmp_path / "b.png") as image:
        assert image.size == (12, 8)


def test_a_format_that_cannot_hold_the_size(tmp_path: Path) -> None:
    source = photo(tmp_path / "a.png", 64, 1)
    result = bicubic(source, tmp_path / "b.webp", "--size", "17000x1")
    assert result.exit_code == 1
    assert "16383" in result.stderr.replace(",", "")
    assert not (tmp_path / "b.webp").exists()


def test_suffix_and_format(tmp_path: Path) -> None:
    photo(tmp_path / "in/a.png")
    result = bicubic(
        tmp_path / "in", tmp_path / "out", "--scale", 2, "--suffix", "_x2", "--format", "tiff"
    )
    assert result.exit_code == 0, result.stderr
    (name,) = files(tmp_path / "out")
    assert name in ("a_x2.tif", "a_x2.tiff")


def test_dry_run_prints_and_leaves_nothing(tmp_path: Path) -> None:
    photo(tmp_path / "in/a.png")
    photo(tmp_path / "in/b.jpg", seed=1)
    before = sorted(tmp_path.rglob("*"))
    result = bicubic(tmp_path / "in", tmp_path / "out", "--scale", 2, "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert sorted(tmp_path.rglob("*")) == before
    first, second, last = result.stdout.splitlines()
    assert first.startswith(
        f"{tmp_path / 'in/a.png'} -> {tmp_path / 'out/a.png'}: 24x16 -> 48x32, "
    )
    assert second.startswith(f"{tmp_path / 'in/b.jpg'} -> ")
    for word in ("1 task, ", "memory", "disk", "about"):
        assert word in first
    assert last.startswith("2 images, 0 of them would fail and 0 are finished; 0.00307 Mpx and ")


def test_what_is_left_out_is_said_and_failed_where_that_is_asked(tmp_path: Path) -> None:
    photo(tmp_path / "in/a.png")
    for name in ("b.svg", "c.dcm", "notes.txt"):
        (tmp_path / "in" / name).write_text("what it is")
    command = (tmp_path / "in", tmp_path / "out", "--scale", 2)
    said = "left out, of kinds that are not read: 2 files: b.svg, c.dcm"
    assert said in bicubic(*command, "--dry-run").stdout
    report = tmp_path / "report.json"
    result = bicubic(*command, "--report", report)
    assert (result.exit_code, said in result.stderr) == (0, True)
    data = json.loads(report.read_text())
    assert [Path(each["input"]).name for each in data["left_out"]] == ["b.svg", "c.dcm"]
    assert data["left_out"][0]["kind"] == "a drawing (.svg)"
    assert len(data["images"]) == 1
    result = bicubic(*command, "--strict", "--report", report)
    assert result.exit_code == 1
    assert "b.svg: got a drawing (.svg)" in result.stderr
    data = json.loads(report.read_text())
    assert [each["status"] for each in data["images"]] == ["skipped", "failed", "failed"]
    assert data["left_out"] == []


def test_images_of_one_name_and_two_kinds(tmp_path: Path) -> None:
    photo(tmp_path / "in/a.png")
    photo(tmp_path / "in/a.bmp", seed=1)
    result = bicubic(tmp_path / "in", tmp_path / "out", "--scale", 2)
    assert result.exit_code == 1
    assert "--keep-extension" in result.stderr
    result = bicubic(tmp_path / "in", tmp_path / "both", "--scale", 2, "--keep-extension")
    assert result.exit_code == 0, result.stderr
    assert files(tmp_path / "both") == ["a.bmp.png", "a.png"]


def test_the_first_page_is_said_to_be_it(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (9, 8), colour) for colour in ("red", "blue")]
    (tmp_path / "in").mkdir()
    frames[0].save(tmp_path / "in/a.gif", save_all=True, append_images=frames[1:])
    command = (tmp_path / "in", tmp_path / "out", "--scale", 2)
    result = bicubic(*command)
    assert "a.gif: the first of 2 pages; --page takes another" in result.stderr
    result = bicubic(*command, "--page", 2, "--suffix", "-2")
    assert (result.exit_code, "pages" in result.stderr) == (0, False)
    shown = [Image.open(tmp_path / "out" / name).getpixel((5, 5)) for name in ("a.png", "a-2.png")]
    assert shown == [(255, 0, 0), (0, 0, 255)]


def test_dry_run_says_what_would_fail_or_be_skipped(tmp_path: Path) -> None:
    photo(tmp_path / "in/a.png")
    command = (tmp_path / "in", tmp_path / "out", "--scale", 2)
    assert bicubic(*command).exit_code == 0
    (tmp_path / "in/b.png").write_bytes(b"no image")
    result = bicubic(*command, "--dry-run", "-v")
    assert result.exit_code == 1
    first, second, *_, last = result.stdout.splitlines()
    assert "finished before" in first
    assert second.startswith(f"error: {tmp_path / 'in/b.png'}")
    assert last.startswith("2 images, 1 of them would fail and 1 are finished; 0 Mpx")


def test_report_for_scripts(tmp_path: Path) -> None:
    photo(tmp_path / "in/a.png")
    (tmp_path / "in/b.png").write_bytes(b"no image")
    report = tmp_path / "report.json"
    result = bicubic(tmp_path / "in", tmp_path / "out", "--scale", 2, "--report", report)
    assert result.exit_code == 1
    data = json.loads(report.read_text())
    assert data["exit_code"] == 1
    assert data["counts"] == {"done": 1, "skipped": 0, "failed": 1, "interrupted": 0}
    done, failed = data["images"]
    assert done["input"] == str(tmp_path / "in/a.png")
    assert done["output"] == str(tmp_path / "out/a.png")
    assert (done["status"], done["width"], done["height"]) == ("done", 48, 32)
    assert done["pixels"] == 48 * 32
    assert done["seconds"] > 0
    assert done["mpx_per_s"] > 0
    assert done["error"] is None
    assert failed["status"] == "failed"
    assert failed["output"] is None
    assert "b.png" in failed["error"]
    assert "\n" not in failed["error"]


def test_a_part_on_the_command_line(tmp_path: Path) -> None:
    source = photo(tmp_path / "a.png", 24, 16)
    assert bicubic(source, tmp_path / "w.png", "--scale", 3).exit_code == 0
    result = bicubic(source, tmp_path / "p.png", "--scale", 3, "--roi", "4,2,10,5")
    assert result.exit_code == 0, result.stderr
    with Image.open(tmp_path / "w.png") as whole, Image.open(tmp_path / "p.png") as part:
        expected = np.asarray(whole)[6:21, 12:42]
        np.testing.assert_array_equal(np.asarray(part), expected)
    for text in ("1,2,3", "1,2,0,4", "-1,2,3,4", "a,b,c,d", "1,2,3,4,5"):
        result = bicubic(source, tmp_path / "x.png", "--scale", 3, "--roi", text)
        assert result.exit_code == 2
        assert "X,Y,W,H" in result.stderr
    result = bicubic(source, tmp_path / "x.png", "--scale", 3, "--roi", "20,0,5,5")
    assert result.exit_code == 1
    assert "24x16 pixels" in result.stderr
