"""Compiled kernels for processors other than this one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from liif_cli.models import machine_code


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


def check_older_processors(cache: Path, script: str) -> None:
    """Run a script, which prints its result, with the vectors of AVX2, of SSE, and of AVX-512 here.

    Args:
        cache: folder of compiled code.
        script: of ``run_on``; its argument is how many numbers a vector register holds.
    """
    haswell = run_on("haswell", "+avx,+avx2,+fma", cache, script, 8)
    assert run_on("nehalem", "+sse2,+sse4.2", cache, script, 4)
    if machine_code.registers()[0] == 16:
        # with fused multiply-adds, results do not depend on the processor
        assert run_on(*machine_code.target(), cache, script, 16) == haswell
