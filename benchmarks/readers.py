"""What does liif make of a folder of test files, beside what Pillow makes of them?

Each file is opened and read in a process of its own. Printed are those that crash, hang, raise
something unexpected, are refused although Pillow reads them, are left out without a word, or come
out otherwise than with Pillow; and the counts. Differences need a look: Pillow keeps alpha where
there is none, reduces 16 bits, and turns by what XMP says.

    python -m benchmarks.readers FOLDER [--tolerance LEVELS] [--quiet-refusals]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

sys.path.insert(0, str(Path(__file__).parents[1]))

from liif_cli.errors import InputError, UsageError
from liif_cli.geometry.window import Window
from liif_cli.io import open_source
from liif_cli.io.discover import discover

SECONDS = 20
MOST_PIXELS = 40_000_000


def main() -> None:
    """Go through the folder and print what is to be looked at."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tolerance", type=int, default=2)
    parser.add_argument("--quiet-refusals", action="store_true")
    options = parser.parse_args()
    left_out: list[Path] = []
    try:
        pairs = discover(options.folder, Path(tempfile.gettempdir(), "none"), left_out=left_out)
    except UsageError as error:
        sys.exit(str(error))
    taken = {pair.input for pair in pairs} | set(left_out)
    counts: Counter[str] = Counter()
    for path in sorted(path for path in options.folder.rglob("*") if path.is_file()):
        theirs = path in taken or _in_process(path, _theirs)["size"] is not None
        if not theirs:
            continue
        if path not in taken:
            kind, detail = "left out without a word", ""
        elif path in left_out:
            kind, detail = "left out, named", ""
        else:
            found = _in_process(path, lambda each: _compared(each, options.tolerance))
            kind, detail = found["kind"], found["detail"]
        counts[kind] += 1
        hidden = kind in ("same", "left out, named", "refused by both")
        if not hidden and not (kind.startswith("refused") and options.quiet_refusals):
            print(f"{kind}: {path.relative_to(options.folder)}: {detail}", flush=True)
    print(", ".join(f"{kind} {count}" for kind, count in counts.most_common()))


def _in_process(path: Path, work: Any) -> dict[str, Any]:
    """A JSON answer of a function of the path, asked in a process of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        warnings.simplefilter("ignore")
        os.write(writer, json.dumps(work(path)).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    if status:
        number = os.WTERMSIG(status)
        kind = "hang" if number == signal.SIGALRM else "crash"
        return {"kind": kind, "detail": f"signal {number}", "size": None}
    found: dict[str, Any] = json.loads(answer)
    return found


def _theirs(path: Path) -> dict[str, Any]:
    """The size of what Pillow reads of a file, None where it reads nothing."""
    try:
        with Image.open(path) as image:
            image.load()
            return {"size": image.size}
    except Exception:
        return {"size": None}


def _pillow(path: Path) -> np.ndarray | None:
    try:
        with Image.open(path) as image:
            image.load()
            image = ImageOps.exif_transpose(image)
            mode = "RGBA" if image.has_transparency_data else "RGB"
            if image.mode.startswith(("I", "F")):
                return np.asarray(image)
            return np.asarray(image.convert(mode))
    except Exception:
        return None


def _compared(path: Path, tolerance: int) -> dict[str, Any]:
    try:
        source = open_source(path)
        info = source.info
        if info.height * info.width > MOST_PIXELS:
            return {"kind": "too large to compare", "detail": ""}
        ours = source.read(Window.whole(info.height, info.width))
    except InputError as error:
        other = _theirs(path)["size"] is not None
        kind = "refused, read by Pillow" if other else "refused by both"
        return {"kind": kind, "detail": str(error).removeprefix(str(path))}
    except Exception as error:
        return {"kind": "unexpected", "detail": f"{type(error).__name__}: {error}"}
    theirs = _pillow(path)
    if theirs is None:
        return {"kind": "not read by Pillow", "detail": f"{info.format} {ours.shape} {ours.dtype}"}
    if ours.shape[:2] != theirs.shape[:2]:
        return {"kind": "another size", "detail": f"{ours.shape} and {theirs.shape}"}
    if ours.dtype.kind == theirs.dtype.kind == "f" or ours.dtype.itemsize == 2:
        # of colours Pillow has 8 bits
        same = theirs.ndim == 2 and np.array_equal(ours[..., 0], theirs, equal_nan=False)
        if same:
            return {"kind": "same", "detail": ""}
    if ours.dtype != np.uint8 or theirs.dtype != np.uint8:
        return {"kind": "other samples", "detail": f"{ours.dtype} and {theirs.dtype}"}
    difference = _difference(ours, theirs, alpha=info.alpha)
    if difference > tolerance:
        return {"kind": "other pixels", "detail": f"{info.format}, by {difference} levels"}
    return {"kind": "same", "detail": ""}


def _difference(ours: np.ndarray, theirs: np.ndarray, *, alpha: bool) -> int:
    """The largest difference of colours that are seen, and of alpha."""
    ours, theirs = ours.astype(int), theirs.astype(int)
    found, seen = 0, np.ones(ours.shape[:2], bool)
    if alpha or theirs.shape[2] == 4:
        own = ours[..., -1] if alpha else np.full(ours.shape[:2], 255)
        other = theirs[..., 3] if theirs.shape[2] == 4 else np.full(ours.shape[:2], 255)
        found, seen = int(np.abs(own - other).max()), other > 0
    colours = ours[..., : ours.shape[2] - alpha]
    if colours.shape[2] not in (1, 3) or not seen.any():
        return found
    return max(found, int(np.abs(colours - theirs[..., :3])[seen].max()))


if __name__ == "__main__":
    main()
