"""Upscale folders of images to any size with LIIF networks, tile by tile, in bounded memory.

Importing this imports nothing else; the command line starts in ``liif_cli.cli``.
"""

__version__ = "0.1.0.dev0"
