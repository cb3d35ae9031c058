"""Any format from a finished store, without rendering again."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from liif_cli.engine.claims import Claims, claim_path
from liif_cli.engine.outputs import output_facts
from liif_cli.engine.record import Record, make_folder, remove_stale_work
from liif_cli.errors import InputError, OutputError, UsageError
from liif_cli.geometry.window import Window
from liif_cli.io import check_available, exporter_for, format_for, suffix_of
from liif_cli.io.atomic import atomic_path, output_errors
from liif_cli.io.base import OutputInfo, Pixels
from liif_cli.io.georeference import Georeference
from liif_cli.io.place import is_object
from liif_cli.io.sources.zarr import is_zarr_store
from liif_cli.io.tilestore import TileStore, is_tile_store
from liif_cli.plan.choices import check_compression, check_format, choose
from liif_cli.plan.disk import fitting_disk
from liif_cli.plan.layout import held_output
from liif_cli.plan.memory import refuse
from liif_cli.plan.spec import InputFacts, OutputFacts

Progress = Callable[[int, int], None]
"""Told of how many pixels out of how many are written."""
_CHOICES = ("format", "compression", "pyramid")


class _CountedStore(TileStore):
    """Tells of what is read of full resolution."""

    progress: Progress = staticmethod(lambda done, total: None)
    done = 0

    def read(self, window: Window) -> Pixels:
        pixels = super().read(window)
        self.done += window.pixels
        total = self.height * self.width
        # tiles that overlap are read twice
        self.progress(min(self.done, total), total)
        return pixels


def export_store(
    path: Path,
    output: Path,
    *,
    format: str = "auto",
    compression: str = "auto",
    pyramid: str = "auto",
    overwrite: bool = False,
    progress: Progress = lambda done, total: None,
) -> None:
    """Write the pixels of a finished store to a file of any format.

    Args:
        path: an OME-Zarr that this program wrote.
        output: the file; for "auto" its suffix says the format.
        format: name of an exporter, or "auto".
        compression: one that the format offers, or "auto".
        pyramid: one that the format offers, or "auto".
        overwrite: replace a file that is there.
        progress: told of pixels written.

    Raises:
        InputError: no store of this program, or an unfinished one.
        UsageError: an unknown format, or a choice that it does not offer.
        PlanError: memory or disk will not do.
        OutputError: a limit of the format, a file that is there, permission, damaged shards.
    """
    store = _open(path)
    store.keep = True
    store.progress = progress
    exporter = exporter_for(_format(output, format))
    check_available(exporter.name)
    if output.resolve() == path.resolve():
        raise UsageError("FILE", got="the store itself", cure="choose another name")
    info, identity = _info(store)
    choices = {
        "compression": choose(
            "--compression", compression, exporter.name, str(output), exporter.compressions
        ),
        "pyramid": choose("--pyramid", pyramid, exporter.name, str(output), exporter.pyramids),
    }
    _check(store, output_facts(output, exporter), info.alpha, choices["compression"])
    if output.exists() and not overwrite:
        raise OutputError(
            f"{output} exists", expected="no file", cure="use --overwrite to replace it"
        )
    identity = {key: value for key, value in identity.items() if key not in _CHOICES}
    identity |= {"format": exporter.name, **{key: text for key, text in choices.items() if text}}
    info = OutputInfo(**{**vars(info), **choices, "provenance": identity})
    with _alone(output), atomic_path(output) as partial:
        exporter.export(store, partial, info)
        record = Record.of_file(identity, partial, str(store.provenance.get("model", "")))
        record.write(output)
    if is_object(output):
        # its time of change is the server's
        record.put(output)


@contextmanager
def _alone(output: Path) -> Iterator[None]:
    """While no other process writes ``output``; what killed ones left of it is removed.

    Raises:
        OutputError: another process writes it now.
    """
    claims, claim = Claims(), claim_path(output)
    try:
        with output_errors(output):
            make_folder(output)
            if (owner := claims.take(claim)) is not None:
                raise OutputError(
                    f"{output} is being written",
                    got=f"work on it by {owner}",
                    expected="nobody else",
                    cure="wait until that is done",
                )
            remove_stale_work(output)
        yield
    finally:
        claims.close()


def _open(path: Path) -> _CountedStore:
    if not is_tile_store(path):
        raise InputError(
            str(path),
            got="a Zarr store of another program" if is_zarr_store(path) else "no Zarr store",
            expected="a finished store of liif (a .zarr that 'liif upscale' wrote)",
            cure="'liif upscale' reads other stores",
        )
    store = _CountedStore.open(path)
    missing = sum(1 for _ in store.base.missing())
    if missing:
        done = len(store.grid) - missing
        got = f"{done} of {len(store.grid)} shards ({100 * done // len(store.grid)} %)"
    elif not store.finished:
        got = "all pixels, but not the reduced levels"
    else:
        return store
    raise InputError(
        f"{path} is not finished",
        got=got,
        expected="all of it",
        cure="run the 'liif upscale' command that wrote it again",
    )


def _format(output: Path, wanted: str) -> str:
    named = format_for(output)
    if wanted == "auto":
        if named is None:
            raise UsageError("FILE", got=output.name, cure="name a suffix, or give --format")
        return named
    if not suffix_of(output.name, exporter_for(wanted).suffixes):
        raise UsageError(
            "FILE and --format do not fit",
            got=f"{output.name} and {wanted}",
            expected=f"a suffix of {', '.join(exporter_for(wanted).suffixes)}",
        )
    return wanted


def _info(store: TileStore) -> tuple[OutputInfo, dict[str, Any]]:
    """What a finished store says beside its pixels, and the identity of the plan that made it."""
    attributes = store.attributes

    def data(name: str) -> bytes | None:
        return base64.b64decode(attributes[name]) if name in attributes else None

    def pair(name: str) -> tuple[float, float] | None:
        value = attributes.get(name)
        return (value[0], value[1]) if value else None

    info = OutputInfo(
        icc=data("icc_profile"),
        exif=data("exif"),
        xmp=data("xmp"),
        resolution=pair("resolution"),
        software=attributes.get("software", ""),
        georeference=Georeference.from_dict(attributes.get("georeference")),
        alpha=bool(attributes.get("alpha", False)),
        band_names=tuple(attributes.get("band_names", ())),
        pixel_size=pair("pixel_size"),
    )
    return info, dict(store.provenance.get("liif", {}))


def _check(store: TileStore, output: OutputFacts, alpha: bool, compression: str) -> None:
    """Refuse what cannot be written, before any work."""
    shape = (store.height, store.width, store.channels)
    pixels = InputFacts(str(store.path), "zarr", shape, store.dtype.name, digest="", alpha=alpha)
    check_format(output, shape[:2], pixels)
    check_compression(compression, output, pixels)
    raw = store.height * store.width * store.channels * store.dtype.itemsize
    fitting_disk({f"{output.format} and its levels": int(raw * max(1, output.disk))}, output)
    available = psutil.virtual_memory().available
    held = held_output(store.height * store.width, pixels, output)
    if not output.streams and held > available:
        cure = "use a format that streams, such as tiff"
        raise refuse(f"memory for {output.path}", held, available, {"pixels and file": held}, cure)
