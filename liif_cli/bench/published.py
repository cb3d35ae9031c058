"""Figures that papers printed, to be shown beside measured ones and marked as cited."""

from __future__ import annotations

from dataclasses import dataclass

from liif_cli.bench.results import CITED, SCALED, ImageScore, MethodInfo

LIIF_PAPER = "arXiv 2012.09161"
THERA_PAPER = "arXiv 2311.17643"
DIV2K_SCALES = (2, 3, 4, 6, 12, 18, 24, 30)
LUMA_SCALES = (2, 3, 4, 6, 8)


@dataclass(frozen=True)
class Row:
    """PSNR in dB of one method on one set; shorter than ``scales`` where the paper has no more."""

    set: str
    method: str
    source: str
    scales: tuple[int, ...]
    psnr: tuple[float, ...]


def _div2k(method: str, *psnr: float, source: str = f"{LIIF_PAPER}, Table 1") -> Row:
    return Row("DIV2K", method, source, DIV2K_SCALES, psnr)


def _luma(set: str, method: str, *psnr: float) -> Row:
    return Row(set, method, f"{LIIF_PAPER}, Table 2", LUMA_SCALES, psnr)


ROWS = (
    _div2k("bicubic", 31.01, 28.22, 26.66, 24.82, 22.27, 21.00, 20.19, 19.59),
    _div2k("EDSR-baseline, a model a scale", 34.55, 30.90, 28.94),
    _div2k("EDSR-baseline-MetaSR", 34.64, 30.93, 28.92, 26.61, 23.55, 22.03, 21.06, 20.37),
    _div2k("EDSR-baseline-LIIF", 34.67, 30.96, 29.00, 26.75, 23.71, 22.17, 21.18, 20.48),
    _div2k("RDN-MetaSR", 35.00, 31.27, 29.25, 26.88, 23.73, 22.18, 21.17, 20.47),
    _div2k("RDN-LIIF", 34.99, 31.26, 29.27, 26.99, 23.89, 22.34, 21.31, 20.59),
    _div2k(
        *("EDSR-baseline x4, then Lanczos", 34.52, 30.89, 28.98, 26.75, 23.76, 22.25, 21.29, 20.62),
        source=f"{THERA_PAPER}, Table 1",
    ),
    _luma("Set5", "RDN-MetaSR", 38.22, 34.63, 32.38, 29.04, 26.96),
    _luma("Set5", "RDN-LIIF", 38.17, 34.68, 32.50, 29.15, 27.14),
    _luma("Set14", "RDN-MetaSR", 33.98, 30.54, 28.78, 26.51, 24.97),
    _luma("Set14", "RDN-LIIF", 33.97, 30.53, 28.80, 26.64, 25.15),
    _luma("B100", "RDN-MetaSR", 32.33, 29.26, 27.71, 25.90, 24.83),
    _luma("B100", "RDN-LIIF", 32.32, 29.26, 27.74, 25.98, 24.91),
    _luma("Urban100", "RDN-MetaSR", 32.92, 28.82, 26.55, 23.99, 22.59),
    _luma("Urban100", "RDN-LIIF", 32.87, 28.82, 26.68, 24.20, 22.79),
)


def cited(sets: list[str], scales: list[float]) -> tuple[list[MethodInfo], list[ImageScore]]:
    """Rows and scores of the papers for sets and scales that were measured too.

    Sets are known by their name; "DIV2K_valid_HR" is DIV2K.
    """
    methods: dict[str, MethodInfo] = {}
    scores = []
    for name in sets:
        for row in ROWS:
            if not _is(name, row.set):
                continue
            for scale, psnr in zip(row.scales, row.psnr, strict=False):
                if float(scale) not in scales:
                    continue
                label = f"{row.method} ({row.source})"
                key = f"cited: {row.method}"
                methods.setdefault(key, MethodInfo(key, label, "", "", cited=True))
                scores.append(
                    ImageScore(
                        set=name,
                        image=CITED,
                        method=key,
                        scale=float(scale),
                        cell=SCALED,
                        psnr=psnr,
                        ssim=None,
                        encode_seconds=0.0,
                        decode_seconds=0.0,
                        mpx=0.0,
                        peak_bytes=0,
                        note=row.source,
                    )
                )
    return list(methods.values()), scores


def _is(name: str, known: str) -> bool:
    """Whether a set's name is that of a known one; a second set of one name ends in " #2"."""
    plain = name.split(" #")[0].lower()
    return plain == known.lower() or (known == "DIV2K" and plain.startswith("div2k_valid"))
