"""A bench as a whole: order, means, resuming, and everything that can be wrong with the images."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from liif_cli.bench.imresize import imresize
from liif_cli.bench.job import Bench, BenchResult, BenchSpec
from liif_cli.bench.results import BenchReport, ImageScore
from liif_cli.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
MODEL = "edsr-small-lmliif"


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth noise (height, width, 3) uint8: upscaling has something to get right."""
    noise = np.random.default_rng(seed).random((height // 4, width // 4, 3))
    large = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return (np.clip(large, 0, 1) * 255).astype(np.uint8)


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    write(folder / "a.png", picture(96, 120))
    write(folder / "b.png", picture(100, 90, seed=1))
    return folder


def spec_of(*data: Path, **changes: object) -> BenchSpec:
    spec = BenchSpec(scales=(2.0, 3.0), data=data, methods=(MODEL, "bicubic"), threads=1)
    return replace(spec, **changes)  # type: ignore[arg-type]


def run(spec: BenchSpec) -> BenchResult:
    return Bench(spec).run()


def figures(report: BenchReport) -> list[tuple[object, ...]]:
    return [
        (score.set, score.scale, score.image, score.method, score.cell, score.psnr, score.ssim)
        for score in report.scores
    ]


def test_order_means_and_json(photos: Path) -> None:
    result = run(spec_of(photos))
    assert result.problems == []
    report = result.report
    assert [row[1:4] for row in figures(report)] == [
        (scale, image, method)
        for scale in (2.0, 3.0)
        for image in ("a", "b")
        for method in (MODEL, "bicubic")
    ]
    mean = report.mean("photos", "bicubic", 2.0)
    own = [s for s in report.scores if s.method == "bicubic" and s.scale == 2]
    assert mean.psnr == pytest.approx(np.mean([score.psnr for score in own]))
    assert (mean.count, mean.left_out) == (2, 0)
    assert own[0].mpx == pytest.approx(96 * 120 / 1e6)
    assert all(s.decode_seconds > 0 and s.peak_bytes > 2**20 for s in report.scores)
    assert all((s.encode_seconds > 0) == (s.method == MODEL) or s.method == "bicubic" for s in own)
    assert report.best("photos", 2.0) in (MODEL, "bicubic")
    again = BenchReport.from_json(json.loads(json.dumps(report.to_json())))
    assert again == report


@pytest.mark.parametrize(
    "methods",
    [
        (MODEL, "bicubic"),
        pytest.param((f"{MODEL}@ensemble", f"{MODEL}@via4"), marks=pytest.mark.slow),
    ],
    ids=["plain", "changed"],
)
def test_two_runs_have_the_same_figures(photos: Path, methods: tuple[str, ...]) -> None:
    spec = spec_of(photos, methods=methods)
    assert figures(run(spec).report) == figures(run(spec).report)


def test_threads_change_no_printed_digit(photos: Path) -> None:
    one, two = (run(spec_of(photos, threads=n)).report.scores for n in (1, 2))
    for a, b in zip(one, two, strict=True):
        assert a.psnr == pytest.approx(b.psnr, abs=1e-4)


def test_a_second_run_goes_on(photos: Path, tmp_path: Path) -> None:
    spec = spec_of(photos, out=tmp_path / "out")
    first = run(spec).report
    ledger = tmp_path / "out" / "results.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    assert len(lines) == len(first.scores) == 8
    # killed while writing: the last line is torn, an earlier one damaged
    ledger.write_bytes(b"".join([*lines[:3], b"{broken\n", lines[3], lines[4][:-9]]))
    asked: list[str] = []

    class Watched(Bench):
        def _pair(self, entry, scale, image):  # type: ignore[no-untyped-def]
            asked.append(f"{image.name} x{scale:g}")
            return super()._pair(entry, scale, image)

    second = Watched(spec).run().report
    assert figures(second) == figures(first)
    # times of what was measured before are kept
    assert second.scores[:4] == first.scores[:4]
    assert asked == ["a x3", "b x3"]
    assert len(ledger.read_bytes().splitlines()) == 3 + 1 + 1 + 4
    third = run(spec).report
    assert third.scores == second.scores


def test_other_content_is_measured_anew(photos: Path, tmp_path: Path) -> None:
    spec = spec_of(photos, out=tmp_path / "out", scales=(2.0,), methods=("bicubic",))
    first = run(spec).report
    write(photos / "b.png", picture(100, 90, seed=7))
    second = run(spec).report
    assert second.scores[0] == first.scores[0]
    assert second.scores[1].psnr != first.scores[1].psnr


def test_crops_are_made_remembered_and_mended(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    spec = spec_of(photos, out=out, scales=(3.0, 4.0))
    crops = run(spec).report.crops
    assert {crop.scale for crop in crops} == {4.0}
    assert {crop.image for crop in crops} == {"a", "b"}
    for crop in crops:
        assert set(crop.files) == {"HR", MODEL, "bicubic"}
        assert set(crop.psnr) == {MODEL, "bicubic"}
        x, y, width, height = crop.box
        hr = cv2.imread(str(photos / f"{crop.image}.png"))[y : y + height, x : x + width]
        np.testing.assert_array_equal(cv2.imread(str(out / crop.files["HR"])), hr)
        assert hr.shape == (height, width, 3)
        assert width == height == 48
    gone = out / crops[0].files[MODEL]
    gone.unlink()
    assert run(spec).report.crops == crops
    assert gone.is_file()


def test_crops_of_large_images_can_be_shown_enlarged(tmp_path: Path) -> None:
    write(tmp_path / "large" / "a.png", picture(360, 480))
    spec = spec_of(tmp_path / "large", scales=(4.0,), methods=("bicubic", "nearest"))
    (crop,) = run(replace(spec, out=tmp_path / "out")).report.crops
    assert crop.box[2:] == (80, 80)


def test_given_lr_files_luma_and_mismatches(tmp_path: Path) -> None:
    tree = tmp_path / "Mine"
    for name, seed in (("good", 0), ("odd", 1), ("plain", 2)):
        hr = picture(60, 72, seed)
        write(tree / "HR" / f"{name}.png", hr)
        if name == "good":
            # not the LR that would be made here
            write(tree / "LR_bicubic" / "X2" / "goodx2.png", hr[::2, ::2])
        if name == "odd":
            write(tree / "LR_bicubic" / "X2" / "oddx2.png", imresize(hr, (29, 36)))
    result = run(spec_of(tree, scales=(2.0,), methods=("bicubic",)))
    report = result.report
    assert report.sets[0].protocol == "benchmark"
    by_image = {score.image: score for score in report.scores}
    assert by_image["odd"].psnr is None
    assert "36x29" in by_image["odd"].note
    assert len(result.problems) == 1
    assert "odd" in result.problems[0]
    mean = report.mean("Mine", "bicubic", 2.0)
    assert (mean.count, mean.left_out) == (2, 1)
    made = run(spec_of(tree / "HR", scales=(2.0,), methods=("bicubic",), protocol="benchmark"))
    assert made.report.sets[0].name == "Mine"
    (tree / "LR_bicubic" / "X2" / "goodx2.png").unlink()
    again = run(spec_of(tree, scales=(2.0,), methods=("bicubic",))).report.scores
    assert next(s for s in again if s.image == "good").psnr != by_image["good"].psnr


def test_bad_images_leave_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    write(folder / "fine.png", picture(80, 80))
    write(folder / "gray.png", picture(80, 80, 3)[:, :, 0])
    write(folder / "small.png", picture(28, 28))
    write(folder / "alpha.png", np.dstack([picture(80, 80), np.full((80, 80), 9, np.uint8)]))
    (folder / "torn.png").write_bytes((folder / "fine.png").read_bytes()[:200])
    (folder / "empty.png").write_bytes(b"")
    result = run(spec_of(folder, scales=(4.0, 12.0), methods=("bicubic", "nearest")))
    report = result.report
    measured = {s.image for s in report.scores if s.psnr is not None and s.scale == 4}
    assert measured == {"fine", "gray", "small"}
    assert report.mean("mixed", "nearest", 4.0).left_out == 3
    assert report.mean("mixed", "nearest", 12.0).left_out == 4
    small = next(s for s in report.scores if s.image == "small" and s.scale == 12)
    assert "too small for x12" in small.note
    # small is no problem, the three files that cannot be read are one at each scale
    assert len(result.problems) == 6
    assert any("alpha" in line for line in result.problems)


def test_gray_is_three_equal_channels(tmp_path: Path) -> None:
    gray = picture(64, 64)[:, :, 0]
    write(tmp_path / "gray" / "x.png", gray)
    write(tmp_path / "rgb" / "x.png", np.repeat(gray[:, :, None], 3, axis=2))
    scores = run(spec_of(tmp_path / "gray", tmp_path / "rgb", scales=(2.0,))).report.scores
    assert [s.psnr for s in scores[:2]] == [s.psnr for s in scores[2:]]


def test_empty_sets_and_methods_without_weights_are_said(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("liif_cli.bench.methods.shipped", dict)
    (tmp_path / "none").mkdir()
    spec = spec_of(tmp_path / "none", photos, scales=(2.0,), methods=("metasr", "bicubic"))
    said: list[str] = []
    result = Bench(spec, said.append).run()
    assert [entry.name for entry in result.report.sets] == ["photos"]
    assert [method.name for method in result.report.methods] == ["bicubic"]
    assert said == result.problems
    assert any("metasr" in line for line in said)
    assert any("none" in line for line in said)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scales": (2.0, 1.0)}, "above 1"),
        ({"methods": ("liff",)}, "did you mean 'liif'"),
        ({"methods": ("bicubic@via4",)}, "network"),
        ({"data": (Path("no/such/folder"),)}, "no such folder"),
    ],
)
def test_wrong_usage(photos: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Bench(spec_of(photos, **{"data": (photos,), **changes}))  # type: ignore[arg-type]


def test_nothing_to_measure(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no image"):
        Bench(spec_of(tmp_path))


def test_cells_are_fractions_of_an_input_pixel(photos: Path) -> None:
    spec = spec_of(photos, scales=(2.0,), cells=(0.5, 0.25))
    scores = run(spec).report.scores
    cells = [(s.method, s.cell) for s in scores if s.image == "a"]
    assert cells == [(MODEL, "scaled"), (MODEL, 0.5), (MODEL, 0.25), ("bicubic", "scaled")]
    psnr: dict[object, ImageScore] = {s.cell: s for s in scores if s.image == "a"}
    one = {s.cell: s.psnr for s in scores if s.image == "a" and s.method == MODEL}
    assert len(psnr) == 3
    # half an input pixel is the true cell at x2
    assert one[0.5] == one["scaled"]
    assert one[0.25] != one["scaled"]


def test_an_interrupt_reports_what_is_done(photos: Path, tmp_path: Path) -> None:
    bench = Bench(spec_of(photos, out=tmp_path / "out"))

    def listen(progress: object) -> None:
        if progress.done == 3:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    result = bench.run(listen)
    assert result.interrupted
    assert len(result.report.scores) == 3
    assert len(run(spec_of(photos, out=tmp_path / "out")).report.scores) == 8


@pytest.mark.slow
def test_kill_in_the_middle_goes_on(photos: Path, tmp_path: Path) -> None:
    spec = spec_of(photos, out=tmp_path / "out", scales=(2.0, 3.0, 4.0, 6.0))
    code = (
        "from pathlib import Path; from liif_cli.bench.job import *;"
        f"Bench(BenchSpec(scales={spec.scales}, data=(Path({str(photos)!r}),),"
        f" methods={spec.methods}, threads=1, out=Path({str(spec.out)!r}))).run()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ}, cwd=ROOT)
    ledger = tmp_path / "out" / "results.jsonl"
    limit = time.monotonic() + 120
    while not ledger.exists() or ledger.read_bytes().count(b"\n") < 3:
        assert process.poll() is None
        assert time.monotonic() < limit
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    assert 3 <= ledger.read_bytes().count(b"\n") < 16
    assert figures(run(spec).report) == figures(run(replace(spec, out=None)).report)
