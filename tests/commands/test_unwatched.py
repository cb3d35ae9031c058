"""Runs that nobody watches: reports on every way out, lost streams, signals, logs, windows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from click.testing import CliRunner, Result
from PIL import Image

from liif_cli.cli import liif
from liif_cli.engine import timewindow

ROOT = Path(__file__).resolve().parents[2]
ENV = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def photos(folder: Path, count: int = 1, side: int = 24) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def words(folder: Path, *more: object) -> list[str]:
    options = ["--scale", "2", "--model", "bicubic", "--report", str(folder / "r.json")]
    return ["upscale", str(folder / "in"), str(folder / "out"), *options, *map(str, more)]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(liif, list(map(str, arguments)))


def report_of(folder: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / "r.json").read_text())
    assert data["version"] == 2
    return data


@pytest.mark.parametrize(
    ("more", "code", "words_of_error"),
    [
        (["--model", "nonsense"], 2, "nonsense"),
        (["--scale", "0"], 2, "--scale"),
        (["--no-such-option"], 2, "--no-such-option"),
        (["--size", "100x100"], 2, "--size"),
        (["--quiet", "--verbose"], 2, "--quiet"),
        (["--log-file", "/no/such/folder/l.txt"], 1, "/no/such/folder"),
    ],
)
def test_an_early_failure_is_in_the_report(
    tmp_path: Path, more: list[str], code: int, words_of_error: str
) -> None:
    photos(tmp_path / "in")
    (tmp_path / "r.json").write_text('{"version": 2, "exit_code": 0}')
    result = invoke(*words(tmp_path, *more))
    assert result.exit_code == code, result.stderr
    data = report_of(tmp_path)
    assert (data["state"], data["exit_code"]) == ("ended", code)
    assert words_of_error in data["error"]
    assert data["command"][0] == "upscale"
    assert data["command"][-1] == more[-1]


def test_inputs_that_are_not_there_are_in_the_report(tmp_path: Path) -> None:
    assert invoke(*words(tmp_path)).exit_code == 2
    assert "no such file" in report_of(tmp_path)["error"]


def test_an_unexpected_error_is_in_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos(tmp_path / "in")

    def fail(*args: object, **options: object) -> None:
        assert report_of(tmp_path)["state"] == "running"
        raise RuntimeError("odd")

    monkeypatch.setattr("liif_cli.engine.notices.Notices.of_sizes", fail)
    assert invoke(*words(tmp_path)).exit_code == 1
    data = report_of(tmp_path)
    assert (data["state"], data["exit_code"]) == ("ended", 1)
    assert "odd" in data["error"]


def test_a_report_that_cannot_be_written_at_the_end_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos(tmp_path / "in")
    (tmp_path / "reports").mkdir()

    def remove(*args: object, **options: object) -> None:
        (tmp_path / "reports/r.json").unlink()
        (tmp_path / "reports").rmdir()
        (tmp_path / "reports").write_text("a file")

    monkeypatch.setattr("liif_cli.engine.notices.Notices.of_sizes", remove)
    result = invoke(*words(tmp_path), "--report", tmp_path / "reports/r.json")
    assert result.exit_code == 1
    assert "reports/r.json" in result.stderr
    assert (tmp_path / "out/0.png").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_in_the_first_seconds(tmp_path: Path, number: signal.Signals) -> None:
    photos(tmp_path / "in")
    command = [sys.executable, "-m", "liif_cli", *words(tmp_path)]
    process = subprocess.Popen(command, env=ENV, stderr=subprocess.PIPE)
    wait_for(lambda: (tmp_path / "r.json").exists(), process)
    # torch is being loaded now
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 3, stderr
    data = report_of(tmp_path)
    assert (data["state"], data["exit_code"], data["interrupted"]) == ("ended", 3, True)


def test_an_interrupt_within_the_exec_of_a_library(tmp_path: Path) -> None:
    script = tmp_path / "interrupted.py"
    script.write_text(
        "import sys\n"
        "from liif_cli import cli\n"
        "from liif_cli.commands import info\n"
        "info.info.callback = lambda **_: exec('raise KeyboardInterrupt')\n"
        "sys.argv = ['liif', 'info', 'a.png']\n"
        "cli.main()\n"
    )
    command = [sys.executable, "-m", "interrupted"]
    done = subprocess.run(command, env=ENV, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (3, "error: interrupted")


def test_a_killed_run_is_not_taken_for_an_ended_one(tmp_path: Path) -> None:
    photos(tmp_path / "in")
    command = [sys.executable, "-m", "liif_cli", *words(tmp_path)]
    process = subprocess.Popen(command, env=ENV, stderr=subprocess.DEVNULL)
    wait_for(lambda: (tmp_path / "r.json").exists(), process)
    process.kill()
    process.wait()
    data = report_of(tmp_path)
    assert (data["state"], data["pid"]) == ("running", process.pid)
    assert "exit_code" not in data


def test_nohup_ignores_a_closed_terminal(tmp_path: Path) -> None:
    photos(tmp_path / "in")
    command = [sys.executable, "-m", "liif_cli", *words(tmp_path)]
    process = subprocess.Popen(
        command,
        env=ENV,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    wait_for(lambda: (tmp_path / "r.json").exists(), process)
    process.send_signal(signal.SIGHUP)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert report_of(tmp_path)["counts"]["done"] == 1


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + 60
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < limit
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("redirected", "code"),
    [
        ("<&- >&- 2>&-", 1),
        ("2>&1 | true", 0),
        *(
            pytest.param(redirected, code, marks=pytest.mark.slow)
            for redirected, code in (
                *(("2>&-", 1), ("2>/dev/full", 0)),
                *(("2>&-", 0), ("2>/dev/full", 1), (">&- 2>&-", 0), (">&- 2>&-", 1)),
                *(("<&- >&- 2>&-", 0), ("2>&1 | true", 1), (">/dev/full", 0), (">/dev/full", 1)),
            )
        ),
    ],
)
def test_lost_streams_leave_the_exit_code_of_the_work(
    tmp_path: Path, redirected: str, code: int
) -> None:
    photos(tmp_path / "in", 2)
    if code:
        (tmp_path / "in/bad.png").write_bytes(b"no image")
    line = f'"$@" {redirected.partition("|")[0]}'
    if "|" in redirected:
        # the reader is gone before the first line; the exit code of the command, not of the pipe
        line = f"{{ sleep 0.3; {line}; echo $? > code; }} | true; exit $(cat code)"
    command = ["bash", "-c", line, "bash", sys.executable, "-m", "liif_cli", *words(tmp_path)]
    ended = subprocess.run(command, env=ENV, cwd=tmp_path, timeout=120, check=False)
    assert ended.returncode == code
    assert report_of(tmp_path)["counts"]["done"] == 2
    for number in range(2):
        with Image.open(tmp_path / f"out/{number}.png") as image:
            assert image.size == (48, 48)
            image.load()


def test_every_event_is_in_the_log(tmp_path: Path) -> None:
    photos(tmp_path / "in", 2)
    (tmp_path / "in/bad\n.png").write_bytes(b"no image")
    log = tmp_path / "log.jsonl"
    log.write_text('{"event": "of another night"}\n')
    assert invoke(*words(tmp_path, "--log-file", log, "-q")).exit_code == 1
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines[0]["event"] == "of another night"
    names = [line["event"] for line in lines[1:]]
    assert names[0] == "batch started"
    assert names[-1] == "batch done"
    assert names.count("plan made") == names.count("image done") == 2
    assert all("T" in line["time"] for line in lines[1:])
    plan = next(line["plan"] for line in lines if line["event"] == "plan made")
    assert plan["in_shape"] == [24, 24]
    assert plan["identity"]["input"]
    (failed,) = (line for line in lines if line["event"] == "image failed")
    assert failed["input"].endswith("bad\\n.png")


def test_a_log_that_fails_is_said_once(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    photos(tmp_path / "in", 3)
    result = invoke(*words(tmp_path, "--log-file", "/dev/full"))
    assert result.exit_code == 0
    assert result.stderr.count("/dev/full") == 1


class SteppingClock:
    """Seconds that pass by one for each time that they are asked for, from the start on."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets a time window end when it was asked for the n-th time."""

    def end_after(count: int) -> None:
        clock = SteppingClock(1)
        over = property(lambda window: clock() > count)
        monkeypatch.setattr(timewindow.TimeWindow, "over", over)

    return end_after


def test_a_batch_in_windows_is_a_batch(tmp_path: Path, steps: Callable[[int], None]) -> None:
    photos(tmp_path / "in", 6)
    runs = []
    for number in range(1, 8):
        # finished ones are passed in every run
        steps(3 * number)
        result = invoke(*words(tmp_path, "--stop-after", "5h"))
        data = report_of(tmp_path)
        runs.append(data["counts"])
        if result.exit_code == 0:
            break
        assert result.exit_code == 3
        assert data["interrupted"]
        assert data["out_of_time"] == "--stop-after 18000s"
        left = data["counts"]["interrupted"]
        assert f"{left} of 6 images left" in result.stderr
        assert "the same command resumes" in result.stderr
        # what had begun is finished
        assert data["counts"]["done"] == 3
    assert [counts["done"] for counts in runs] == [3, 3]
    assert runs[-1] == {"done": 3, "skipped": 3, "failed": 0, "interrupted": 0}


def test_an_enormous_image_in_windows(tmp_path: Path, steps: Callable[[int], None]) -> None:
    photos(tmp_path / "in", 1, 40)
    source = tmp_path / "in/0.png"
    options = ["--size", "4200x4200", "--model", "bicubic", "--tile", "512"]
    whole, parts = tmp_path / "whole.zarr", tmp_path / "parts.zarr"
    assert invoke("upscale", source, whole, *options).exit_code == 0
    for _ in range(20):
        steps(4)
        log = tmp_path / "log.jsonl"
        result = invoke(
            *("upscale", source, parts, *options, "--stop-at", "06:00", "--log-file", log)
        )
        if result.exit_code == 0:
            break
        assert result.exit_code == 3, result.stderr
        assert "--stop-at 06:00: 1 of 1 images left" in result.stderr
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    rendered = [line["pixels"] for line in lines if line["event"] == "task done"]
    assert [line["event"] for line in lines].count("batch started") > 2
    # nothing is rendered twice
    assert sum(rendered) == 4200 * 4200
    np.testing.assert_array_equal(
        zarr.open_array(whole / "0", mode="r")[:], zarr.open_array(parts / "0", mode="r")[:]
    )


@pytest.mark.parametrize(
    ("at", "now", "hours"),
    [
        ("06:00", "2026-05-04 22:30", 7.5),
        ("06:00", "2026-05-04 06:00", 24),
        ("06:00", "2026-05-04 05:59", 1 / 60),
        # clocks go forward and back
        ("06:00", "2026-03-28 22:00", 7),
        ("06:00", "2026-10-24 22:00", 9),
    ],
)
def test_a_time_of_day(at: str, now: str, hours: float, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import datetime

    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        then = datetime.strptime(at, "%H:%M").time()
        found = timewindow.seconds_until(then, datetime.fromisoformat(now))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert found == pytest.approx(hours * 3600)


@pytest.mark.parametrize("text", ["6", "24:00", "06:60", "6am", ""])
def test_times_that_are_none(tmp_path: Path, text: str) -> None:
    photos(tmp_path / "in")
    result = invoke(*words(tmp_path, "--stop-at", text))
    assert result.exit_code == 2
    assert "06:00" in result.stderr
