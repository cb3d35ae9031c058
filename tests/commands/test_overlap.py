"""The same command twice at the same time: both end well, and the work is done once."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from PIL import Image

from liif_cli.cli import liif
from liif_cli.engine.claims import task_claim_path
from tests.commands.forked import Forked, ended
from tests.commands.test_kills import pixels_of

SIZES = {"a.zarr": "3000x3000", "a.tif": "5000x5000"}
# signs of life and their lease in tenths of a second
HASTY = {"liif_cli.engine.claims.HEARTBEAT": 0.1, "liif_cli.engine.claims.LEASE": 1.0}


def write_inputs(folder: Path, kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 65536, (300, 300, 3), dtype=np.uint16)
    if kind != "folder":
        tifffile.imwrite(folder / "a.tif", noise, photometric="rgb")
        return
    (folder / "in").mkdir()
    for number in range(30):
        pixels = np.roll(noise[:150, :200] >> 8, number, 0).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "in" / f"{number:02}.png")


def words_of(folder: Path, kind: str) -> list[str]:
    if kind == "folder":
        return [str(folder / "in"), str(folder / "out"), "--scale", "2"]
    return [str(folder / "a.tif"), str(folder / "out" / kind), "--size", SIZES[kind]]


def start(
    folder: Path, kind: str, report: str, constants: Mapping[str, float] | None = None
) -> Forked:
    # by way of a store: Zarr always is, TIFF with so little memory
    options = ["--model", "bicubic", "--max-memory", "800MiB", "--report", str(folder / report)]
    return Forked(["upscale", *words_of(folder, kind), *options], constants=constants)


def end(process: Forked, code: int = 0) -> str:
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == code, stderr.decode()
    return stderr.decode()


def statuses(folder: Path, report: str) -> dict[str, str]:
    """Input to how it ended."""
    data = json.loads((folder / report).read_text())
    assert data["exit_code"] == 0
    return {image["input"]: image["status"] for image in data["images"]}


def outputs(folder: Path, *, running: bool = False) -> dict[str, str]:
    """Digests of the outputs by name; fails where anything else lies about.

    ``running``: a process that is still there keeps its journal.
    """
    out = folder / "out"
    found = {}
    for path in sorted(out.iterdir()):
        if path.name.startswith(".liif-reading-") and running:
            continue
        if path.name == ".liif":
            assert all(record.suffix == ".json" for record in path.iterdir()), list(path.iterdir())
        elif path.suffix in (".zarr", ".tif"):
            found[path.name] = pixels_of(path)
            if path.is_dir():
                assert not list(path.rglob(".*"))
        else:
            found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def lone_run(folder: Path, kind: str) -> None:
    """In this process, whose memory is not so small."""
    words = [*words_of(folder, kind), "--model", "bicubic"]
    done = CliRunner().invoke(liif, ["upscale", *words])
    assert done.exit_code == 0, done.output


@functools.cache
def expected_of(kind: str) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        write_inputs(Path(folder), kind)
        lone_run(Path(folder), kind)
        return outputs(Path(folder))


def expected_outputs(folder: Path, kind: str) -> dict[str, str]:
    """Write the inputs; what a lone run makes of them."""
    write_inputs(folder, kind)
    return expected_of(kind)


def overlap(folder: Path, kind: str, delay: float) -> tuple[int, int]:
    """Two runs, of which the second begins later; each image is finished by one of them.

    Those of a folder are shared out.
    """
    first = start(folder, kind, "1.json")
    time.sleep(delay)
    second = start(folder, kind, "2.json")
    end(first)
    end(second)
    found = [statuses(folder, f"{number}.json") for number in (1, 2)]
    ends = [(found[0][name], found[1][name]) for name in found[0]]
    for one, two in ends:
        assert sorted((one, two)) in (["done", "skipped"], ["skipped", "skipped"])
    return sum(one == "done" for one, _ in ends), sum(two == "done" for _, two in ends)


@pytest.mark.parametrize(
    "kind", ["a.zarr", pytest.param("a.tif", marks=pytest.mark.slow), "folder"]
)
def test_two_runs_at_once(tmp_path: Path, kind: str) -> None:
    expected = expected_outputs(tmp_path, kind)
    done = overlap(tmp_path, kind, 0.0)
    assert sum(done) == len(expected)
    assert outputs(tmp_path) == expected


@pytest.mark.slow
def test_forty_overlapped_runs(tmp_path: Path) -> None:
    rng = random.Random(40)
    kinds = ["a.zarr", "a.tif", "folder"]
    expected = {}
    for kind in kinds:
        (tmp_path / kind).mkdir()
        expected[kind] = expected_outputs(tmp_path / kind, kind)
    for number, kind in zip(range(40), itertools.cycle(kinds)):
        folder = tmp_path / kind
        if number % 2:
            # a run that was killed in the middle goes before
            killed = start(folder, kind, "0.json")
            time.sleep(0.2 + 1.5 * rng.random())
            killed.send_signal(signal.SIGKILL)
            killed.communicate()
        overlap(folder, kind, 1.5 * rng.random())
        assert outputs(folder) == expected[kind], (number, kind)
        shutil.rmtree(folder / "out")


@pytest.mark.parametrize("kind", ["a.zarr", pytest.param("folder", marks=pytest.mark.slow)])
def test_a_stopped_run_is_no_obstacle_and_does_no_harm(tmp_path: Path, kind: str) -> None:
    expected = expected_outputs(tmp_path, kind)
    out = tmp_path / "out"
    stopped = start(tmp_path, kind, "1.json", HASTY)
    limit = time.monotonic() + 60
    while not list(out.glob(".liif/*.claim")):
        assert time.monotonic() < limit
        time.sleep(0.005)
    stopped.send_signal(signal.SIGSTOP)
    said = end(start(tmp_path, kind, "2.json", HASTY))
    assert f"in work by {stopped.pid} on " in said
    assert outputs(tmp_path, running=True) == expected
    stopped.send_signal(signal.SIGCONT)
    end(stopped)
    assert outputs(tmp_path) == expected


def test_an_owner_that_was_killed_is_no_obstacle(tmp_path: Path) -> None:
    expected = expected_outputs(tmp_path, "folder")
    killed = start(tmp_path, "folder", "1.json")
    limit = time.monotonic() + 60
    while not list((tmp_path / "out").glob(".liif/*.claim")):
        assert time.monotonic() < limit
        time.sleep(0.001)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    end(start(tmp_path, "folder", "2.json"))
    assert outputs(tmp_path) == expected


@pytest.mark.parametrize("kind", ["a.zarr", pytest.param("a.tif", marks=pytest.mark.slow)])
def test_a_torn_store_beside_a_finished_output_is_dropped(tmp_path: Path, kind: str) -> None:
    expected = expected_outputs(tmp_path, kind)
    lone_run(tmp_path, kind)
    torn = tmp_path / "out" / f".{kind}.partial.zarr" / "0" / "c" / "0" / "0"
    torn.mkdir(parents=True)
    (torn / "0").write_bytes(b"half a shard")
    lone_run(tmp_path, kind)
    assert outputs(tmp_path) == expected


def test_a_torn_store_without_an_output_is_begun_afresh(tmp_path: Path) -> None:
    expected = expected_outputs(tmp_path, "a.zarr")
    torn = tmp_path / "out" / ".a.zarr.partial.zarr" / "0" / "c" / "0" / "0"
    torn.mkdir(parents=True)
    (torn / "0").write_bytes(b"half a shard")
    lone_run(tmp_path, "a.zarr")
    assert outputs(tmp_path) == expected


def test_tasks_of_a_worker_that_hangs_elsewhere_are_not_waited_for(tmp_path: Path) -> None:
    """A stopped process of another machine (as its claims say) holds a task; others do it."""
    tifffile.imwrite(tmp_path / "a.tif", np.full((60, 80, 3), 90, np.uint8), photometric="rgb")
    output = tmp_path / "o.zarr"
    claim = task_claim_path(output, 0)
    claim.parent.mkdir()
    owner = {"pid": 1, "host": "far", "since": "", "machine": "far", "started": 0.0, "token": "t"}
    claim.write_text(json.dumps(owner))
    done = threading.Event()

    def beat() -> None:
        while not done.wait(0.2):
            os.utime(claim)

    heart = threading.Thread(target=beat)
    heart.start()
    try:
        started = time.monotonic()
        words = ["upscale", tmp_path / "a.tif", output, "--size", "3000x2000", "-m", "bicubic"]
        found = ended([*words, "--max-memory", "1GiB"])
        assert found.returncode == 0, found.stderr
        assert time.monotonic() - started < 60
    finally:
        done.set()
        heart.join()
    assert output.is_dir()
    assert json.loads(claim.read_text())["host"] == "far", "what is another's stays"
