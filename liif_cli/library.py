"""What ``import liif_cli as liif`` offers: the command's work, on arrays and on files.

Arrays are (height, width), (height, width, channels) of numpy, or torch tensors (height, width) or
(channels, height, width); the result has the same layout and type. uint8 and uint16 span their
type, floats [0, 1] or what they hold, other whole numbers what they hold. Of 2 or 4 channels the
last one is straight alpha, unless ``alpha=False`` says that they are bands.
"""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from liif_cli.errors import LiifError, OutputError, UsageError
from liif_cli.geometry.cell import CellPolicy
from liif_cli.geometry.size import Fit, SizeRequest
from liif_cli.geometry.window import Window
from liif_cli.models.loader import DEFAULT_MODEL, LoadedModel, load_model

if TYPE_CHECKING:
    import torch
    import zarr

    from liif_cli.plan.spec import RenderSpec

Array = npt.NDArray[Any]
Scale = float | str | tuple[float, float]
Size = tuple[int | None, int | None] | str
Roi = tuple[int, int, int, int]


class Model:
    """A network that is loaded once and used often; made by ``load``.

    Attributes:
        name: as it was asked for.
        digest: SHA-256 of its weights, hexadecimal.
    """

    def __init__(self, loaded: LoadedModel, asked: str, device: str, precision: str) -> None:
        self._loaded, self._asked = loaded, asked
        self._device, self._precision = device, precision
        self.name, self.digest = loaded.name, loaded.digest

    def __repr__(self) -> str:
        return f"liif.Model({self.name!r}, {self.digest[:12]})"

    def upscale(
        self,
        image: Array | torch.Tensor,
        *,
        scale: Scale | None = None,
        size: Size | None = None,
        fit: Fit = "exact",
        roi: Roi | None = None,
        alpha: bool | None = None,
        cleanup: float | None = None,
        cell: str | float | None = None,
        self_ensemble: bool = False,
        max_memory: int | None = None,
        jobs: int | None = None,
    ) -> Any:
        """Upscale an image in memory: the same pixels as ``liif upscale`` writes.

        Args:
            image: see the module.
            scale: output pixels per input pixel, or (across, down); a text as on the command line.
            size: (width, height) of the output, one of which may be None; or "3840x2160", "4k".
            fit: how an image fits a size of another aspect: "exact", "inside" or "cover".
            roi: (x, y, width, height) in input pixels: the part to render.
            alpha: whether the last channel is straight alpha; None: of 2 and 4 channels it is.
            cleanup: how lossy the image is, in [0, 100], for models that can be told.
            cell: the pixel size that the network is told (``--cell``).
            self_ensemble: average over the 8 flips and turns.
            max_memory: bytes that the process may take.
            jobs: threads; None is one per core.

        Returns:
            An array or tensor of the image's kind, layout and type.

        Raises:
            UsageError: no size, or two.
            InputError: a type or layout that is not handled, NaN or infinity.
            PlanError: it does not fit the memory.
        """
        from liif_cli.engine.arrays import ArraySource, upscale_source

        pixels, back = _pixels(image)
        channels = pixels.shape[2]
        last_is_alpha = channels in (2, 4) if alpha is None else alpha
        if last_is_alpha and channels < 2:
            raise UsageError("alpha", got=f"{channels} channel", expected="2 or more")
        spec = _spec(
            self._asked,
            _size(scale, size, fit),
            device=self._device,
            precision=self._precision,
            roi=Window(roi[1], roi[0], roi[3], roi[2]) if roi else None,
            cleanup=cleanup,
            cell=None if cell is None else CellPolicy.of(cell),
            self_ensemble=self_ensemble,
            max_memory=max_memory,
            jobs=jobs,
        )
        source = ArraySource(pixels, alpha=last_is_alpha)
        return back(upscale_source(self._loaded, source, spec))

    render = upscale


def load(model: str = DEFAULT_MODEL, *, device: str = "auto", precision: str = "auto") -> Model:
    """Load a network.

    Args:
        model: a name of ``liif models``, or the path of a weights file.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        precision: "auto", "fp32", "bf16x3", "bf16" or "fp16".

    Raises:
        UsageError: an unknown name or device.
        CheckpointError: a file that cannot be used.
    """
    from liif_cli.engine.machine import resolve_device

    return Model(load_model(str(model), resolve_device(device)), str(model), device, precision)


_loaded: dict[tuple[str, str, str], Model] = {}


def upscale(
    image: Array | torch.Tensor,
    *,
    model: str = DEFAULT_MODEL,
    device: str = "auto",
    precision: str = "auto",
    **options: Any,
) -> Any:
    """Upscale an image in memory; the network stays loaded for the next call.

    Args:
        image: see ``Model.upscale``, whose options are these.
        model: see ``load``, as ``device`` and ``precision``.

    Raises:
        LiifError: see there.
    """
    key = (str(model), device, precision)
    if key not in _loaded:
        _loaded.clear()
        _loaded[key] = load(model, device=device, precision=precision)
    return _loaded[key].upscale(image, **options)


def upscale_file(
    input: str | Path,
    output: str | Path,
    *,
    scale: Scale | None = None,
    size: Size | None = None,
    fit: Fit = "exact",
    model: str = DEFAULT_MODEL,
    **options: Any,
) -> list[Path]:
    """Upscale an image, or a folder of them, as ``liif upscale`` does: resumable, out of core.

    Args:
        input: an image, a folder, or the URL of one in a bucket.
        output: a file or a folder.
        scale, size, fit: see ``Model.upscale``.
        model: see ``load``.
        options: fields of ``liif_cli.plan.spec.RenderSpec``, which are the command's options.

    Returns:
        The outputs, those that were finished before included.

    Raises:
        LiifError: nothing could be started, or an image failed; the others are done then.
    """
    from liif_cli.engine.batch import upscale_batch
    from liif_cli.io.place import location

    spec = _spec(model, _size(scale, size, fit), **options)
    report = upscale_batch(location(input), location(output), spec, listen=lambda event: None)
    failed = [result for result in report.results if result.status == "failed"]
    if report.interrupted:
        raise KeyboardInterrupt
    if failed:
        more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
        raise LiifError(f"{failed[0].error}{more}")
    return [result.output for result in report.results if result.output is not None]


def open_output(path: str | Path, level: int = 0) -> zarr.Array[Any]:
    """A Zarr output as a lazy array: what is sliced is read, and no more.

    Args:
        path: of a ``.zarr``, or the URL of one.
        level: 0 is full resolution, each further one half as large.

    Returns:
        A ``zarr.Array`` (channels, height, width); ``dask.array.from_zarr`` takes it.

    Raises:
        OutputError: none of liif's, an unfinished one, or without that level.
    """
    import zarr

    from liif_cli.io.place import location
    from liif_cli.io.tilestore import TileStore
    from liif_cli.io.zarrstores import reading_store

    place = location(path)
    store = TileStore.open(place)
    if not store.finished:
        raise OutputError(str(place), got="an unfinished store", cure="run its command again")
    levels = store.levels()
    if not 0 <= level < len(levels):
        raise OutputError(str(place), got=f"level {level}", expected=f"0 to {len(levels) - 1}")
    return zarr.open_array(reading_store(place / str(level)), mode="r")


def _spec(model: str, size: SizeRequest, **options: Any) -> RenderSpec:
    from liif_cli.plan.spec import RenderSpec

    names = {field.name for field in dataclasses.fields(RenderSpec)} - {"size", "model"}
    if unknown := sorted(options.keys() - names):
        raise UsageError(
            "option", got=", ".join(unknown), expected="one of " + ", ".join(sorted(names))
        )
    return RenderSpec(size=size, model=str(model), **options)


def _size(scale: Scale | None, size: Size | None, fit: Fit) -> SizeRequest:
    """The one request out of both.

    Raises:
        UsageError: none, or two.
    """
    if (scale is None) == (size is None):
        raise UsageError(
            "size", got="neither" if scale is None else "scale and size", expected="one of both"
        )
    if isinstance(scale, tuple):
        return SizeRequest(scale=(Fraction(str(scale[0])), Fraction(str(scale[1]))))
    if scale is not None:
        return SizeRequest.from_scale(str(scale))
    if isinstance(size, str):
        return dataclasses.replace(SizeRequest.from_size(size), fit=fit)
    assert size is not None
    return SizeRequest(size[0], size[1], None, fit)


def _pixels(image: Any) -> tuple[Array, Any]:
    """Pixels (h, w, channels), and what brings a result back to the layout of ``image``."""
    if type(image).__module__.split(".")[0] == "torch":
        array = image.detach().cpu().numpy()
        planes = array[np.newaxis] if array.ndim == 2 else array
        if planes.ndim != 3:
            raise _layout(array.shape, "(h, w) or (channels, h, w)")

        def to_tensor(pixels: Array) -> Any:
            import torch

            contiguous = np.ascontiguousarray(np.moveaxis(pixels, 2, 0))
            return torch.from_numpy(contiguous[0] if array.ndim == 2 else contiguous).to(
                image.device
            )

        return np.ascontiguousarray(np.moveaxis(planes, 0, 2)), to_tensor
    array = np.asarray(image)
    if array.ndim == 2:
        return array[..., np.newaxis], lambda pixels: pixels[..., 0]
    if array.ndim != 3:
        raise _layout(array.shape, "(h, w) or (h, w, channels)")
    return array, lambda pixels: pixels


def _layout(shape: tuple[int, ...], expected: str) -> UsageError:
    return UsageError("image", got=f"shape {shape}", expected=expected)
