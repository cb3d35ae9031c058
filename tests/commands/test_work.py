"""liif plan, work and status: several workers on shared folders give what one run gives."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner, Result
from PIL import Image

from liif_cli.cli import liif
from liif_cli.engine.executors import EXECUTORS, Machines
from liif_cli.engine.results import BatchReport
from liif_cli.engine.work import WorkOrder, plan_status, work
from tests.commands.forked import Forked, ended
from tests.commands.test_deaths import DEADLY, bmp, env  # noqa: F401 (a fixture)
from tests.commands.test_kills import pixels_of

ROOT = Path(__file__).resolve().parents[2]
ENV = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
LIIF = [sys.executable, "-m", "liif_cli"]


def run(*args: object) -> Result:
    return CliRunner().invoke(liif, [str(arg) for arg in args])


def photos(folder: Path, count: int = 8) -> Path:
    rng = np.random.default_rng(0)
    (folder / "in" / "sub").mkdir(parents=True)
    for number in range(count):
        pixels = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
        where = folder / "in" / ("sub" if number % 3 == 0 else "")
        Image.fromarray(pixels).resize((60, 50)).save(where / f"{number:03}.png")
    return folder / "in"


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".liif") for part in path.parts)
    }


def planned(folder: Path, *options: object) -> Path:
    made = run("plan", folder / "in", folder / "out", "-o", folder / "p.jsonl", *options)
    assert made.exit_code == 0, made.output
    return folder / "p.jsonl"


@pytest.fixture
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Inputs, and what one run makes of them."""
    folder = tmp_path_factory.mktemp("plain")
    photos(folder)
    done = run("upscale", folder / "in", folder / "out", "--scale", "2", "--model", "bicubic")
    assert done.exit_code == 0, done.output
    return folder, digests(folder / "out")


@pytest.mark.parametrize("name", list(EXECUTORS))
def test_every_executor_gives_what_one_run_gives(
    plain: tuple[Path, dict[str, str]], name: str, tmp_path: Path
) -> None:
    folder, expected = plain
    shutil.copytree(folder / "in", tmp_path / "in")
    path = planned(tmp_path, "--scale", "2", "--model", "bicubic")
    said: list[str] = []
    reports = EXECUTORS.load(name)(WorkOrder(str(path)), Machines(workers=2), said.append)
    assert reports
    joined = BatchReport.joined(list(reports.values()))
    assert joined.exit_code == 0
    assert [result.status for result in joined.results].count("done") == len(expected)
    assert digests(tmp_path / "out") == expected
    status = plan_status(path)
    assert (status.done, status.left, status.in_work) == (len(expected), 0, {})


def test_slices_and_what_is_left(plain: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    folder, expected = plain
    shutil.copytree(folder / "in", tmp_path / "in")
    path = planned(tmp_path, "--scale", "2", "--model", "bicubic")
    begun: list[str] = []

    def listen(event: object) -> None:
        if type(event).__name__ == "PlanMade":
            begun.append(Path(event.plan.input).name)

    report = work(WorkOrder(str(path), 1, 3), listen)
    # its own slice first, then the others'
    names = [Path(name).name for name in json_names(path)]
    assert begun[: len(names[1::3])] == names[1::3]
    assert sorted(begun) == sorted(names)
    # whatever the order of the work, results are in that of the plan
    assert [result.input.name for result in report.results] == names
    again = work(WorkOrder(str(path), 0, 3), listen)
    assert {result.status for result in again.results} == {"skipped"}
    # an output that was removed is made again
    (tmp_path / "out" / "001.png").unlink()
    third = work(WorkOrder(str(path)), listen)
    assert sum(result.status == "done" for result in third.results) == 1
    assert digests(tmp_path / "out") == expected


def json_names(path: Path) -> list[str]:
    return [json.loads(line) for line in path.read_text().splitlines()[1:]]


def test_a_plan_is_about_names_and_opens_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(20):
        # nothing could be read of these
        (tmp_path / "in" / f"{number}.jpg").touch(mode=0o000)
    path = planned(tmp_path, "--scale", "2", "--model", "bicubic")
    assert len(json_names(path)) == 20
    assert str(tmp_path) in path.read_text()


def test_a_folder_with_everything_may_be_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    photos(here, 3)
    monkeypatch.chdir(here)
    made = run("plan", "in", "out", "--scale", "2", "--model", "bicubic", "-o", "p.jsonl", "-q")
    assert made.exit_code == 0, made.output
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path) not in (here / "p.jsonl").read_text()
    here.rename(tmp_path / "there")
    report = work(WorkOrder(str(tmp_path / "there" / "p.jsonl")), lambda event: None)
    assert report.exit_code == 0
    assert len(digests(tmp_path / "there" / "out")) == 3


def test_failures_are_counted_by_all_and_tried_again_on_demand(tmp_path: Path) -> None:
    photos(tmp_path, 3)
    bad = tmp_path / "in" / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n")
    path = planned(tmp_path, "--scale", "2", "--model", "bicubic")
    first = run("work", path)
    assert first.exit_code == 1
    assert plan_status(path).left == 1  # it may be tried once more
    second = run("work", path)
    assert second.exit_code == 1
    status = run("status", path)
    assert status.exit_code == 1
    assert "3 of 4 done, 1 failed" in status.output
    assert "bad.png" in status.output
    third = run("work", path)
    assert "set aside after 2 tries" in third.output
    Image.new("RGB", (8, 8)).save(bad)
    assert run("work", path).exit_code == 1
    assert run("work", path, "--retry-failed").exit_code == 0
    assert run("status", path).exit_code == 0


def test_status_before_and_in_the_middle(tmp_path: Path) -> None:
    photos(tmp_path, 6)
    path = planned(tmp_path, "--scale", "2", "--model", "bicubic")
    before = run("status", path, "--json")
    assert before.exit_code == 3
    assert json.loads(before.output) == {
        "images": 6,
        "done": 0,
        "failed": {},
        "in_work": {},
        "left": 6,
        "seconds_left": None,
    }
    stopped = run("work", path, "--stop-after", "0.001s")
    assert stopped.exit_code == 3
    run("work", path)
    assert json.loads(run("status", path, "--json").output)["done"] == 6


def test_what_a_machine_must_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos(tmp_path, 2)
    path = planned(tmp_path, "--scale", "2", "--model", "edsr-small-lmliif", "--max-memory", "2GiB")
    with monkeypatch.context() as patch:
        patch.setattr("liif_cli.engine.machine.__version__", "9.9")
        refused = run("work", path)
        assert refused.exit_code == 2
        assert "liif 9.9" in refused.output
        assert "--mixed" in refused.output
        assert run("work", path, "--mixed").exit_code == 0
    with monkeypatch.context() as patch:
        memory = type("Memory", (), {"total": 10**9, "available": 10**9})
        patch.setattr("liif_cli.engine.work.psutil.virtual_memory", lambda: memory)
        refused = run("work", path)
        assert refused.exit_code == 2
        assert "2,147,483,648" in refused.output


def test_other_weights_are_refused(tmp_path: Path) -> None:
    photos(tmp_path, 1)
    weights = tmp_path / "m.safetensors"
    shipped = ROOT / "liif_cli" / "weights"
    shutil.copy(shipped / "edsr-small-liif.safetensors", weights)
    path = planned(tmp_path, "--scale", "2", "--model", weights)
    shutil.copy(shipped / "edsr-small-metasr.safetensors", weights)
    refused = run("work", path)
    assert refused.exit_code == 2
    assert "the plan was made with" in refused.output


@pytest.mark.parametrize(
    ("variables", "options", "expected"),
    [
        ({}, [], (0, 1)),
        ({}, ["--index", "2", "--of", "5"], (2, 5)),
        (
            {
                "SLURM_ARRAY_TASK_ID": "7",
                "SLURM_ARRAY_TASK_COUNT": "4",
                "SLURM_ARRAY_TASK_MIN": "5",
            },
            [],
            (2, 4),
        ),
        ({"AWS_BATCH_JOB_ARRAY_INDEX": "1", "AWS_BATCH_JOB_ARRAY_SIZE": "3"}, [], (1, 3)),
        ({"JOB_COMPLETION_INDEX": "2"}, ["--of", "4"], (2, 4)),
        ({"JOB_COMPLETION_INDEX": "2"}, ["--index", "0", "--of", "4"], (0, 4)),
        ({"JOB_COMPLETION_INDEX": "2"}, [], "give --of"),
        ({}, ["--index", "4", "--of", "4"], "0 to 3"),
        ({}, ["--of", "4"], "give --index"),
    ],
)
def test_the_index_comes_from_options_or_the_array_of_jobs(
    variables: dict[str, str], options: list[str], expected, tmp_path: Path, monkeypatch
) -> None:
    photos(tmp_path, 1)
    path = planned(tmp_path, "--scale", "2", "--model", "bicubic")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    seen: list[WorkOrder] = []

    def note(order: WorkOrder, *rest: object) -> BatchReport:
        seen.append(order)
        return BatchReport([], 0.0)

    monkeypatch.setattr("liif_cli.engine.work.work", note)
    done = run("work", path, *options)
    if isinstance(expected, str):
        assert done.exit_code == 2
        assert expected in done.output
    else:
        assert done.exit_code == 0, done.output
        assert [(order.index, order.of) for order in seen] == [expected]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("10.0.0.1:8786", "local, tcp://HOST:PORT or tls://HOST:PORT"),
        ("tcp://10.0.0.1:8786", "TLS"),
        ("tls://me:secret@host:8786", "a name or a password"),
    ],
)
def test_addresses_of_a_scheduler_that_are_refused(
    tmp_path: Path, address: str, message: str
) -> None:
    photos(tmp_path, 1)
    path = planned(tmp_path, "--scale", "2", "--model", "bicubic")
    refused = run("work", path, "--executor", "dask", "--scheduler", address)
    assert refused.exit_code == 2
    assert message in refused.output
    assert "secret" not in refused.output


def test_a_scheduler_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("liif_cli.engine.executors.dask._CONNECT_SECONDS", 1)
    photos(tmp_path, 1)
    path = planned(tmp_path, "--scale", "2", "--model", "bicubic")
    refused = run("work", path, "--executor", "dask", "--scheduler", "tcp://127.0.0.1:9")
    assert refused.exit_code == 2
    assert "a Dask scheduler that answers" in refused.output


# --- workers that die


def large(folder: Path, size: str, model: str = "bicubic") -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    tifffile.imwrite(folder / "a.tif", noise, photometric="rgb")
    options = ("--size", size, "--model", model, "--max-memory", "900MiB")
    made = run("plan", folder / "a.tif", folder / "out.zarr", *options, "-o", folder / "p.jsonl")
    assert made.exit_code == 0, made.output
    return folder / "p.jsonl"


def plainly(folder: Path, size: str) -> None:
    """The same by one undisturbed run, in a process of its own: this one's memory counts."""
    words = ["upscale", folder / "a.tif", folder / "plain.zarr", "--size", size]
    done = ended([*words, "--model", "bicubic", "--max-memory", "900MiB", "-q"])
    assert done.returncode == 0, done.stderr


def killed_and_started_again(
    path: Path | str, workers: int, kills: int, seed: int, variables: Mapping[str, str] = ENV
) -> None:
    rng = random.Random(seed)
    running: dict[int, Forked] = {}

    def start(index: int) -> None:
        words = ["work", path, "--index", index, "--of", workers, "-q"]
        running[index] = Forked(words, variables)

    for index in range(workers):
        start(index)
    for _ in range(kills):
        time.sleep(rng.uniform(0.2, 1.2))
        index = rng.randrange(workers)
        running[index].kill()
        running[index].communicate()
        start(index)
    for process in running.values():
        _, stderr = process.communicate(timeout=600)
        assert process.returncode == 0, stderr


@pytest.mark.parametrize(
    ("size", "workers", "kills"),
    [
        ("3000x2000", 2, 1),
        pytest.param("20000x15000", 4, 12, marks=pytest.mark.slow),
    ],
)
def test_one_large_output_by_workers_that_are_killed(
    tmp_path: Path, size: str, workers: int, kills: int
) -> None:
    path = large(tmp_path, size)
    killed_and_started_again(path, workers, kills, seed=1)
    plainly(tmp_path, size)
    found, expected = files_of(tmp_path / "out.zarr"), files_of(tmp_path / "plain.zarr")
    assert found.keys() == expected.keys()
    differing = {name for name in found if found[name] != expected[name]}
    # the name is in it
    assert differing <= {"zarr.json"}
    left = sorted(entry.name for entry in tmp_path.iterdir())
    assert left == [".liif", "a.tif", "out.zarr", "p.jsonl", "p.jsonl.state", "plain.zarr"]
    assert not [path for path in (tmp_path / ".liif").iterdir() if path.suffix != ".json"]
    assert run("status", path).exit_code == 0


def files_of(store: Path) -> dict[str, str]:
    return {
        path.relative_to(store).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in store.rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["processes", "dask"])
def test_executors_whose_workers_are_killed(tmp_path: Path, name: str) -> None:
    path = large(tmp_path, "9000x9000")
    command = [*LIIF, "work", str(path), "--executor", name, "--workers", "3"]
    process = subprocess.Popen(command, env=ENV, stderr=subprocess.PIPE)
    import psutil

    rng, killed, limit = random.Random(2), 0, time.monotonic() + 400
    while process.poll() is None and killed < 4 and time.monotonic() < limit:
        time.sleep(rng.uniform(1.0, 3.0))
        inner = [
            child
            for child in psutil.Process(process.pid).children(recursive=True)
            if child.memory_info().rss > 200e6
        ]
        if inner:
            victim = rng.choice(inner)
            victim.kill()
            killed += 1
    _, stderr = process.communicate(timeout=600)
    assert process.returncode == 0, stderr
    assert killed == 4
    plainly(tmp_path, "9000x9000")
    assert pixels_of(tmp_path / "out.zarr") == pixels_of(tmp_path / "plain.zarr")


@pytest.mark.slow
def test_a_poison_image_is_set_aside_and_all_others_are_done(
    tmp_path: Path,
    env: dict[str, str],  # noqa: F811
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(299):
        bmp(tmp_path / "in" / f"{number:03}.bmp")
    bmp(tmp_path / "in" / "150-poison.bmp", DEADLY)
    path = planned(tmp_path, "--scale", "2", "--model", "bicubic")
    command = [*LIIF, "work", str(path), "--executor", "processes", "--workers", "3"]
    process = subprocess.Popen(command, env=env, cwd=ROOT, stderr=subprocess.PIPE)
    _, stderr = process.communicate(timeout=600)
    assert process.returncode == 1, stderr
    status = plan_status(path, tries=1)
    assert status.done == 299
    assert list(status.failed) == ["150-poison.bmp"]
    assert b"150-poison.bmp" in stderr
    assert len(digests(tmp_path / "out")) == 299


@pytest.mark.parametrize("name", ["processes", pytest.param("dask", marks=pytest.mark.slow)])
def test_a_refusal_is_the_commands_own_and_tried_once(tmp_path: Path, name: str) -> None:
    photos(tmp_path, 1)
    weights = tmp_path / "m.safetensors"
    shipped = ROOT / "liif_cli" / "weights"
    shutil.copy(shipped / "edsr-small-liif.safetensors", weights)
    path = planned(tmp_path, "--scale", "2", "--model", weights)
    shutil.copy(shipped / "edsr-small-metasr.safetensors", weights)
    refused = run("work", path, "--executor", name, "--workers", "1")
    assert refused.exit_code == 2
    assert "the plan was made with" in refused.output


@pytest.mark.slow
@pytest.mark.parametrize("name", ["processes", "dask"])
def test_upscale_by_an_executor_is_upscale(
    plain: tuple[Path, dict[str, str]], tmp_path: Path, name: str
) -> None:
    photos(tmp_path)
    words = ("upscale", tmp_path / "in", tmp_path / "out", "--scale", 2, "--model", "bicubic")
    command = [*LIIF, *map(str, words), "--executor", name, "--workers", "2"]
    done = subprocess.run(command, env=ENV, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert run(*words).output.count("skipped, finished") == 8
    assert digests(tmp_path / "out") == plain[1]
    left = [path.name for path in (tmp_path / "out" / ".liif").iterdir()]
    assert not [one for one in left if "plan" in one], "what the workers shared is gone"


def test_options_that_do_not_fit_an_executor(tmp_path: Path) -> None:
    photos(tmp_path, 1)
    words = ("upscale", tmp_path / "in", tmp_path / "out", "--scale", 3)
    assert run(*words, "--workers", 2).exit_code == 2
    for more in (("--dry-run",), ("--stop-after", "1h"), ("--log-file", tmp_path / "l")):
        found = run(*words, "--executor", "processes", *more)
        assert found.exit_code == 2, found.output
        assert "--executor processes" in found.output
