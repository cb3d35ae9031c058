"""An input that kills the process is remembered, set aside, and tried again when that is asked for.

The codec of BMP files is replaced in every process by one that dies, of a signal, of files that say
so. Nothing else can be relied on to crash.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from liif_cli.engine.deaths import Deaths
from liif_cli.errors import InputError
from liif_cli.io import open_source

ROOT = Path(__file__).resolve().parents[2]
DEADLY = b"deadly"
CODEC = """
import os, signal
import imagecodecs
decode = imagecodecs.bmp_decode

def bmp_decode(data, **options):
    if data.endswith(b"deadly"):
        os.kill(os.getpid(), signal.SIGFPE)
    return decode(data, **options)

imagecodecs.bmp_decode = bmp_decode
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment in which every Python has the deadly codec."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(CODEC)
    paths = os.pathsep.join([str(folder), str(ROOT)])
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}


def bmp(path: Path, end: bytes = b"") -> Path:
    Image.new("RGB", (9, 7), "teal").save(path)
    with path.open("ab") as file:
        file.write(end)
    return path


def run(folder: Path, env: dict[str, str], *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "liif_cli", "upscale", str(folder / "in"), str(folder / "out")]
    command += ["--scale", "2", "--model", "bicubic", *more]
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)


def journals(folder: Path) -> list[Path]:
    return sorted(folder.glob(".liif-reading-*"))


@pytest.mark.slow
def test_a_deadly_input_kills_one_run_and_is_set_aside_by_the_next(
    tmp_path: Path, env: dict[str, str]
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.bmp", "c.bmp"):
        bmp(tmp_path / "in" / name)
    deadly = bmp(tmp_path / "in" / "b.bmp", DEADLY)
    out = tmp_path / "out"

    first = run(tmp_path, env)
    assert first.returncode == -signal.SIGFPE, first.stderr
    assert len(journals(out)) == 1

    for _ in range(2):
        found = run(tmp_path, env)
        assert found.returncode == 1, found.stderr
        assert "b.bmp: got a file on which an earlier run died (SIGFPE)" in found.stderr
        assert "--overwrite tries it again" in found.stderr
        assert {path.name for path in out.glob("*.png")} == {"a.png", "c.png"}
        assert len(journals(out)) == 1

    again = run(tmp_path, env, "--overwrite")
    assert again.returncode == 1, again.stderr
    assert "an earlier run died (SIGFPE)" in again.stderr
    dry = run(tmp_path, env, "--dry-run")
    assert dry.returncode == 1
    assert "an earlier run died (SIGFPE)" in dry.stdout

    bmp(deadly)
    mended = run(tmp_path, env)
    assert mended.returncode == 0, mended.stderr
    assert {path.name for path in out.glob("*.png")} == {"a.png", "b.png", "c.png"}
    assert journals(out) == []


def journal_of_a_dead_run(folder: Path, *begun: Path, fatal: bool = False, deaths: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / ".liif-reading-0123456789ab"
    lines = [
        json.dumps({"what": "begun", "path": str(each), "how": "", "stamp": "", "deaths": deaths})
        for each in begun
    ]
    note = (
        "Fatal Python error: Segmentation fault\n\nCurrent thread 0x0 (most recent call first):\n"
    )
    path.write_text("\n".join([*lines, note if fatal else ""]))
    return path


def test_what_was_in_work_when_a_run_was_killed_is_tried_and_acquitted(tmp_path: Path) -> None:
    path = bmp(tmp_path / "a.bmp")
    left = journal_of_a_dead_run(tmp_path / "out", path)
    info = open_source(path).info
    deaths = Deaths(tmp_path / "out")
    assert not left.exists()
    assert len(journals(tmp_path / "out")) == 1
    deaths.check(info, None)
    deaths.begin(path)
    deaths.end(path)
    deaths.close()
    assert journals(tmp_path / "out") == []


def test_an_interrupted_run_hands_on_what_it_did_not_try(tmp_path: Path) -> None:
    paths = [bmp(tmp_path / name) for name in ("a.bmp", "b.bmp")]
    journal_of_a_dead_run(tmp_path / "out", *paths)
    deaths = Deaths(tmp_path / "out")
    deaths.check(open_source(paths[0]).info, None)
    deaths.begin(paths[0])
    deaths.close()
    (left,) = journals(tmp_path / "out")
    known = Deaths(tmp_path / "out", write=False)._known
    assert list(known) == [str(paths[1])]
    assert left.exists()


def test_what_was_in_work_at_two_fatal_signals_is_set_aside(tmp_path: Path) -> None:
    path = bmp(tmp_path / "a.bmp")
    info = open_source(path).info
    for before, refused in ((0, False), (1, True)):
        journal_of_a_dead_run(tmp_path / "out", path, fatal=True, deaths=before)
        deaths = Deaths(tmp_path / "out")
        if refused:
            with pytest.raises(InputError, match="2 times while it was in work"):
                deaths.check(info, None)
        else:
            deaths.check(info, None)
            deaths.begin(path)
            # a third run, beside this one, leaves its journal alone
            assert Deaths(tmp_path / "out", write=False)._known == {}
            assert '"deaths": 1' in journals(tmp_path / "out")[0].read_text()
            deaths.end(path)
        deaths.close()
    with pytest.raises(InputError, match="2 times"):
        Deaths(tmp_path / "out", write=False).check(info, None)
    deaths = Deaths(tmp_path / "out", again=True)
    deaths.check(info, None)
    deaths.close()
    assert journals(tmp_path / "out") == []


def test_inputs_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    journal_of_a_dead_run(tmp_path / "out", tmp_path / "gone.bmp")
    Deaths(tmp_path / "out").close()
    assert journals(tmp_path / "out") == []


def test_an_input_is_the_same_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bmp(tmp_path / "a.bmp")
    journal_of_a_dead_run(tmp_path / "out", path, fatal=True, deaths=1)
    monkeypatch.chdir(tmp_path)
    deaths = Deaths(Path("out"))
    with pytest.raises(InputError, match="2 times"):
        deaths.check(open_source(Path("a.bmp")).info, None)
    deaths.close()


def test_journals_that_are_no_journals(tmp_path: Path) -> None:
    (tmp_path / ".liif-reading-a").write_bytes(b'\xff\n[]\n{"what": "begun"}\n{"path": 1')
    (tmp_path / ".liif-reading-b").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / ".liif-reading-c")
    path = bmp(tmp_path / "a.bmp")
    deaths = Deaths(tmp_path)
    deaths.check(open_source(path).info, None)
    deaths.begin(path)
    deaths.close()
    assert [left.name for left in journals(tmp_path)] == [".liif-reading-b", ".liif-reading-c"]
