"""``liif view``: outputs beside their inputs, in a browser."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from liif_cli.errors import printable
from liif_cli.ui import options, types

if TYPE_CHECKING:
    from liif_cli.view.collection import Item


@click.command()
@click.argument("outputs", nargs=-1, required=True, type=types.PLACE, metavar="OUTPUT...")
@click.option(
    "--input",
    type=types.PLACE,
    metavar="PATH",
    help="The image, or the folder of images, that they were made from. [default: as the records "
    "beside the outputs say]",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write the page and all of its tiles into DIR, which opens from the disk, and end.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default="any that is free",
    metavar="N",
    help="Port of the page on this machine.",
)
@click.option(
    "--open/--no-open",
    "open_browser",
    default=None,
    help="Open the page in a browser. [default: where there is a terminal]",
)
@options.quiet_option
@options.verbose_option
def view(
    outputs: tuple[Path, ...],
    input: Path | None,
    out: Path | None,
    port: int,
    open_browser: bool | None,
    quiet: bool,
    verbose: bool,
) -> None:
    """Show OUTPUT beside its input in a browser: a divider, or two pictures that zoom together.

    OUTPUT is a file, a Zarr store, a Deep Zoom image, or a folder of them, which is shown as a
    sheet first. Outputs that several models made of one image are versions of it. Of enormous
    images only the tiles on the screen are read. The page can be seen from this machine only
    (127.0.0.1), until Ctrl-C.

    \b
    Examples:
      liif view large/
      liif view large/ --input photos/
      liif view small-model/ quality-model/ bicubic/
      liif view poster.zarr --out site/
    """
    from liif_cli.view.collection import collect

    unread: list[str] = []
    items = collect(outputs, input, unread=unread.append)
    for why in unread:
        click.echo(printable(f"warning: not shown: {why}"), err=True)
    title = ", ".join(path.absolute().name for path in outputs[:3])
    title += ", ..." if len(outputs) > 3 else ""
    if out is not None:
        _write(items, title, out, quiet)
        return
    _serve(items, title, port, open_browser, quiet)


def _write(items: list[Item], title: str, folder: Path, quiet: bool) -> None:
    from liif_cli.ui.format import counted, size_of
    from liif_cli.ui.parts import parts_bar
    from liif_cli.view.static import write_static

    with parts_bar(folder.name, quiet=quiet) as progress:
        index = write_static(items, title, folder, progress=progress)
    if not quiet:
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        images = counted(len(items), "image")
        click.echo(printable(f"wrote {index}: {images}, {size_of(size)}"), err=True)


def _serve(
    items: list[Item], title: str, port: int, open_browser: bool | None, quiet: bool
) -> None:
    import webbrowser

    from liif_cli.ui.format import counted
    from liif_cli.view.server import ViewServer

    server = ViewServer(items, title, port)
    try:
        # a script that asks for a page reads its address from here
        click.echo(server.url)
        if not quiet:
            click.echo(f"showing {counted(len(items), 'image')}; Ctrl-C ends it", err=True)
        if open_browser if open_browser is not None else sys.stdout.isatty():
            webbrowser.open(server.url)
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        pass  # the way to end it
    finally:
        server.server_close()
