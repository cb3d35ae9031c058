"""Generated pages: the same bytes every time, of the size asked for, and with something on them."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from liif_cli.errors import UsageError
from liif_cli.graphics import KINDS, draw_page, graphics_pages, training_pages
from liif_cli.graphics.pages import ROUND, SMALLEST_SIDE

DIGEST = """
import hashlib
from liif_cli.graphics import graphics_pages
pages = graphics_pages(20, size=(200, 300), seed=3)
print(hashlib.sha256(b"".join(page.tobytes() for _, page in pages)).hexdigest())
"""


def test_same_bytes_in_another_process_whatever_the_hash_seed() -> None:
    pages = graphics_pages(20, size=(200, 300), seed=3)
    here = hashlib.sha256(b"".join(page.tobytes() for _, page in pages)).hexdigest()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", DIGEST]
        there = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        ).stdout.strip()
        assert there == here


def test_a_series_starts_as_a_shorter_one() -> None:
    short = list(graphics_pages(3, size=(100, 150), seed=1))
    long = list(graphics_pages(5, size=(100, 150), seed=1))
    for (kind, page), (same_kind, same) in zip(short, long, strict=False):
        assert kind == same_kind
        np.testing.assert_array_equal(page, same)


def test_seeds_and_numbers_give_different_pages() -> None:
    pages = [page for seed in (0, 1) for _, page in graphics_pages(20, size=(200, 300), seed=seed)]
    assert len({page.tobytes() for page in pages}) == len(pages)


def test_round_holds_every_kind() -> None:
    assert set(ROUND) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(64, 64), (97, 333), (500, 120)])
def test_size_and_type(kind: str, size: tuple[int, int]) -> None:
    page = draw_page(kind, np.random.default_rng(5), size)
    assert page.shape == (*size, 3)
    assert page.dtype == np.uint8
    assert page.flags.c_contiguous


@pytest.mark.parametrize("kind", KINDS)
def test_pages_hold_much_contrast(kind: str) -> None:
    """On most tiles of a page of a crop's size there is something to learn from."""
    page = draw_page(kind, np.random.default_rng(2), (704, 896)).astype(int)
    tiles = page[:640, :896].reshape(5, 128, 7, 128, 3)
    spread = tiles.max(axis=(1, 3)) - tiles.min(axis=(1, 3))
    assert (spread.max(axis=-1) > 40).mean() > 0.5


def test_training_pages_have_room_for_the_largest_crop() -> None:
    pages = training_pages(6, seed=4)
    assert len(pages) == 6
    for page in pages:
        assert page.dtype == np.uint8
        assert page.ndim == 3
        assert page.shape[2] == 3
        assert min(page.shape[:2]) >= SMALLEST_SIDE >= 48 * 8
    np.testing.assert_array_equal(pages[1], training_pages(2, seed=4)[1])


def test_unknown_kind_and_small_size_are_named() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(UsageError, match=r"'poem'.*document"):
        draw_page("poem", rng)
    with pytest.raises(UsageError, match="got 20x100, expected 64x64"):
        draw_page("code", rng, (100, 20))
