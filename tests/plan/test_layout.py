"""The ways to cut an image and what each keeps in memory, in the order in which they are tried."""

from __future__ import annotations

import dataclasses
import math

import pytest

from liif_cli.errors import PlanError
from liif_cli.geometry.size import SizeRequest
from liif_cli.geometry.window import Window
from liif_cli.plan.layout import Layout, LayoutRequest, held_output
from liif_cli.plan.memory import GIB, LEVELS_BYTES, MIB, RESERVE, STREAM_BYTES, TaskShape
from liif_cli.plan.plan import Cut
from liif_cli.plan.spec import InputFacts, Machine, OutputFacts, RenderSpec
from tests.plan.facts import COST, MACHINE

SPEC = RenderSpec(size=SizeRequest.from_scale("4"), model="m")
SOURCE = InputFacts("in/a.tif", "tiff", (750, 1000, 3), "uint16", digest="d", decoded_bytes=5 * MIB)
TIFF = OutputFacts("out/a.tif", "tiff", 1 << 50, memory=3.0)
JPEG = dataclasses.replace(TIFF, path="out/a.jpg", format="jpg", streams=False)
ZARR = dataclasses.replace(TIFF, path="out/a.zarr", format="zarr")


def laid(
    out_shape: tuple[int, int],
    output: OutputFacts = TIFF,
    source: InputFacts = SOURCE,
    machine: Machine = MACHINE,
    resume: Cut | None = None,
    **options: object,
) -> Layout:
    spec = dataclasses.replace(SPEC, **options)  # type: ignore[arg-type]
    return LayoutRequest(spec, source, output, out_shape, COST, machine).layout(resume)


def all_laid(
    out_shape: tuple[int, int], output: OutputFacts = TIFF, machine: Machine = MACHINE
) -> list[Layout]:
    return list(LayoutRequest(SPEC, SOURCE, output, out_shape, COST, machine)._layouts(None))


@pytest.mark.parametrize(
    ("streams", "shape", "dtype", "expected"),
    [
        (True, (9, 9, 3), "uint8", 1000 * 3 + STREAM_BYTES),
        (True, (9, 9, 4), "uint16", 1000 * 8 + STREAM_BYTES),
        # a codec that takes all at once takes RGB at least
        (False, (9, 9, 3), "uint8", 1000 * 3 + 3 * 1000 * 3),
        (False, (9, 9, 1), "uint8", 1000 + 3 * 1000 * 3),
        (False, (9, 9, 4), "uint16", 1000 * 8 + 3 * 1000 * 8),
    ],
)
def test_an_output_in_memory_and_its_codec(
    streams: bool, shape: tuple[int, int, int], dtype: str, expected: int
) -> None:
    source = dataclasses.replace(SOURCE, shape=shape, dtype=dtype)
    held = held_output(1000, source, dataclasses.replace(TIFF, streams=streams))
    assert held == expected
    assert isinstance(held, int)


@pytest.mark.parametrize(("pixels", "levels"), [(1000, 6000), (10**8, LEVELS_BYTES)])
def test_reduced_levels_of_an_output_in_memory(pixels: int, levels: int) -> None:
    """They are made while it is written."""
    source = dataclasses.replace(SOURCE, shape=(9, 9, 3), dtype="uint8")
    with_levels, without = (
        held_output(pixels, source, dataclasses.replace(TIFF, streams=True, levels=given))
        for given in (True, False)
    )
    assert with_levels - without == levels


def test_what_is_counted_in_memory() -> None:
    found = laid((3000, 4000), dataclasses.replace(JPEG, memory=0.25))
    assert not found.via_store
    assert list(found.memory) == [
        *("process and model", "reserve", "decoded input", "output", "2 tasks"),
    ]
    assert found.memory["process and model"] == 300 * MIB
    assert found.memory["reserve"] == RESERVE
    assert found.memory["decoded input"] == 5 * MIB
    assert found.memory["output"] == 3000 * 4000 * 6 + 3000 * 4000 * 6 // 4
    assert found.total == sum(found.memory.values())


def test_what_is_counted_by_way_of_a_store() -> None:
    found = laid((15000, 20000))
    assert found.via_store
    assert found.memory["exporter"] == STREAM_BYTES
    assert "output" not in found.memory


def test_one_worker_is_the_last_resort_and_said_in_the_singular() -> None:
    ways = all_laid((3000, 4000))
    workers = [way.workers for way in ways if not way.via_store]
    assert workers == sorted(workers, reverse=True)
    assert set(workers) == {1, 2}
    assert "1 task" in next(way for way in ways if way.workers == 1).memory
    alone = all_laid((3000, 4000), machine=dataclasses.replace(MACHINE, workers=1))
    assert {way.workers for way in alone} == {1}
    assert len(alone) == len({(way.via_store, way.task, way.shard, way.tile) for way in alone})


def test_workers_are_kept_for_smaller_tasks_before_one_is_left() -> None:
    ways = [way for way in all_laid((15000, 20000)) if way.via_store]
    first_alone = next(at for at, way in enumerate(ways) if way.workers == 1)
    assert all(way.workers == 2 for way in ways[:first_alone])
    assert {way.shard for way in ways[:first_alone]} == {2048, 1024, 512, 256}


def test_an_eighth_of_the_memory_or_256_mib_may_be_kept_in_memory() -> None:
    # 6 bytes per pixel: 256 MiB are 44.7 Mpx
    just, more = (6688, 6688), (6690, 6690)
    large = dataclasses.replace(MACHINE, allowed_bytes=4 * GIB)
    assert not laid(just, machine=large).via_store
    assert laid(more, machine=large).via_store
    # an eighth of 1 GiB is half of that
    small = dataclasses.replace(MACHINE, allowed_bytes=GIB)
    assert not laid((4729, 4729), machine=small).via_store
    assert laid((4730, 4730), machine=small).via_store
    # a format that does not stream has no other way
    cheap = dataclasses.replace(JPEG, memory=0.1)
    assert not laid(more, cheap, machine=large).via_store


def test_zarr_is_always_a_store() -> None:
    assert laid((30, 40), ZARR).via_store


def test_a_part_makes_a_whole_stream_that_would_not_fit() -> None:
    with pytest.raises(PlanError, match="or use a format that streams instead of jpg"):
        laid((30000, 40000), JPEG)
    assert laid((30000, 40000), JPEG, roi=Window(0, 0, 10, 10)).via_store


def test_what_resumes_keeps_its_cut() -> None:
    resume = Cut(task=(1500, 1000), shard=500, chunk=250, tile=125)
    found = laid((15000, 20000), resume=resume)
    assert (found.via_store, found.task, found.workers) == (True, (1500, 1000), 2)
    assert (found.shard, found.chunk, found.tile) == (500, 250, 125)
    ways = list(LayoutRequest(SPEC, SOURCE, TIFF, (15000, 20000), COST, MACHINE)._layouts(resume))
    assert [way.task for way in ways] == 2 * [(1500, 1000), (1000, 1000), (500, 500)]
    assert [way.workers for way in ways] == 3 * [2] + 3 * [1]
    assert all(way.memory["exporter"] == STREAM_BYTES for way in ways)
    # twice a shard is collected, of the size that it has
    larger = dataclasses.replace(resume, shard=1000, task=(1000, 1000))
    other = laid((15000, 20000), resume=larger)
    assert other.memory["2 tasks"] - ways[1].memory["2 tasks"] == 2 * 6 * 2 * (1000**2 - 500**2)


def test_an_accelerator_pins_memory() -> None:
    on_cpu = laid((3000, 4000))
    there = laid((3000, 4000), machine=dataclasses.replace(MACHINE, device="cuda:0"))
    assert there.memory["2 tasks"] > on_cpu.memory["2 tasks"]


@pytest.mark.parametrize(
    ("decoded", "unpacked", "unpack"),
    [
        (256 * MIB, 1 * MIB, False),  # an eighth of what is allowed
        (256 * MIB + 1, 1 * MIB, True),
        (1 * MIB, 1 * MIB, False),
        # it cannot be
        (512 * MIB, None, False),
        # kept in memory it does not fit, small as it is said to be unpacked
        (3 * GIB, 1 * MIB, True),
    ],
)
def test_a_large_input_is_unpacked(decoded: int, unpacked: int | None, unpack: bool) -> None:
    source = dataclasses.replace(SOURCE, decoded_bytes=decoded, unpack_bytes=unpacked)
    found = laid((1500, 2000), source=source)
    assert found.unpack is unpack
    assert found.memory["decoded input"] == (unpacked if unpack else decoded)


def test_the_refusal_names_the_smallest_way_and_the_cures() -> None:
    small = dataclasses.replace(MACHINE, allowed_bytes=300 * MIB)
    with pytest.raises(PlanError) as refused:
        laid((15000, 20000), machine=small)
    text = str(refused.value)
    assert text.startswith("memory for in/a.tif at 20000x15000: got ")
    assert "1 task " in text
    assert text.endswith("expected at most 300.0 MiB; raise --max-memory")
    smallest = min(all_laid((15000, 20000), machine=small), key=lambda way: way.total)
    assert f"got {smallest.total / MIB:.1f} MiB needed" in text
    # an input that is much of it
    large = dataclasses.replace(SOURCE, decoded_bytes=38 * MIB)
    with pytest.raises(PlanError, match="which is read by window"):
        laid((15000, 20000), source=large, machine=small)
    just = dataclasses.replace(SOURCE, decoded_bytes=37 * MIB)
    with pytest.raises(PlanError, match=r"raise --max-memory$"):
        laid((15000, 20000), source=just, machine=small)


WHOLE = Layout(True, (512, 512), 256, 64, 64, 2, {"model": 100 * MIB, "output": 9, "exporter": 8})


def part(region: Window, output: OutputFacts, machine: Machine = MACHINE) -> Layout:
    return LayoutRequest(SPEC, SOURCE, output, (9000, 9000), COST, machine).part(WHOLE, region)


def test_a_small_part_is_kept_in_memory_and_a_large_one_is_not() -> None:
    region = Window(3, 5, 1000, 2000)
    found = part(region, TIFF)
    assert not found.via_store
    assert found.memory == {
        "model": 100 * MIB,
        "output": 1000 * 2000 * 6 + STREAM_BYTES,
    }
    assert (found.task, found.shard) == (WHOLE.task, WHOLE.shard)
    stored = part(region, ZARR)
    assert stored.via_store
    assert stored.memory == {"model": 100 * MIB, "exporter": STREAM_BYTES}
    # 256 MiB, and one row more
    rows = 256 * MIB // (6 * 4096)
    assert not part(Window(0, 0, rows, 4096), TIFF).via_store
    assert part(Window(0, 0, rows + 1, 4096), TIFF).via_store


def test_a_part_that_does_not_fit() -> None:
    region = Window(0, 0, 1000, 2000)
    tight = dataclasses.replace(MACHINE, allowed_bytes=120 * MIB)
    # a stream of it goes through the store
    assert part(region, TIFF, tight).via_store
    with pytest.raises(PlanError) as refused:
        part(region, JPEG, tight)
    text = str(refused.value)
    assert text.startswith("memory for in/a.tif: got 145.8 MiB needed (model 100.0 MiB + output ")
    assert text.endswith("raise --max-memory, or use a format that streams instead of jpg")
    # of a format that does not stream it is kept however large it is
    assert not part(Window(0, 0, 9000, 9000), JPEG).via_store


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("output", [JPEG, ZARR])
def test_the_memory_of_tasks_is_theirs(output: OutputFacts, alpha: bool) -> None:
    source = dataclasses.replace(SOURCE, shape=(750, 1000, 3 + alpha), alpha=alpha)
    out_shape = (3000, 4000)
    found = laid(out_shape, dataclasses.replace(output, memory=0.1), source)
    assert found.via_store is (output is ZARR)
    stored = (found.shard, found.chunk, found.tile)
    assert stored == ((512, 512, 512) if found.via_store else (2048, 512, 512))
    # of a store two shards are collected at once, else the task's own pixels
    collected = 2 * 512**2 if found.via_store else math.prod(found.task)
    peak = TaskShape.of(found.task, (750, 1000), out_shape, COST.radius).peak_bytes(
        COST,
        collected=collected,
        sample_bytes=2 * (3 + alpha),
        ensemble=False,
        passes=2 if alpha else 1,
        alpha=alpha,
    )
    assert found.memory["2 tasks"] == 2 * peak


def test_pinned_memory_is_counted_by_tile_channels_and_sample_type() -> None:
    machine = dataclasses.replace(MACHINE, device="cuda:0")
    found = laid((3000, 4000), ZARR, machine=machine)
    task = TaskShape.of(found.task, (750, 1000), (3000, 4000), COST.radius)
    pinned = task.pinned_bytes(found.tile, 3, 2)
    assert found.memory["2 tasks"] == laid((3000, 4000), ZARR).memory["2 tasks"] + 2 * pinned


def test_a_plan_may_take_all_that_is_allowed() -> None:
    for output in (JPEG, ZARR):
        found = laid((3000, 4000), output)
        exact = dataclasses.replace(MACHINE, allowed_bytes=found.total)
        ways = LayoutRequest(SPEC, SOURCE, output, (3000, 4000), COST, exact)._layouts(None)
        first = next(way for way in ways if way.total <= found.total)
        assert laid((3000, 4000), output, machine=exact) == first


def test_the_whole_refusal_of_a_large_input() -> None:
    small = dataclasses.replace(MACHINE, allowed_bytes=300 * MIB)
    large = dataclasses.replace(SOURCE, decoded_bytes=38 * MIB)
    with pytest.raises(PlanError) as refused:
        laid((15000, 20000), source=large, machine=small)
    assert str(refused.value).endswith(
        "raise --max-memory, or make the input a tiled TIFF, which is read by window (for "
        "instance: vips tiffsave IN OUT.tif --tile --compression zstd)"
    )
