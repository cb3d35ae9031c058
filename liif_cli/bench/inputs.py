"""Inputs as people have them: the LR of a bench degraded by a stated recipe, the same on every run.

A recipe is a name, or several joined by ``+`` in the order in which they happen: ``jpeg85``,
``noise5+jpeg85-420``, ``blur+area``. A blur of the HR and the kernel that reduces it come first;
noise and files come after. docs/bench.md lists the names.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import imagecodecs
import numpy as np
import numpy.typing as npt

from liif_cli.bench.data import read_lr
from liif_cli.bench.interpolation import interpolate
from liif_cli.bench.metrics import is_gray
from liif_cli.bench.protocol import Pair, reduce
from liif_cli.bench.results import CLEAN
from liif_cli.errors import UsageError

Image8 = npt.NDArray[np.uint8]

VERSION = 1
"""Of the recipes: counted up when a name comes to mean other pixels, so that no score is mixed."""

BLUR = 2.0
"""Deviation of ``blur`` without a number, in HR pixels."""
MOST_BLUR, MOST_NOISE = 32.0, 128.0

KERNELS = {
    "area": "the mean of the area that a pixel covers",
    "bilinear": "an antialiased triangle, as Pillow's",
    "lanczos": "antialiased Lanczos-3, as Pillow's",
    "nearest": "the nearest HR pixel",
}
"""Kernels that reduce the HR in the place of bicubic."""
FILES = {"jpeg": "JPEG", "webp": "lossy WebP", "avif": "AVIF"}
GRAMMAR = (CLEAN, "jpegQ", "jpegQ-420", "webpQ", "avifQ", "noiseS", "blur", "blurS", *KERNELS)

_STEP = re.compile(r"([a-z]+?)(\d+(?:\.\d+)?)?(-420)?")


@dataclass(frozen=True)
class Step:
    """Something that happens to an LR image: ``kind`` is "noise" or one of ``FILES``.

    Attributes:
        kind: which.
        value: deviation in 8-bit levels, or quality.
        halved: whether the file keeps chroma at half the size.
    """

    kind: str
    value: float
    halved: bool = False

    @property
    def label(self) -> str:
        """What a reader sees."""
        if self.kind == "noise":
            return f"gaussian noise of {self.value:g} levels"
        sampling = {"jpeg": ", 4:2:0" if self.halved else ", 4:4:4"}.get(self.kind, "")
        return f"{FILES[self.kind]} of quality {self.value:g}{sampling}"


@dataclass(frozen=True)
class Recipe:
    """What an LR image went through.

    Attributes:
        name: as it is written, each number in its shortest form.
        blur: deviation of the gaussian that blurs the HR, in HR pixels; 0 for none.
        kernel: one of ``KERNELS``; "" is the protocol's bicubic.
        steps: what happens to the LR after that.
    """

    name: str
    blur: float = 0.0
    kernel: str = ""
    steps: tuple[Step, ...] = ()

    @property
    def label(self) -> str:
        """What a reader sees."""
        parts = [f"HR blurred by a gaussian of {self.blur:g} px"] if self.blur else []
        parts += [f"reduced by {KERNELS[self.kernel]}"] if self.kernel else []
        parts += [step.label for step in self.steps]
        return ", then ".join(parts) or "as the protocol makes it"

    @property
    def reduces(self) -> bool:
        """Whether the LR is made from the HR by other means than the protocol's."""
        return bool(self.blur or self.kernel)


def parse_inputs(names: Sequence[str]) -> list[Recipe]:
    """The recipes behind ``--inputs``, each once.

    Raises:
        UsageError: a name that nothing has, a number out of range, or steps in an impossible order.
    """
    if not names:
        raise UsageError("--inputs", got="none", expected="names, as clean,jpeg85")
    return list({recipe.name: recipe for recipe in map(parse_input, names)}.values())


def parse_input(text: str) -> Recipe:
    """One recipe of the grammar in the module's docstring.

    Raises:
        UsageError: see ``parse_inputs``.
    """
    blur, kernel, steps, names = 0.0, "", list[Step](), list[str]()
    parts = text.strip().lower().split("+")
    for part in parts:
        kind, value, halved = _split(part, text)
        if kind == CLEAN:
            if len(parts) > 1:
                raise _wrong(text, f"{CLEAN} alone, or a recipe without it")
        elif kind in ("blur", *KERNELS):
            if steps or kernel or (blur and kind == "blur"):
                raise _wrong(text, "first a blur, then one kernel, then noise and files")
            blur, kernel = (value, kernel) if kind == "blur" else (blur, kind)
        else:
            steps.append(Step(kind, value, halved))
        names.append(_written(kind, value, halved))
    return Recipe("+".join(names), blur, kernel, tuple(steps))


def _split(part: str, text: str) -> tuple[str, float, bool]:
    """Kind, number (0 without one) and whether chroma is halved, checked."""
    match = _STEP.fullmatch(part)
    kind, number, halved = match.groups() if match else ("", None, None)
    if kind not in (CLEAN, "blur", "noise", *KERNELS, *FILES) or (halved and kind != "jpeg"):
        raise _unknown(part, text)
    value = float(number) if number else BLUR if kind == "blur" else 0.0
    if kind in FILES:
        if not number or not value.is_integer() or not 1 <= value <= 100:
            raise _wrong(text, f"{kind} with a quality of 1 to 100, as {kind}85")
    elif kind in ("blur", "noise"):
        most = MOST_BLUR if kind == "blur" else MOST_NOISE
        unit = "HR pixels" if kind == "blur" else "levels of 255"
        if not 0 < value <= most:
            raise _wrong(text, f"{kind} with a deviation above 0, up to {most:g} {unit}")
    elif number:
        raise _unknown(part, text)
    return kind, value, bool(halved)


def _written(kind: str, value: float, halved: bool) -> str:
    number = "" if not value or (kind, value) == ("blur", BLUR) else f"{value:g}"
    return f"{kind}{number}{'-420' if halved else ''}"


def _wrong(text: str, expected: str) -> UsageError:
    return UsageError("--inputs", got=repr(text), expected=expected)


def _unknown(part: str, text: str) -> UsageError:
    number = next(iter(re.findall(r"\d+(?:\.\d+)?", part)), "85")
    known = [re.sub("[QS]", number, name) for name in GRAMMAR]
    near = difflib.get_close_matches(part, known, n=1)
    return UsageError(
        "unknown input",
        got=repr(text),
        expected="one of " + ", ".join(GRAMMAR) + ", or several joined by +",
        cure=f"did you mean {near[0]!r}?" if near else "",
    )


def describe(name: str) -> str:
    """What a reader sees of a recipe's name; the name itself where it is not one of a recipe."""
    try:
        return parse_input(name).label
    except UsageError:
        return name


def degrade(pair: Pair, recipe: Recipe, image: str, scale: float) -> Pair:
    """A pair whose LR went through a recipe; its HR is the same.

    Noise is drawn from a seed of the image's name, the scale and the step's place. A file is read
    as the program reads it, and its level of loss is what the program finds in it; without one as
    the last step it is 0, since a lossless file says nothing.

    Args:
        pair: what the protocol gives.
        recipe: what happens to its LR.
        image: name of the image.
        scale: of the magnification.
    """
    lr = pair.lr
    if recipe.reduces:
        lr = _reduced(_blurred(pair.hr, recipe.blur), lr.shape[:2], recipe.kernel, scale)
    cleanup = 0.0 if recipe.reduces or recipe.steps else pair.cleanup
    for number, step in enumerate(recipe.steps):
        if step.kind == "noise":
            lr, cleanup = _noisy(lr, step.value, f"{image} x{scale:g} {number}"), 0.0
        else:
            lr, cleanup = _through_file(lr, step)
    return Pair(lr, pair.hr, cleanup)


def _blurred(hr: Image8, sigma: float) -> Image8:
    """Three deviations wide on either side, the border mirrored, 8 bit."""
    if not sigma:
        return hr
    # of 8-bit images OpenCV computes this in whole numbers, the same on every machine
    blurred: Image8 = cv2.GaussianBlur(hr, (0, 0), sigma).astype(np.uint8, copy=False)
    return blurred


def _reduced(hr: Image8, shape: tuple[int, ...], kernel: str, scale: float) -> Image8:
    height, width = shape
    if not kernel:
        return reduce(hr, (height, width), scale)
    if kernel in ("area", "nearest"):
        way = cv2.INTER_AREA if kernel == "area" else cv2.INTER_NEAREST_EXACT
        return cv2.resize(hr, (width, height), interpolation=way).astype(np.uint8, copy=False)
    colours = interpolate(hr.astype(np.float32), (height, width), kernel)
    return _to_8_bit(colours)


def _noisy(lr: Image8, sigma: float, seed: str) -> Image8:
    """Independent of pixel and channel; the same in all channels of an image without colour."""
    digest = hashlib.sha256(seed.encode("utf-8", errors="surrogateescape")).digest()
    rng = np.random.default_rng(int.from_bytes(digest))
    noise = rng.standard_normal((*lr.shape[:2], 1 if is_gray(lr) else 3))
    return _to_8_bit(lr + sigma * noise)


def _to_8_bit(values: npt.NDArray[np.floating]) -> Image8:
    pixels: Image8 = np.rint(np.clip(values, 0, 255)).astype(np.uint8)
    return pixels


def encode(lr: Image8, step: Step) -> bytes:
    """The file of an LR image (h, w, 3): libjpeg with the standard tables, libwebp or libavif."""
    lr, quality = np.ascontiguousarray(lr), int(step.value)
    encoders: dict[str, Callable[[], bytes | bytearray]] = {
        "jpeg": lambda: imagecodecs.jpeg8_encode(
            lr, level=quality, subsampling="420" if step.halved else "444"
        ),
        "webp": lambda: imagecodecs.webp_encode(lr, level=quality, lossless=False),
        # one thread: how the work is shared out may change the bytes
        "avif": lambda: imagecodecs.avif_encode(
            lr, level=quality, speed=6, pixelformat="444", numthreads=1
        ),
    }
    return bytes(encoders[step.kind]())


def _through_file(lr: Image8, step: Step) -> tuple[Image8, float]:
    """Pixels and level of loss that the program finds in the file of ``encode``."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"lr.{step.kind}"
        path.write_bytes(encode(lr, step))
        return read_lr(path)
