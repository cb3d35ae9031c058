"""A report of a bench with everything in it that a page or a plot can meet, and its crop files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from liif_cli.bench.results import (
    CITED,
    SCALED,
    BenchReport,
    Crop,
    Header,
    ImageScore,
    MethodInfo,
    SetInfo,
)

NASTY = """<script>document.title="evil"</script><img src=x onerror=evil()>&"'$_\x01"""
SCALES = [2.0, 4.0, 30.0]


def score(
    set_name: str, image: str, method: str, scale: float, psnr: float | None, note: str = ""
) -> ImageScore:
    """A score whose SSIM and times follow from the PSNR, so that tests can reckon them."""
    return ImageScore(
        set=set_name,
        image=image,
        method=method,
        scale=scale,
        cell=SCALED,
        psnr=psnr,
        ssim=None if psnr is None else psnr / 100,
        encode_seconds=0.0 if psnr is None else 0.25,
        decode_seconds=0.0 if psnr is None else 0.75,
        mpx=0.0 if psnr is None else psnr / 10,
        peak_bytes=300 * 2**20,
        note=note,
    )


def cited(set_name: str, scale: float, psnr: float) -> ImageScore:
    """A figure of a paper: no SSIM, no time."""
    return ImageScore(set_name, CITED, "paper", scale, SCALED, psnr, None, 0, 0, 0, 0, "Table 1")


def make_report(folder: Path) -> BenchReport:
    """Two sets, three measured methods and a cited one; image "b" is too small for x30.

    The crop's files are written to ``folder``: 8 x 6 pixels each, of different content.
    """
    methods = [
        MethodInfo("bicubic", "bicubic", "", "b1c0"),
        MethodInfo("net", "small network", "edsr-small", "feedbeef" * 8, parameters=560_000),
        MethodInfo("nasty", NASTY, NASTY, "", parameters=1),
        MethodInfo("paper", "RDN-LIIF (Table 1)", "", "", cited=True),
    ]
    scores = [
        score(entry, image, method, scale, base - scale + (method == "net"))
        for entry in ("photos", NASTY)
        for image, base in (("a", 30.0), ("b", 36.0))
        for method in ("bicubic", "net", "nasty")
        for scale in (2.0, 4.0)
    ]
    scores += [
        score("photos", "a", "bicubic", 30.0, 15.0),
        score("photos", "a", "net", 30.0, 14.5),
        score("photos", "a", "nasty", 30.0, float("inf")),
    ]
    scores += [
        score("photos", "b", method, 30.0, None, f"too small {NASTY}")
        for method in ("bicubic", "net", "nasty")
    ]
    scores += [cited("photos", 2.0, 99.0), cited("photos", 30.0, 20.0)]
    crops = [
        make_crop(folder, 1, "photos", "a", 2.0),
        make_crop(folder, 2, NASTY, NASTY, 4.0),
    ]
    return BenchReport(
        header=Header(
            cpu="Example CPU <3",
            cores=4,
            threads=2,
            device="cpu",
            versions={"liif": "9.8.7", "torch": "2.x"},
            commit="0123456789ab+",
            options={"scales": [2, 4, 30], "limit": None, "data": NASTY},
        ),
        sets=[
            SetInfo("photos", ["a", "b"], "div2k", ""),
            SetInfo(NASTY, ["a", "b"], "benchmark", f"/data/{NASTY}"),
        ],
        methods=methods,
        scales=SCALES,
        scores=scores,
        crops=crops,
    )


def with_inputs(report: BenchReport, folder: Path) -> BenchReport:
    """The report measured at "jpeg50" too: 2.5 dB less for the network, 1 for the others.

    Image "a" of "photos" has no colour; the network gives it some. Without bicubic a crop's file
    "input" shows the degraded LR.
    """
    scores = [
        replace(one, chroma=131 if one.method == "net" else 0, coloured=7 * (one.method == "net"))
        if (one.set, one.image) == ("photos", "a") and one.psnr is not None
        else one
        for one in report.scores
    ]
    lossy = [
        replace(
            one,
            input="jpeg50",
            cleanup=50.0,
            psnr=None if one.psnr is None else one.psnr - 1 - 1.5 * (one.method == "net"),
        )
        for one in scores
        if one.image != CITED
    ]
    crop = make_crop(folder, 3, "photos", "a", 2.0)
    files = {"HR": crop.files["HR"], "input": crop.files["bicubic"], "net": crop.files["net"]}
    crops = [
        replace(crop, input="jpeg50"),
        replace(crop, input="jpeg50", files=files, psnr={"net": 22.5}),
    ]
    return replace(report, scores=scores + lossy, crops=report.crops + crops)


def make_crop(folder: Path, number: int, set_name: str, image: str, scale: float) -> Crop:
    """A crop whose four files are random pixels."""
    rng = np.random.default_rng(number)
    files = {}
    for index, name in enumerate(("HR", "bicubic", "net", "nasty")):
        path = folder / "crops" / f"{number}-{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        files[name] = str(path.relative_to(folder))
    psnr = {"bicubic": 20.0, "net": 22.5, "nasty": 21.0}
    return Crop(set_name, image, scale, (3, 5, 8, 6), files, psnr)
