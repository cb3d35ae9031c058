"""``liif bench`` on the command line."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from liif_cli.bench.results import BenchReport
from liif_cli.bench.samples import bench_images
from liif_cli.cli import liif

ROOT = Path(__file__).resolve().parents[2]
HAS_PAGE = all(importlib.util.find_spec(f"liif_cli.bench.{name}") for name in ("html", "plots"))


@pytest.fixture
def set5(tmp_path: Path) -> Path:
    folder = tmp_path / "Set5"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (70, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "a.png")
    Image.fromarray(noise[:12, :12]).save(folder / "tiny.png")
    return folder


def run(*args: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(liif, ["bench", *args])
    return result.exit_code, result.stdout, result.stderr


def test_a_table_with_cited_rows_and_counts(set5: Path) -> None:
    code, out, _ = run(
        *("--data", str(set5), "--scales", "2,8", "--methods", "bicubic,nearest", "--threads", "1"),
        *("--paper", "--ssim", "--time"),
    )
    assert code == 0
    assert "Set5, PSNR in dB over luma, 2 images" in out
    assert "SSIM over luma" in out
    assert "Mpx/s" in out
    cited = next(line for line in out.splitlines() if line.strip().startswith("RDN-LIIF"))
    assert "cited" in cited
    assert cited.split()[-2:] == ["38.17", "27.14"]
    assert "Set5 x8: mean over 1 of 2 images, without tiny (too small for x8)" in out
    assert "torch" in out.splitlines()[0]
    assert out.count("*") == 4  # best PSNR and SSIM of two columns


def test_json_on_stdout_is_nothing_but_json(set5: Path) -> None:
    code, out, err = run(
        *("--data", str(set5), "--scales", "2", "--methods", "nearest", "--json", "-")
    )
    assert code == 0
    report = BenchReport.from_json(json.loads(out))
    assert report.scales == [2.0]
    assert len(report.scores) == 2
    assert report.header.options["scales"] == [2.0]
    assert "PSNR" in err
    args = ("--data", str(set5), "--scales", "2", "--methods", "nearest", "-q")
    assert run(*args) == (0, "", "")


def test_markdown_on_stdout_is_nothing_but_tables(set5: Path) -> None:
    args = ("--data", str(set5), "--scales", "2,8", "--methods", "bicubic,nearest", "--paper")
    code, out, err = run(*args, "--markdown", "-")
    assert code == 0
    assert "Set5, PSNR in dB over luma, 2 images" in err
    head, rule, first, second, *others = out.splitlines()
    assert head == "| Set5, PSNR in dB over luma | x2 | x8 |"
    assert rule == "| --- | ---: | ---: |"
    figures = [line.strip("| ").split(" | ") for line in (first, second)]
    assert [cells[0] for cells in figures] == ["bicubic", "nearest"]
    for column in (1, 2):
        texts = [cells[column] for cells in figures]
        values = [float(text.strip("*").split()[0]) for text in texts]
        bold = [value for text, value in zip(texts, values, strict=True) if text.startswith("**")]
        assert bold == [max(values)]
        assert all(("(1)" in text) == (column == 2) for text in texts)
    assert any("RDN-LIIF" in line and line.endswith("cited | 38.17 | 27.14 |") for line in others)
    assert others[-1].startswith("Set5 x8: mean over 1 of 2 images")


def test_inputs_are_columns_of_a_table_a_scale(set5: Path) -> None:
    gray = np.kron(np.random.default_rng(1).integers(0, 2, (40, 40)), np.full((2, 2), 255))
    Image.fromarray(gray.astype(np.uint8)).save(set5 / "gray.png")
    args = ("--data", str(set5), "--scales", "2,3", "--methods", "bicubic,nearest", "--paper")
    code, out, err = run(*args, "--inputs", "clean,noise5,jpeg50-420", "--markdown", "-")
    assert code == 0
    heads = [line for line in out.splitlines() if line.startswith("| Set5")]
    assert heads == [
        f"| Set5, x{scale}, {what} | clean | noise5 | jpeg50-420 |"
        for scale in (2, 3)
        for what in (
            "PSNR in dB over luma",
            "dB over luma above bicubic of the same input",
            "largest chroma of the network's answer (pixels above 48)",
        )
    ]
    tables = out.split("\n\n")
    rows = [[line.strip("| ").split(" | ") for line in table.splitlines()[2:]] for table in tables]
    psnr = {
        cells[0]: [float(text.strip("*").split()[0]) for text in cells[1:]] for cells in rows[0][:2]
    }
    gains = next(cells for cells in rows[1] if cells[0] == "nearest")
    for index, text in enumerate(gains[1:]):
        assert float(text.strip("*")) == pytest.approx(
            psnr["nearest"][index] - psnr["bicubic"][index], abs=0.011
        )
    assert rows[2] == [["bicubic", "0", "0", "0"], ["nearest", "0", "0", "0"]]
    cited = next(cells for cells in rows[0] if "RDN-LIIF" in cells[0])
    assert cited[1:] == ["38.17", "-", "-"]
    assert "Set5, x2, PSNR in dB over luma, 3 images" in err
    assert "pixels above 48), 1 gray image" in err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--inputs", "jpg85"], "did you mean 'jpeg85'?"),
        (["--inputs", "clean,"], "--inputs"),
        (["--json", "-", "--markdown", "-"], "stdout for both"),
        (["--scales", "2,1"], "above 1"),
        (["--scales", "two"], "--scales"),
        (["--methods", "liif,,"], "--methods"),
        (["--data", "no/such"], "no such folder"),
    ],
)
def test_wrong_usage(args: list[str], message: str) -> None:
    code, _, err = run(*args)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_something_left_out_is_exit_code_1(set5: Path) -> None:
    (set5 / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    code, out, err = run("--data", str(set5), "--scales", "2", "--methods", "nearest")
    assert code == 1
    assert "torn" in err
    assert "nearest" in out


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from liif_cli.cli import liif\n"
        "try: liif(['bench', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'cv2', 'numpy', 'rich'} & set(sys.modules)))"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert "--protocol" in done.stdout


@pytest.mark.skipif(not HAS_PAGE, reason="no module that writes the page")
def test_a_folder_of_results(set5: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    args = ("--data", str(set5), "--scales", "2,3", "--methods", "bicubic,nearest", "--out")
    assert run(*args, str(out))[0] == 0
    first = BenchReport.from_json(json.loads((out / "report.json").read_text()))
    assert (out / "report.html").stat().st_size > 1000
    assert first.crops
    assert run(*args, str(out))[0] == 0
    again = BenchReport.from_json(json.loads((out / "report.json").read_text()))
    assert again.scores == first.scores


@pytest.mark.slow
def test_the_built_in_set() -> None:
    images = bench_images()
    assert sum(image.shape[0] * image.shape[1] for image in images.values()) < 1e6
    assert min(min(image.shape[:2]) for image in images.values()) >= 360
    for image in images.values():
        low, high = np.percentile(image, [1, 99])
        assert low < 70
        assert high > 180
    again = bench_images()
    for name, image in images.items():
        np.testing.assert_array_equal(again[name], image)
