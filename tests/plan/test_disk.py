"""What an output takes of its disk, byte by byte, and the refusal where that is not there."""

from __future__ import annotations

import dataclasses

import pytest

from liif_cli.errors import PlanError
from liif_cli.geometry.window import Window
from liif_cli.plan.disk import DISK_SLACK, batch_disk, disk_slack, fitting_disk, needed_disk
from liif_cli.plan.layout import Layout
from liif_cli.plan.spec import InputFacts, OutputFacts

SOURCE = InputFacts("in/a.png", "png", (30, 40, 3), "uint16", digest="d")
REGION = Window(0, 0, 1000, 2000)
RAW = 1000 * 2000 * 3 * 2
STORE = Layout(True, (512, 512), 256, 64, 64, 2, {})
MEMORY = dataclasses.replace(STORE, via_store=False)


def output(format: str = "tiff", **facts: object) -> OutputFacts:
    return OutputFacts(f"out/a.{format}", format, disk_free=1 << 50, disk=1.5, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("layout", "facts", "region", "expected"),
    [
        # written from memory: the file alone
        (MEMORY, output(), REGION, 1.5 * RAW),
        # the store, and the file that is made of it
        (STORE, output(), REGION, 2.5 * RAW),
        # a store becomes a Zarr output where it lies
        (STORE, output("zarr"), REGION, 2.5 * RAW),
        (STORE, output("zarr"), Window(256, 512, 1000, 2000), 2.5 * RAW),
        # but for a part that begins inside a shard, in either direction
        (STORE, output("zarr"), Window(1, 512, 1000, 2000), 3.5 * RAW),
        (STORE, output("zarr"), Window(256, 3, 1000, 2000), 3.5 * RAW),
        # other formats copy it anyway
        (STORE, output(), Window(1, 3, 1000, 2000), 2.5 * RAW),
        # of a bucket: a file is made here and put, a store is put at once
        (MEMORY, output(remote=True), REGION, 1.5 * RAW),
        (STORE, output(remote=True), REGION, 1.5 * RAW),
        (STORE, output("zarr", remote=True), REGION, 0),
        # an input that is unpacked lies beside them
        (dataclasses.replace(STORE, unpack=True), output(), REGION, 2.5 * RAW + 30 * 40 * 3 * 2),
        (dataclasses.replace(MEMORY, unpack=True), output(), REGION, 1.5 * RAW + 30 * 40 * 3 * 2),
    ],
)
def test_what_each_way_takes(
    layout: Layout, facts: OutputFacts, region: Window, expected: float
) -> None:
    assert needed_disk(layout, facts, region, SOURCE) == expected + disk_slack(int(expected))


def test_channels_and_sample_types_count() -> None:
    gray = dataclasses.replace(SOURCE, shape=(30, 40, 1), dtype="float32")
    assert needed_disk(MEMORY, output(), REGION, gray) == 2 * 1.5 * 1000 * 2000 * 4


def test_a_disk_that_is_just_large_enough_and_one_byte_less() -> None:
    needed = needed_disk(STORE, output(), REGION, SOURCE)
    for free, held in ((needed, 0), (needed - 100, 100), (0, needed)):
        facts = dataclasses.replace(output(), disk_free=free, disk_held=held)
        assert needed_disk(STORE, facts, REGION, SOURCE) == needed
    short = dataclasses.replace(output(), disk_free=needed - 101, disk_held=100)
    with pytest.raises(PlanError) as refused:
        needed_disk(dataclasses.replace(STORE), short, REGION, SOURCE)
    text = str(refused.value)
    assert "disk space for out/a.tiff" in text
    assert (
        "57.2 MiB needed (store 11.4 MiB + tiff and its levels 17.2 MiB + slack 28.6 MiB)" in text
    )
    assert "at most 57.2 MiB" in text
    assert "free disk space or give an OUTPUT on another disk" in text


def test_the_refusal_of_a_bucket_names_the_folder_of_temporary_files() -> None:
    facts = dataclasses.replace(output(remote=True), disk_free=0)
    with pytest.raises(PlanError, match="set TMPDIR to a folder on another disk"):
        fitting_disk({"copy": 1}, facts)


def test_the_refusal_names_an_unpacked_input() -> None:
    facts = dataclasses.replace(output(), disk_free=0)
    unpacked = dataclasses.replace(MEMORY, unpack=True)
    with pytest.raises(PlanError, match=r"unpacked input 7.0 KiB \+ slack"):
        needed_disk(unpacked, facts, REGION, SOURCE)


def test_slack_of_a_batch_is_that_of_its_largest() -> None:
    class Planned:
        def __init__(self, raw: int) -> None:
            self.projected_disk = raw + disk_slack(raw)

    small, large = 1000, 3 * DISK_SLACK
    assert batch_disk([]) == 0
    assert batch_disk([Planned(small)]) == 2 * small  # type: ignore[list-item]
    both = [Planned(small), Planned(large)]
    assert batch_disk(both) == small + large + DISK_SLACK  # type: ignore[arg-type]
