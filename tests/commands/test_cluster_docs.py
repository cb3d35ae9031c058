"""The blocks of docs/cluster.md, run as they are written, where that can be done here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.commands.test_work import ENV, digests, photos

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "cluster.md"
COUNT = 6


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder as the page has it: photos, and a command "liif"."""
    if not PAGE.exists():
        pytest.skip("no docs")
    photos(tmp_path, COUNT)
    (tmp_path / "in").rename(tmp_path / "photos")
    command = tmp_path / "bin" / "liif"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m liif_cli "$@"\n')
    command.chmod(0o755)
    return tmp_path


def shell(
    place: Path, script: str, *args: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    path = f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-c", script, "sh", *args],
        cwd=place,
        env={**ENV, "PATH": path, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def plan(place: Path) -> None:
    """The first block's plan, by a model that is fast."""
    (first, *_) = blocks("sh")
    line = first.splitlines()[0]
    assert line.startswith("liif plan")
    done = shell(place, line + " --model bicubic")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_first_commands(place: Path) -> None:
    (first, *_) = blocks("sh")
    assert len(first.splitlines()) == 3
    plan(place)
    for line in first.splitlines()[1:]:
        done = shell(place, line)
        assert done.returncode == 0, done.stderr
    assert f"{COUNT} of {COUNT} done" in done.stdout
    assert len(digests(place / "large")) == COUNT


@pytest.mark.slow
def test_processes_and_dask(place: Path) -> None:
    for word in ("processes", "dask"):
        (script,) = (block for block in blocks("sh") if f"--executor {word}" in block)
        plan(place)
        lines = [line for line in script.splitlines() if not line.startswith("pip ")]
        done = shell(place, "\n".join(lines))
        assert done.returncode == 0, done.stderr
        assert len(digests(place / "large")) == COUNT
        shutil.rmtree(place / "large")
        (place / "plan.jsonl").unlink()


@pytest.mark.slow
def test_the_slurm_script(place: Path) -> None:
    (script,) = (block for block in blocks("sh") if "#SBATCH" in block)
    plan(place)
    for index in (1, 0):
        done = shell(
            place,
            script,
            "plan.jsonl",
            SLURM_ARRAY_TASK_ID=str(index),
            SLURM_ARRAY_TASK_COUNT="2",
            SLURM_ARRAY_TASK_MIN="0",
        )
        assert done.returncode == 0, done.stderr
    assert len(digests(place / "large")) == COUNT


@pytest.mark.slow
def test_the_rehearsal_with_moto(place: Path) -> None:
    (script,) = (block for block in blocks("sh") if "moto.server" in block)
    python = place / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    lines = [line for line in script.splitlines() if not line.startswith("pip ")]
    assert lines[-1] == "kill $moto"
    done = shell(place, "\n".join(["set -e", *lines]))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("intact") == COUNT


@pytest.mark.slow
def test_the_job_of_kubernetes(place: Path) -> None:
    (text,) = blocks("yaml")
    job = yaml.safe_load(text)
    spec = job["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    args = container["args"]
    assert int(args[args.index("--of") + 1]) == spec["completions"]
    plan(place)
    words = [str(place / "plan.jsonl") if word == "/data/plan.jsonl" else word for word in args]
    done = shell(place, 'exec "$@"', *words, JOB_COMPLETION_INDEX="3")
    assert done.returncode == 0, done.stderr
    assert len(digests(place / "large")) == COUNT
