"""Writes docs/formats.md from what the sources and exporters of the registry declare.

python docs/generate_formats.py            write docs/formats.md
python docs/generate_formats.py --check    exit 1 where it is not up to date
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from liif_cli.io import EXPORTERS, SOURCES, exporter_for
from liif_cli.io.abilities import ABILITIES
from liif_cli.io.base import Exporter

TARGET = Path(__file__).with_name("formats.md")
READ_ONLY = ("CMYK", "pages")
DTYPES = {"uint8": "8", "uint16": "16", "float32": "float", "int16": "wide"}
HEAD = """# Formats

Made from what the code declares by `python docs/generate_formats.py`; tests hold every cell to
files of other libraries. What a source reads goes through, in the same type; what an output cannot
hold is refused before any work, or dropped with a warning.

`pillow` is what Pillow reads: TGA, PSD, ICO, ICNS, DDS, PCX, DCX, SGI, Sun raster, XBM, XPM, MSP,
IM, PIXAR, BLP, FTEX, CUR, FLI, GBR, PCD, SPIDER, IMT, McIDAS. It and HEIC need
`pip install '.[formats]'`, Cloud Optimized GeoTIFF needs `.[cog]`.
"""
Row = tuple[tuple[str, ...], frozenset[str]]


def written(exporter: Exporter) -> frozenset[str]:
    """What an exporter writes."""
    found = {DTYPES[name] for name in exporter.dtypes if name in DTYPES} | exporter.carries
    if exporter.channels is None:
        found |= {"alpha", "bands"}
    elif 4 in exporter.channels:
        found.add("alpha")
    return frozenset(found | ({"window"} if exporter.streams else set()))


def page() -> str:
    """The page as Markdown."""
    sources = {name: SOURCES.load(name) for name in SOURCES}
    exporters = {name: exporter_for(name) for name in EXPORTERS}
    parts = [HEAD, "## Read", ""]
    parts += table({n: (kind.suffixes, kind.reads) for n, kind in sources.items()}, ())
    parts += ["", "## Written", ""]
    parts += table({n: (each.suffixes, written(each)) for n, each in exporters.items()}, READ_ONLY)
    parts += ["", "## What the columns mean", ""]
    parts += [f"- **{name}**: {text}." for name, text in ABILITIES.items()]
    return "\n".join(parts) + "\n"


def table(rows: dict[str, Row], without: tuple[str, ...]) -> Iterator[str]:
    """Lines of a table of formats and abilities."""
    names = [name for name in ABILITIES if name not in without]
    yield "| format | suffixes | " + " | ".join(names) + " |"
    yield "|---|---|" + ":-:|" * len(names)
    for name, (suffixes, found) in rows.items():
        shown = " ".join(suffixes[:6]) + (" ..." if len(suffixes) > 6 else "")
        yield f"| {name} | {shown} | " + " | ".join("x" if n in found else "" for n in names) + " |"


def main() -> None:
    """Write the page, or compare it."""
    text = page()
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text)
    elif not TARGET.exists() or TARGET.read_text() != text:
        sys.exit("docs/formats.md is not up to date: run python docs/generate_formats.py")


if __name__ == "__main__":
    main()
