"""Compiled kernels for processors other than this one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run_on(processor: str, features: str, cache: Path, script: str, *words: object) -> str:
    """What a script prints in a process that compiles kernels for that processor.

    Args:
        processor: LLVM's name of it.
        features: LLVM's, with commas.
        cache: folder of compiled code.
        script: Python, run from the root of the repository.
        words: its arguments.
    """
    target = {"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": features}
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, words)],
        env={**os.environ, **target, "NUMBA_CACHE_DIR": str(cache)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
