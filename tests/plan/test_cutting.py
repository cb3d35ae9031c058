"""How images are cut: the ways that are tried, in their order."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liif_cli.plan.cutting import CHUNK, LEAST_CHUNK, Cutting
from liif_cli.plan.disk import DISK_SLACK, disk_slack
from liif_cli.plan.memory import GIB, MIB
from tests.plan.facts import COST


def cut(
    out_shape: tuple[int, int],
    in_shape: tuple[int, int] = (750, 1000),
    tile: int | None = None,
    alone: bool = False,
) -> Cutting:
    return Cutting(in_shape, out_shape, COST, 2 * GIB, tile, alone)


@pytest.mark.parametrize(
    ("tile", "expected"),
    [
        (64, [(2048, 64, 64), (64, 64, 64)]),
        (100, [(2000, 100, 100), (100, 100, 100)]),
        (1000, [(2000, 1000, 1000), (1000, 1000, 1000)]),
        (1023, [(2046, 1023, 1023), (1023, 1023, 1023)]),
        (1024, [(2048, 1024, 1024)]),
        (1025, [(1025, 205, 1025)]),
        (1536, [(1536, 768, 1536)]),
        (2048, [(2048, 1024, 2048)]),
        (2050, [(2050, 410, 2050)]),
        (3000, [(3000, 1000, 3000)]),
        # primes, and the double of one
        (1031, [(1031, 1031, 1031)]),
        (8191, [(8191, 8191, 8191)]),
        (2062, [(2062, 2062, 2062)]),
    ],
)
def test_shards_of_a_tile_that_was_asked_for(
    tile: int, expected: list[tuple[int, int, int]]
) -> None:
    assert list(cut((9000, 9000), tile=tile).shards()) == expected


@given(tile=st.integers(64, 8192))
def test_sides_divide_each_other_and_chunks_are_worth_it(tile: int) -> None:
    for shard, chunk, side in cut((9000, 9000), tile=tile).shards():
        assert shard % side == side % chunk == 0
        assert chunk == tile or LEAST_CHUNK <= chunk <= 2 * CHUNK


@pytest.mark.parametrize(
    ("out_shape", "largest"),
    [
        ((9000, 9000), 2048),
        ((8192, 8192), 2048),  # 16 shards
        ((8192, 6144), 1024),  # 12
        ((4096, 4096), 1024),
        ((4096, 3072), 512),
        ((2048, 2048), 512),
        ((300, 20), 512),
    ],
)
def test_small_outputs_get_small_shards(out_shape: tuple[int, int], largest: int) -> None:
    sides = [2048, 1024, 512, 256]
    expected = [(side, min(side, 512), min(side, 512)) for side in sides if side <= largest]
    assert list(cut(out_shape).shards()) == expected


@pytest.mark.parametrize(
    ("out_shape", "in_shape", "shard", "radius", "expected"),
    [
        ((15000, 20000), (750, 1000), 2048, 20, [(2048, 2048)]),
        ((6000, 8000), (3000, 4000), 256, 20, [(512, 512), (256, 256)]),
        # a larger task would take too much memory
        ((6000, 8000), (6000, 8000), 256, 20, [(256, 256)]),
        ((6000, 8000), (6000, 8000), 64, 30, [(192, 192), (128, 128), (64, 64)]),
        # every multiple of the shard, and as large as three sides of it
        ((2000, 3000), (1000, 1500), 100, 60, [(300, 300), (200, 200), (100, 100)]),
    ],
)
def test_tasks_of_shards_from_the_first_that_is_large_enough(
    out_shape: tuple[int, int],
    in_shape: tuple[int, int],
    shard: int,
    radius: int,
    expected: list[tuple[int, int]],
) -> None:
    image = dataclasses.replace(
        cut(out_shape, in_shape), cost=dataclasses.replace(COST, radius=(radius, radius))
    )
    assert list(image.tasks_of_shards(shard, 2)) == expected


@pytest.mark.parametrize(
    ("out_shape", "alone", "first"),
    [
        ((6000, 8000), False, (750, 728)),
        ((1000, 1500), False, (500, 750)),
        ((300, 200), False, (300, 200)),
        # where nothing else keeps the other worker busy
        ((300, 200), True, (150, 200)),
        ((40, 40), True, (40, 40)),
    ],
)
def test_tasks_in_memory(out_shape: tuple[int, int], alone: bool, first: tuple[int, int]) -> None:
    image = cut(out_shape, (out_shape[0] // 2, out_shape[1] // 2), alone=alone)
    sides = list(image.tasks_in_memory(2))
    assert sides[0] == first
    # smaller ones for less memory
    assert sides[-1] == (min(256, out_shape[0]), min(256, out_shape[1]))


@pytest.mark.parametrize(
    ("out_shape", "in_shape", "tile", "allowed", "expected"),
    [
        # twice the side saves half of what a halo of 100 computes twice, and fits a sixteenth
        ((6000, 8000), (3000, 4000), None, 2 * GIB, [(1500, 1334), (750, 728)]),
        ((6000, 8000), (3000, 4000), None, GIB // 4, [(750, 728)]),
        ((6000, 8000), (3000, 4000), 500, 2 * GIB, [(2000, 2000), (1000, 1000), (500, 500)]),
        ((1500, 1500), (1500, 1500), None, 2 * GIB, [(750, 750)]),
        # of a long image one side is cut
        ((2000, 700), (2000, 700), None, 2 * GIB, [(667, 700)]),
        ((700, 2000), (700, 2000), None, 2 * GIB, [(700, 667)]),
    ],
)
def test_larger_tasks_in_memory_where_a_halo_is_wide(
    out_shape: tuple[int, int],
    in_shape: tuple[int, int],
    tile: int | None,
    allowed: int,
    expected: list[tuple[int, int]],
) -> None:
    cost = dataclasses.replace(COST, radius=(100, 100), encode_bytes=64, latent_bytes=32)
    image = Cutting(in_shape, out_shape, cost, allowed, tile)
    # a tile that was asked for is the smallest
    smaller = [] if tile else [(512, 512), (256, 256)]
    assert list(image.tasks_in_memory(2)) == expected + smaller


def test_the_slack_of_a_disk_is_as_much_again_and_bounded() -> None:
    assert disk_slack(1000) == 1000
    assert disk_slack(1 << 40) == DISK_SLACK == 64 * MIB
