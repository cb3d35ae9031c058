"""The page with all of its tiles in a folder, which opens from the disk and from any web server."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from liif_cli.errors import OutputError
from liif_cli.io.atomic import atomic_path, output_errors, remove_stale, write_atomically
from liif_cli.io.deepzoom import Tile
from liif_cli.io.exporters.bands import codec_workers
from liif_cli.io.viewerpage import INDEX, Layer, Shown, is_ours, page
from liif_cli.view.collection import Item
from liif_cli.view.picture import Picture, Tiles, open_picture

TILES = "tiles"
_BLOCK = 4
"""Tiles a side that are read at once: alone, each would decode the chunks under it again."""

Progress = Callable[[int, int], None]


def write_static(
    items: Sequence[Item],
    title: str,
    folder: Path,
    *,
    progress: Progress = lambda done, total: None,
) -> Path:
    """Write ``index.html`` and the tiles of all images.

    An earlier page of liif in that folder is replaced, when the new one is complete.

    Args:
        items: what is shown.
        title: of the page.
        folder: made where it is not there.
        progress: told of how many of how many tiles are written.

    Returns:
        The page.

    Raises:
        InputError: an image is damaged, or gone.
        OutputError: permission, a full disk, or a folder that holds something else.
    """
    index = folder / INDEX
    _refuse_other(folder, index)
    with contextlib.ExitStack() as stack:
        pictures = [[open_picture(view.path) for view in item.views] for item in items]
        flat = [picture for of_item in pictures for picture in of_item]
        for picture in flat:
            stack.callback(picture.close)
        shown = [
            Shown(
                item.name,
                [
                    Layer.of(picture.zoom, view.label, f"{TILES}/{number}/{layer}/", view.rect)
                    for layer, (view, picture) in enumerate(zip(item.views, of_item, strict=True))
                ],
            )
            for number, (item, of_item) in enumerate(zip(items, pictures, strict=True))
        ]
        total = sum(1 for picture in flat for _ in picture.zoom.tiles())
        done = 0
        with output_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        remove_stale(folder / TILES)
        with atomic_path(folder / TILES) as partial, ThreadPoolExecutor(codec_workers()) as pool:
            for number, of_item in enumerate(pictures):
                for layer, picture in enumerate(of_item):
                    place = partial / str(number) / str(layer)
                    jobs = [
                        pool.submit(_write, picture, block, place)
                        for level in range(len(picture.zoom.levels))
                        for block in picture.zoom.blocks(level, _BLOCK)
                    ]
                    try:
                        for job in as_completed(jobs):
                            done += job.result()
                            progress(done, total)
                    except BaseException:
                        pool.shutdown(wait=True, cancel_futures=True)
                        raise
                    picture.close()
        write_atomically(index, page(title, shown).encode())
    return index


def _write(picture: Picture | Tiles, places: list[Tile], folder: Path) -> int:
    """Write a block of tiles; how many there were."""
    with output_errors(folder):
        (folder / str(places[0][0])).mkdir(parents=True, exist_ok=True)
    for place, data in picture.tiles(places):
        path = picture.zoom.tile_path(place, folder)
        with output_errors(path):
            path.write_bytes(data)
    return len(places)


def _refuse_other(folder: Path, index: Path) -> None:
    with output_errors(folder):
        if not folder.exists() or is_ours(index):
            return
        if folder.is_dir() and not any(folder.iterdir()):
            return
    raise OutputError(
        f"cannot write a page into {folder}",
        got="a folder that holds something else" if folder.is_dir() else "a file",
        expected="no such folder, an empty one, or one that liif view wrote",
        cure="choose another --out",
    )
