"""Deep Zoom images: a descriptor NAME.dzi and tiles NAME_files/LEVEL/COL_ROW.jpeg or .png.

The layout is that of Microsoft's Deep Zoom (namespace http://schemas.microsoft.com/deepzoom/2008):
level 0 is one pixel, each further level doubles, the last one is the image. Tiles overlap their
neighbours by ``overlap`` pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from liif_cli.errors import InputError
from liif_cli.geometry.grid import TileGrid
from liif_cli.geometry.window import Window

NAMESPACE = "http://schemas.microsoft.com/deepzoom/2008"
TILE, OVERLAP = 254, 1

Tile = tuple[int, int, int]
"""(level, col, row); level 0 is the smallest."""


def tiles_folder(descriptor: Path) -> Path:
    """Where the tiles of a descriptor lie."""
    return descriptor.with_name(f"{descriptor.stem}_files")


@dataclass(frozen=True)
class DeepZoom:
    """A descriptor. Sides in pixels; ``suffix`` of tiles without its dot."""

    path: Path
    height: int
    width: int
    suffix: str
    tile: int = TILE
    overlap: int = OVERLAP

    @classmethod
    def open(cls, path: Path) -> DeepZoom:
        """Read a descriptor.

        Raises:
            InputError: it is none.
        """
        try:
            root = ElementTree.fromstring(path.read_bytes())
            size = root.find(f"{{{NAMESPACE}}}Size")
            if root.tag != f"{{{NAMESPACE}}}Image" or size is None:
                raise ValueError(f"the element {root.tag}")
            image = cls(
                path,
                int(size.attrib["Height"]),
                int(size.attrib["Width"]),
                root.attrib["Format"],
                int(root.attrib["TileSize"]),
                int(root.attrib["Overlap"]),
            )
            if min(image.height, image.width, image.tile) < 1 or image.overlap < 0:
                raise ValueError("a size below 1")
        except (ElementTree.ParseError, KeyError, ValueError, OSError) as error:
            raise InputError(
                str(path), got=f"no readable descriptor ({error})", expected="a Deep Zoom image"
            ) from error
        return image

    def descriptor(self) -> str:
        """Content of the descriptor."""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<Image xmlns="{NAMESPACE}" Format="{self.suffix}" Overlap="{self.overlap}" '
            f'TileSize="{self.tile}">\n'
            f'  <Size Width="{self.width}" Height="{self.height}"/>\n'
            "</Image>\n"
        )

    @property
    def levels(self) -> list[tuple[int, int]]:
        """(height, width) of each level, the smallest first."""
        shapes = [(self.height, self.width)]
        while max(shapes[-1]) > 1:
            shapes.append((-(-shapes[-1][0] // 2), -(-shapes[-1][1] // 2)))
        return shapes[::-1]

    def __contains__(self, tile: object) -> bool:
        """Whether ``tile``, (level, col, row), is one of its tiles."""
        if not isinstance(tile, tuple):
            return False
        level, col, row = tile
        if not 0 <= level < len(self.levels):
            return False
        grid = self.grid(level)
        return bool(0 <= col < grid.cols and 0 <= row < grid.rows)

    def grid(self, level: int) -> TileGrid:
        """The tiles of a level without their overlap."""
        return TileGrid(*self.levels[level], self.tile, self.tile)

    def tiles(self) -> Iterator[Tile]:
        """Every tile."""
        for level in range(len(self.levels)):
            grid = self.grid(level)
            yield from ((level, col, row) for row in range(grid.rows) for col in range(grid.cols))

    def blocks(self, level: int, side: int) -> Iterator[list[Tile]]:
        """The tiles of a level in squares of ``side`` tiles, to be read at once; row by row."""
        grid = self.grid(level)
        for block in TileGrid(grid.rows, grid.cols, side, side):
            rows = range(block.row_off, block.row_stop)
            cols = range(block.col_off, block.col_stop)
            yield [(level, col, row) for row in rows for col in cols]

    def around(self, block: Sequence[Tile]) -> Window:
        """The pixels of its level that one of ``blocks`` holds, overlap included."""
        first, last = self.window(block[0]), self.window(block[-1])
        return Window.between(first.row_off, last.row_stop, first.col_off, last.col_stop)

    def window(self, tile: Tile) -> Window:
        """The pixels of its level that a tile holds, overlap included."""
        level, col, row = tile
        padded = self.grid(level).tile(row, col).pad(self.overlap, self.overlap)
        return padded.clip(*self.levels[level])

    def tile_path(self, tile: Tile, folder: Path | None = None) -> Path:
        """File of a tile, in ``folder`` where the tiles lie elsewhere."""
        level, col, row = tile
        return (folder or tiles_folder(self.path)) / str(level) / f"{col}_{row}.{self.suffix}"

    def damage(self, tile: Tile) -> tuple[str, str] | None:
        """(where, what) is wrong with a tile; None when it can be decoded and has its size."""
        import imagecodecs

        path, window = self.tile_path(tile), self.window(tile)
        where = path.relative_to(self.path.parent).as_posix()
        try:
            data = path.read_bytes()
            decode = imagecodecs.png_decode if self.suffix == "png" else imagecodecs.jpeg8_decode
            shape = decode(data).shape[:2]
        except FileNotFoundError:
            return where, "missing"
        except Exception as error:  # codecs raise what they like
            return where, f"cannot be decoded ({error})"
        if shape != window.shape:
            return where, f"{shape[1]}x{shape[0]} pixels instead of {window.width}x{window.height}"
        return None
