"""The summary of a batch and its JSON file, from reports made by hand."""

import dataclasses
import io
import json
import os
from datetime import datetime
from pathlib import Path

import pytest
from rich.console import Console

from liif_cli.engine.results import BatchReport, ImageResult
from liif_cli.errors import UsageError
from liif_cli.ui.report import print_summary, report_data
from liif_cli.ui.reportfile import ReportFile

DONE = ImageResult(
    Path("in/a.png"),
    Path("out/a.png"),
    "done",
    (200, 300),
    60_000,
    0.5,
    cleanup=15.0,
    gray=True,
)
SKIPPED = ImageResult(Path("in/b.png"), Path("out/b.png"), "skipped", (200, 300))
FAILED = ImageResult(Path("in/[c].png"), None, "failed", error="out of memory")
STOPPED = ImageResult(Path("in/d.png"), None, "interrupted")


def summary(report: BatchReport, terminal: bool = False) -> str:
    stream = io.StringIO()
    print_summary(report, Console(file=stream, force_terminal=terminal, width=80, _environ={}))
    return stream.getvalue()


def test_lines() -> None:
    text = summary(BatchReport([DONE, SKIPPED, FAILED, FAILED], 2.0))
    assert text.splitlines() == [
        "done 1, skipped 1, failed 2, pixels 0.06 Mpx, speed 0.03 Mpx/s, time 2 s",
        "wrote out/a.png",
        "failed: 2 of 4: [c].png, [c].png",
    ]


def test_table_on_a_terminal() -> None:
    text = summary(BatchReport([DONE, FAILED], 2.0), terminal=True)
    assert "0.03 Mpx/s" in text
    assert "failed: 1 of 2" in text
    assert "[c].png" in text
    assert "skipped" not in text


def test_what_was_written(tmp_path: Path) -> None:
    results = []
    for name in ("a/1.png", "a/b/2.png", "a/b/3.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(1024))
        results.append(dataclasses.replace(DONE, output=path))
    (line,) = [one for one in summary(BatchReport(results, 1.0)).splitlines() if "wrote" in one]
    assert line == f"wrote {tmp_path / 'a'}/: 3 images, 3 KiB"
    (line,) = [one for one in summary(BatchReport(results[:1], 1.0)).splitlines() if "wrote" in one]
    assert line == f"wrote {tmp_path / 'a' / '1.png'}, 1 KiB"
    # of a folder nobody counts the files
    (tmp_path / "p.zarr").mkdir()
    store = dataclasses.replace(DONE, output=tmp_path / "p.zarr")
    assert f"wrote {tmp_path / 'p.zarr'}\n" in summary(BatchReport([store], 1.0))
    assert "wrote" not in summary(BatchReport([SKIPPED], 1.0))


def test_the_speed_is_that_of_this_run() -> None:
    resumed = dataclasses.replace(DONE, rendered=15_000)
    assert "speed 0.015 Mpx/s" in summary(BatchReport([resumed], 1.0))
    (image,) = report_data(BatchReport([resumed], 1.0))["images"]
    assert (image["pixels"], image["rendered"], image["mpx_per_s"]) == (60_000, 15_000, 0.03)


def test_an_interrupt_is_resumable() -> None:
    text = summary(BatchReport([DONE, STOPPED], 2.0, interrupted=True))
    assert "interrupted 1" in text
    assert text.endswith("interrupted; the same command resumes\n")


def test_json(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text("old")
    file = ReportFile(path, ["upscale", "in\udcff", "out"])
    file.begin()
    running = json.loads(path.read_text())
    assert (running["state"], running["pid"]) == ("running", os.getpid())
    assert running["command"] == ["upscale", "in\\xff", "out"]
    assert datetime.fromisoformat(running["started"]).utcoffset() is not None
    assert "exit_code" not in running
    file.result = report_data(BatchReport([DONE, FAILED, STOPPED], 2.0, interrupted=True))
    file.end(3)
    data = json.loads(path.read_text())
    assert {key: data[key] for key in running if key != "state"} == {
        key: running[key] for key in running if key != "state"
    }
    assert data["state"] == "ended"
    assert data["ended"] >= data["started"]
    assert (data["exit_code"], data["interrupted"], data["seconds"]) == (3, True, 2.0)
    assert data["counts"] == {"done": 1, "skipped": 0, "failed": 1, "interrupted": 1}
    assert data["images"][0] == {
        "input": "in/a.png",
        "output": "out/a.png",
        "status": "done",
        "width": 300,
        "height": 200,
        "pixels": 60_000,
        "rendered": 60_000,
        "seconds": 0.5,
        "mpx_per_s": 0.12,
        "cleanup": 15.0,
        "gray": True,
        "error": None,
    }
    assert data["images"][1]["error"] == "out of memory"
    assert data["images"][2]["width"] is None
    assert list(tmp_path.iterdir()) == [path]


def test_a_report_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--report"):
        ReportFile(tmp_path / "missing" / "r.json", [])
    (tmp_path / "r.json").mkdir()
    with pytest.raises(UsageError, match="a folder"):
        ReportFile(tmp_path / "r.json", [])
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="in a folder"):
        ReportFile(tmp_path / "file" / "r.json", [])


def test_what_is_left_when_time_is_up() -> None:
    report = BatchReport(
        [DONE, STOPPED, STOPPED], 2.0, True, out_of_time="--stop-at 06:00", seconds_left=7800
    )
    last = summary(report).splitlines()[-1]
    assert last == (
        "--stop-at 06:00: 2 of 3 images left, about 2:10:00 h of work; the same command resumes"
    )
    data = report_data(report)
    assert (data["out_of_time"], data["seconds_left"]) == ("--stop-at 06:00", 7800)
    unknown = dataclasses.replace(report, seconds_left=None)
    assert "2 of 3 images left; the same" in summary(unknown)
