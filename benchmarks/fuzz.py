"""Does any damaged file crash the command, hang it, or make it take more memory than it may?

Files of every source format are made and damaged (``benchmarks/mutants.py``), put into folders
beside one good image, and upscaled by the command itself. A crash is an end by a signal, or an exit
code that is neither 0 nor 1; a hang is no line of progress for 10 s, every image having one. An
error that calls itself unexpected is counted, too. After a crash the same command is run again,
which sets the file aside. ``--keep`` keeps the folders in which anything was found.

    python -m benchmarks.fuzz [--count N] [--seed N] [--only FORMAT ...] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.mutants import SEEDS, Files, mutants, seeds

ROOT = Path(__file__).parents[1]
MEMORY_MIB = 640
HANG_SECONDS = 10.0
START_SECONDS = 120.0
A_FOLDER = 250
GOOD = "middle-good.png"
# no wider claim of a header is rendered: it would be an image like any other, and take hours
PIXELS = 4_000_000
_SUFFIXES = {"jpg": ".jpg", "tiff": ".tif", "pillow": ".sgi"}
_TRIES = 20


@dataclass
class Outcome:
    """What became of the files of a format."""

    files: int = 0
    done: int = 0
    failed: int = 0
    crashes: list[str] = field(default_factory=list)
    hangs: int = 0
    unexpected: list[str] = field(default_factory=list)
    peak_mib: float = 0.0
    good: bool = True

    @property
    def clean(self) -> bool:
        """Nothing crashed, hung, surprised or took too much, and the good images were done."""
        bad = self.crashes or self.hangs or self.unexpected or not self.good
        return not bad and self.peak_mib <= MEMORY_MIB and self.done + self.failed == self.files


def fuzz(format: str, count: int, seed: int, keep: Path | None = None) -> Outcome:
    """Upscale ``count`` damaged files of a format of ``SEEDS``, in folders of ``A_FOLDER``."""
    outcome = Outcome()
    todo = list(mutants(format, count, seed))
    for start in range(0, count, A_FOLDER):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write(folder / "in", format, todo[start : start + A_FOLDER])
            _run(folder, outcome)
            if keep is not None and not outcome.clean:
                shutil.copytree(folder / "in", keep / f"{format}-{seed}-{start}")
    return outcome


def write(folder: Path, format: str, files: Iterable[tuple[str, Files]]) -> None:
    """Write files by name into a new folder, beside a good image."""
    folder.mkdir(parents=True)
    (folder / GOOD).write_bytes(seeds("png")["rgb"][""])
    for name, content in files:
        path = folder / (name + _SUFFIXES.get(format, f".{format}"))
        for part, data in content.items():
            target = path / part if part else path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)


def _run(folder: Path, outcome: Outcome) -> None:
    report = folder / "report.json"
    for _ in range(_TRIES):
        code, hung, peak = _command(folder, report)
        outcome.peak_mib = max(outcome.peak_mib, peak)
        outcome.hangs += hung
        if code in (0, 1) or hung:
            break
        outcome.crashes.append(f"exit {code}")
    images = json.loads(report.read_text())["images"] if report.exists() else []
    for image in images:
        name, error = Path(image["input"]).name, image["error"] or ""
        if name == GOOD:
            outcome.good &= image["status"] in ("done", "skipped")
            continue
        outcome.files += 1
        outcome.done += image["status"] in ("done", "skipped")
        outcome.failed += image["status"] == "failed"
        if error.startswith("unexpected ") or "an earlier run died" in error:
            outcome.unexpected.append(f"{name}: {error}")


def _command(folder: Path, report: Path) -> tuple[int, bool, float]:
    """Exit code, whether it hung, and the peak of its memory in MiB."""
    command = [sys.executable, "-m", "liif_cli", "upscale", str(folder / "in"), str(folder / "out")]
    command += ["--scale", "2", "--model", "bicubic", "--format", "tiff", "--report", str(report)]
    command += ["--max-memory", f"{MEMORY_MIB}MiB", "--max-input-pixels", str(PIXELS)]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    lines: queue.Queue[str | None] = queue.Queue()

    def listen() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            lines.put(line)
        lines.put(None)

    reader = threading.Thread(target=listen)
    reader.start()
    hung, patience = False, START_SECONDS
    while True:
        try:
            line = lines.get(timeout=patience)
        except queue.Empty:
            hung = True
            process.kill()
            break
        patience = HANG_SECONDS
        if line is None:
            break
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    reader.join()
    assert process.stderr is not None
    process.stderr.close()
    return process.returncode, hung, usage.ru_maxrss / 1024


def main(arguments: list[str] | None = None) -> int:
    """Print a line per format; 1 where anything was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=2000, help="files of each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=sorted(SEEDS), default=list(SEEDS))
    parser.add_argument("--keep", type=Path, help="copies of folders where something was found")
    options = parser.parse_args(arguments)
    print(f"{options.count} files of each format, seed {options.seed}, {MEMORY_MIB} MiB allowed")
    clean = True
    for name in options.only:
        started = time.monotonic()
        found = fuzz(name, options.count, options.seed, options.keep)
        clean &= found.clean
        print(
            f"{name:5} done {found.done}, failed {found.failed}, crashes {len(found.crashes)}, "
            f"hangs {found.hangs}, unexpected {len(found.unexpected)}, peak "
            f"{found.peak_mib:.0f} MiB, good images {'done' if found.good else 'NOT DONE'}, "
            f"{time.monotonic() - started:.0f} s",
            flush=True,
        )
        for text in [*found.crashes, *found.unexpected]:
            print(f"      {text}", flush=True)
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
