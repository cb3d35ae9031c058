"""Which images are read and where each is written, with every clash found before any work."""

from __future__ import annotations

import dataclasses
import fnmatch
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from liif_cli.errors import InputError, UsageError
from liif_cli.io import (
    EXPORTERS,
    check_available,
    exporter_for,
    format_for,
    image_suffixes,
    is_image,
    is_known,
    suffix_of,
)
from liif_cli.io.place import SCHEMES, ObjectPath, PlaceError, is_object
from liif_cli.io.sources.zarr import MARKERS, is_zarr_store

AUTO = "auto"
STEM = "{stem}"
"""What stands for an input's name in the names of outputs."""
_SIDECARS = {"thumbs.db", "desktop.ini", "__macosx"}
_HEAD = 64
_URL = re.compile(
    r"(https?|ftp|file|s3|gs|gcs|az|abfss?|adl|wasbs?|hdfs|memory):/+(.*)", re.IGNORECASE
)
_CAMERA = (
    "3fr ari arw bay cr2 cr3 crw dcr dng erf fff iiq k25 kdc mef mos mrw nef nrw orf pef raf raw "
    "rw2 rwl sr2 srf srw x3f"
)
_UNREAD = {
    "a raw photo of a camera": _CAMERA,
    "a drawing": "ai cdr emf eps ps svg svgz wmf",
    "an image of a paint program": "afphoto clip kra ora procreate psb xcf",
    "a medical image": "dcm dicom mha mhd mnc mrc nii nrrd",
    "a slide": "bif czi lif mrxs nd2 oib oif scn vsi zvi",
    "an image of high dynamic range": "pic xyze",
    "an image": "bpg djvu fits fts flif hdp heics jbg jls jxr mng npy npz p7 pct wdp",
}
_UNREAD_SUFFIXES = {f".{name}": kind for kind, names in _UNREAD.items() for name in names.split()}


@dataclass(frozen=True)
class _Naming:
    """What is put before and behind an input's stem in the name of its output."""

    before: str = ""
    behind: str = ""

    @classmethod
    def of(cls, name: str, suffix: str) -> _Naming:
        """That of ``--name`` and ``--suffix``.

        Raises:
            UsageError: a path separator, or no stem, so that all outputs would have one name.
        """
        for option, text in (("--suffix", suffix), ("--name", name)):
            if os.sep in text or (os.altsep and os.altsep in text):
                raise UsageError(option, got=repr(text), expected="text without a path separator")
        before, stem, behind = name.partition(STEM)
        if not stem or STEM in behind:
            raise UsageError(
                "--name",
                got=repr(name),
                expected=f"a name with one {STEM} in it, which is the input's name",
                cure="for one image give the name of the file as OUTPUT",
            )
        return cls(before, behind + suffix)

    def made(self, path: Path, stems: set[Path]) -> bool:
        """Whether it is the name of an output of one of ``stems``, which lies beside it."""
        stem = path.stem
        inner = stem[len(self.before) : len(stem) - len(self.behind)]
        fits = stem.startswith(self.before) and stem.endswith(self.behind)
        return bool(fits and inner) and path.parent / inner in stems


@dataclass(frozen=True)
class Pair:
    """One input and the place of its output; the output's name waits for its format.

    ``relative`` is the input's path below the folder that was asked for, ``folder`` and ``stem``
    say where the output goes. ``fixed`` is the output's path where the user named the file, and
    ``wanted`` the format that was asked for or follows from the names; None where "auto" has to
    ask the input's own format (an input without a suffix, or of a format that is only read).
    ``error`` is why there is nothing to read: a folder that cannot be listed. With
    ``keep_extension`` a suffix that changes stays in the output's name.
    """

    input: Path
    relative: Path
    folder: Path
    stem: str
    wanted: str | None
    fixed: Path | None = None
    error: InputError | None = None
    keep_extension: bool = False

    def output(self, format: str) -> Path:
        """Path of the output in a format; the input's own spelling of the suffix is kept."""
        if self.fixed is not None:
            return self.fixed
        suffixes = exporter_for(format).suffixes
        own = _suffix(self.input)
        if own.lower() in suffixes:
            return self.folder / (self.stem + own)
        kept = own if self.keep_extension else ""
        return self.folder / (self.stem + kept + suffixes[0])


def unread_kind(path: Path) -> str:
    """What kind of image a file is, by its suffix, where it is one that is not read; else empty."""
    kind = "" if is_image(path) else _UNREAD_SUFFIXES.get(path.suffix.lower(), "")
    return f"{kind} ({path.suffix.lower()})" if kind else ""


def unread(path: Path, root: Path) -> Pair:
    """What stands for a file below ``root`` that looks like an image and is not read."""
    problem = InputError(
        str(path),
        got=unread_kind(path),
        expected="an image of a kind that is read",
        cure="convert it, or leave --strict out",
    )
    return Pair(path, path.relative_to(root), path.parent, path.name, None, error=problem)


def discover_all(
    inputs: Sequence[Path],
    output: Path,
    *,
    suffix: str = "",
    name: str = STEM,
    format: str = AUTO,
    keep_extension: bool = False,
    left_out: list[Path] | None = None,
) -> list[Pair]:
    """The pairs of several images and folders; see ``discover``.

    Raises:
        UsageError: see there; or more than one input and an output that is a file's name.
    """
    one = len(inputs) == 1
    written = suffix_of(output.name, _written_suffixes())
    if not one and written and not output.is_dir():
        raise UsageError(
            "OUTPUT",
            got=f"a file name, {output.name}, for {len(inputs)} inputs",
            expected="a folder",
            cure="name a folder without an image suffix, or put a slash behind it",
        )
    pairs: list[Pair] = []
    for each in inputs:
        pairs += discover(
            each,
            output,
            suffix=suffix,
            name=name,
            format=format,
            keep_extension=keep_extension,
            left_out=left_out,
        )
    check_clashes([(pair, pair.wanted) for pair in pairs if pair.error is None])
    return pairs


def matching(pairs: Iterable[Pair], include: Sequence[str], exclude: Sequence[str]) -> list[Pair]:
    """Pairs whose name or path below its folder is like ``include``, and not like ``exclude``.

    Patterns are those of a shell; without ``include`` all are. A path is one with "/".
    """

    def like(pair: Pair, patterns: Sequence[str]) -> bool:
        path = pair.relative.as_posix()
        return any(
            fnmatch.fnmatch(path if "/" in one else pair.relative.name, one) for one in patterns
        )

    kept = [pair for pair in pairs if not include or like(pair, include)]
    return [pair for pair in kept if not like(pair, exclude)]


def beside(input: Path, label: str, format: str) -> Path:
    """Where the output of one image goes that nobody named: "photo-4x.jpg" beside "photo.jpg".

    Raises:
        UsageError: ``input`` is a folder.
    """
    if input.is_dir() and not is_zarr_store(input):
        raise UsageError(
            "OUTPUT",
            got=f"nothing, for the folder {input}",
            expected="a folder to put its images in",
            cure=f"for instance {input.name}-{label}",
        )
    named = format_for(input) if format == AUTO else format
    own = _suffix(input)
    ending = own if named and own.lower() in exporter_for(named).suffixes else ""
    stem = input.name.removesuffix(own)
    return input.with_name(f"{stem}-{label}{ending or exporter_for(named or 'png').suffixes[0]}")


def discover(
    input: Path,
    output: Path,
    *,
    suffix: str = "",
    name: str = STEM,
    format: str = AUTO,
    keep_extension: bool = False,
    left_out: list[Path] | None = None,
) -> list[Pair]:
    """Pair every image with its output, in a fixed order.

    In a folder a file is an image by its suffix; one with a suffix that says nothing, or none, by
    its content.

    Args:
        input: an image, a Zarr store, or a folder to walk.
        output: a folder; or a file, when ``input`` is one image and ``output`` has an image suffix
            and is not a folder yet.
        suffix: put behind the stem of every output in a folder.
        name: of every output in a folder without its ending, where "{stem}" is the input's.
        format: of the outputs, or "auto".
        keep_extension: the name of an output keeps a suffix of its input that changes:
            "a.bmp.png".
        left_out: gets the files of a folder that look like images and are not read.

    Returns:
        Pairs without clashes as far as formats are known; once "auto" is settled for each of them,
        ``check_clashes`` has the last word. Folders that cannot be listed come last.

    Raises:
        UsageError: no input, no image, an output of unknown format, or outputs that would meet each
            other or an input.
    """
    if format != AUTO:
        check_available(format)
    naming = _Naming.of(name, suffix)
    _refuse_url("INPUT", input)
    _refuse_url("OUTPUT", output)
    if isinstance(output, ObjectPath) and output.read_only:
        raise UsageError("OUTPUT", got=str(output), expected="a folder or a bucket: s3, gs, az")
    if not _exists(input):
        raise UsageError("INPUT", got=f"no such file or folder: {input}", cure="check the path")
    if _is_folder(input) and not is_zarr_store(input):
        left_out = [] if left_out is None else left_out
        pairs = _from_folder(input, output, naming, format, left_out)
    else:
        pairs = [_from_file(input, output, naming, format)]
    if keep_extension:
        pairs = [dataclasses.replace(pair, keep_extension=True) for pair in pairs]
    check_clashes([(pair, pair.wanted) for pair in pairs if pair.error is None])
    return pairs


def images_below(folder: Path) -> tuple[list[Path], list[Path]]:
    """Images of a folder or a bucket, in the order of the work; and files that are not read.

    Raises:
        UsageError: a bucket that may not be listed, or without an image.
    """
    left_out: list[Path] = []
    if isinstance(folder, ObjectPath):
        pairs = _from_bucket(folder, folder / "x", _Naming(), AUTO, left_out)
        return [pair.input for pair in pairs], left_out
    return list(_images(folder, None, [], left_out)), left_out


def named_pairs(
    input: Path,
    output: Path,
    names: Iterable[str],
    *,
    suffix: str = "",
    name: str = STEM,
    format: str = AUTO,
    keep_extension: bool = False,
) -> list[Pair]:
    """Pairs of the images of a folder that ``discover`` found before, by their names below it."""
    naming, pairs = _Naming.of(name, suffix), []
    for each in names:
        relative = Path(each)
        pair = _pair(input / relative, relative, output / relative.parent, naming, format)
        pairs.append(dataclasses.replace(pair, keep_extension=keep_extension))
    return pairs


def _exists(path: Path) -> bool:
    with place_errors("INPUT", path):
        return path.exists() if is_object(path) else os.path.exists(path)


def _is_folder(path: Path) -> bool:
    if isinstance(path, ObjectPath):
        with place_errors("INPUT", path):
            return not path.is_file()
    return os.path.isdir(path)


@contextmanager
def place_errors(what: str, path: Path) -> Iterator[None]:
    """Turn a server's refusal into wrong usage of an argument.

    Raises:
        UsageError: the bucket is not there, may not be listed, or there is no way to it.
    """
    try:
        yield
    except PlaceError as error:
        raise UsageError(
            what, got=f"{path}: {error.strerror}", expected="a place", cure=error.cure
        ) from error


def _refuse_url(what: str, path: Path) -> None:
    """A URL is not a path, although the system would take it for one and make a folder of it.

    Raises:
        UsageError: it is one.
    """
    match = None if is_object(path) else _URL.match(str(path))
    if match is not None and not os.path.lexists(path):
        raise UsageError(
            what,
            got=f"{match[1]}://{match[2]}",
            expected=f"a file or a folder, or a URL of {', '.join(SCHEMES[:4])}",
            cure="download it first, or mount it as a folder",
        )


def check_clashes(choices: Iterable[tuple[Pair, str | None]]) -> None:
    """Refuse outputs that would overwrite each other or an input.

    Args:
        choices: pairs with the format chosen for each; those with None are left out.

    Raises:
        UsageError: two inputs would write one output, or an output is an input.
    """
    choices = list(choices)
    inputs = {_key(pair.input): pair.input for pair, _ in choices}
    taken: dict[str, Path] = {}
    for pair, format in choices:
        if format is None:
            continue
        output = pair.output(format)
        key = _key(output)
        if key in inputs:
            raise UsageError(
                "the output would overwrite an input",
                got=f"{output} as output of {pair.input}",
                expected="another place",
                cure="choose another OUTPUT or give --suffix",
            )
        if key in taken:
            raise UsageError(
                "two inputs would write one output",
                got=f"{taken[key]} and {pair.input} to {output}",
                expected="an output each",
                cure="give --keep-extension, rename one of them, or move it to another folder",
            )
        taken[key] = pair.input


def _key(path: Path) -> str:
    # pathlib's resolve() gives up at a link to itself
    return str(path) if is_object(path) else os.path.normcase(os.path.realpath(path))


def _from_file(input: Path, output: Path, naming: _Naming, format: str) -> Pair:
    relative = Path(input.name)
    known = suffix_of(output.name, image_suffixes() | _written_suffixes())
    # an unfinished Zarr output of a bucket lies under its final name, and is not a folder of images
    if known and (is_object(output) or not output.is_dir() or is_zarr_store(output)):
        named = format_for(output)
        if named is None:
            raise UsageError(
                "OUTPUT",
                got=f"{output.suffix}, which is read but not written",
                expected="one of " + ", ".join(sorted(_written_suffixes())),
            )
        if format != AUTO and suffix_of(output.name, exporter_for(format).suffixes):
            named = format  # two formats may share a suffix
        if format not in (AUTO, named):
            raise UsageError(
                "OUTPUT and --format do not fit",
                got=f"{output.name} and {format}",
                expected=f"a suffix of {', '.join(exporter_for(format).suffixes)}",
                cure="leave out --format",
            )
        stem = output.name[: -len(known)]
        return Pair(input, relative, output.parent, stem, named, fixed=output)
    _refuse_file(output)
    return _pair(input, relative, output, naming, format)


def _from_folder(
    input: Path, output: Path, naming: _Naming, format: str, left_out: list[Path]
) -> list[Pair]:
    _refuse_file(output)
    named = suffix_of(output.name, _written_suffixes())
    if named and (is_object(output) or not output.is_dir()):
        raise UsageError(
            "OUTPUT",
            got=f"a file name, {output.name}, for a folder of images",
            expected="a folder",
            cure="name a folder without an image suffix",
        )
    closed: list[OSError] = []
    if isinstance(input, ObjectPath):
        return _from_bucket(input, output, naming, format, left_out)
    skip = None if _key(input) == _key(output) else output
    images = list(_images(input, skip, closed, left_out))
    if naming != _Naming() and _key(input) == _key(output):
        # outputs of an earlier run lie beside their inputs
        stems = {path.parent / path.stem for path in images}
        images = [path for path in images if not naming.made(path, stems)]
    if not images and not closed:
        raise UsageError(
            "INPUT",
            got=f"no image in {input}"
            + (f", but {len(left_out)} files of kinds that are not read" if left_out else ""),
            expected="files of " + ", ".join(sorted(image_suffixes())),
            cure="check the path",
        )
    pairs = []
    for path in images:
        relative = path.relative_to(input)
        pairs.append(_pair(path, relative, output / relative.parent, naming, format))
    for error in closed:
        path = Path(os.fsdecode(error.filename))
        problem = InputError(
            str(path), got=error.strerror or "an error", expected="a folder that can be listed"
        )
        pairs.append(Pair(path, path.relative_to(input), output, path.name, None, error=problem))
    return pairs


def _from_bucket(
    input: ObjectPath, output: Path, naming: _Naming, format: str, left_out: list[Path]
) -> list[Pair]:
    """As ``_from_folder``, by one listing."""
    with place_errors("INPUT", input):
        objects = [path for path, _ in input.objects()]
    if input != output:
        objects = [path for path in objects if path != output and output not in path.parents]
    shown = [path for path in objects if not any(map(_is_sidecar, path.relative_to(input).parts))]
    stores = {path.parent for path in shown if path.name in MARKERS}
    stores = {path for path in stores if stores.isdisjoint(path.parents)}
    images: set[Path] = set(stores)
    for one in shown:
        if not stores.isdisjoint(one.parents):
            continue
        if unread_kind(one):
            left_out.append(one)
        elif is_image(one) or (not one.suffix and _holds_image(one)):
            images.add(one)
    stems = {path.parent / path.stem for path in images}
    if naming != _Naming() and input == output:
        images = {path for path in images if not naming.made(path, stems)}
    if not images:
        raise UsageError(
            "INPUT",
            got=f"no image in {input}",
            expected="objects with suffixes " + ", ".join(sorted(image_suffixes())),
            cure="check the path",
        )
    pairs = []
    for path in sorted(images, key=lambda one: (one.parent.parts, one.name)):
        relative = Path(*path.relative_to(input).parts)
        pairs.append(_pair(path, relative, output / relative.parent, naming, format))
    return pairs


def _pair(input: Path, relative: Path, folder: Path, naming: _Naming, format: str) -> Pair:
    wanted = format_for(input) if format == AUTO else format
    stem = input.name.removesuffix(_suffix(input))
    return Pair(input, relative, folder, f"{naming.before}{stem}{naming.behind}", wanted)


def _suffix(path: Path) -> str:
    """The suffix of an image, as it is spelled: ".ome.tif" is one."""
    known = suffix_of(path.name, image_suffixes() | _written_suffixes())
    return path.name[-len(known) :] if known else path.suffix


def _written_suffixes() -> frozenset[str]:
    return frozenset(suffix for name in EXPORTERS for suffix in exporter_for(name).suffixes)


def _refuse_file(output: Path) -> None:
    if is_object(output):
        return
    if output.exists() and not output.is_dir():
        raise UsageError(
            "OUTPUT",
            got=f"a file that is there, {output}",
            expected="a folder, or for one image a file with an image suffix",
        )
    if is_zarr_store(output):
        raise UsageError("OUTPUT", got=f"a Zarr store, {output}", expected="a folder of images")


def _images(
    root: Path, skip: Path | None, closed: list[OSError], left_out: list[Path]
) -> Iterator[Path]:
    """Images below a folder in a fixed order, without what lies in ``skip``.

    ``closed`` gets an error for every folder that cannot be listed, ``left_out`` what looks like an
    image and is not read.
    """
    skipped = None if skip is None else _key(skip)
    for folder, names, files in os.walk(root, onerror=closed.append):
        here = Path(folder)
        leaves: list[str] = []
        below: list[str] = []
        for name in sorted(names):
            path = here / name
            if _is_sidecar(name) or _key(path) == skipped:
                continue
            (leaves if is_zarr_store(path) else below).append(name)
        # os.walk goes on with what is left in the list
        names[:] = below
        kept = []
        for name in sorted(files):
            path = here / name
            if _is_sidecar(name):
                continue
            if unread_kind(path):
                left_out.append(path)
            elif is_image(path) or _holds_image(path):
                kept.append(name)
        yield from (here / name for name in sorted(kept + leaves))


def _holds_image(path: Path) -> bool:
    """Whether a file is an image by its content; what cannot be read is none."""
    try:
        if not path.is_file():
            return False
        if isinstance(path, ObjectPath):
            return is_known(path, path.read_range(0, _HEAD))
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    return is_known(path, head)


def _is_sidecar(name: str) -> bool:
    """Hidden files (also of unfinished outputs), and what file managers leave behind."""
    return name.startswith(".") or name.lower() in _SIDECARS
