"""The machine and the versions behind figures. No date, so that equal runs have equal reports."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import torch

import liif_cli
from liif_cli.bench.results import Header
from liif_cli.bench.timed import Place
from liif_cli.engine.machine import cores
from liif_cli.models.device import device_name


def make_header(place: Place, options: dict[str, Any]) -> Header:
    """What this process runs on and with."""
    device = str(place.device)
    if place.device.type != "cpu":
        device += f" ({device_name(place.device)})"
    return Header(
        cpu=cpu_name(),
        cores=cores(),
        threads=place.threads,
        device=device,
        versions={
            "liif": liif_cli.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        commit=commit(),
        options=options,
    )


def cpu_name() -> str:
    """The processor as it names itself."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def commit() -> str | None:
    """The source tree's commit, "+" behind it with local changes; None outside a checkout."""
    root = Path(liif_cli.__file__).parents[1]
    if not (root / ".git").exists():
        return None
    try:
        revision = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return revision + ("+" if changed else "")


def _git(root: Path, *args: str) -> str:
    run = subprocess.run(
        ["git", "-C", str(root), *args], capture_output=True, text=True, check=True, timeout=10
    )
    return run.stdout.strip()
