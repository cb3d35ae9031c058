"""Upscale folders of images to any size with LIIF networks, tile by tile, in bounded memory.

As a library: ``import liif_cli as liif``, then ``liif.upscale(array, scale=4)``; see
``liif_cli.library``. Importing this imports nothing else, torch least of all; the command line
starts in ``liif_cli.cli``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["Model", "__version__", "load", "open_output", "upscale", "upscale_file"]

if TYPE_CHECKING:
    from liif_cli.library import Model, load, open_output, upscale, upscale_file


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("liif_cli.library"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
