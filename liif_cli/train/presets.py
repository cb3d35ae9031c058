"""Training set-ups as data: a few bases, and variants as suffixes of their names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from liif_cli.errors import UsageError
from liif_cli.models.model import ModelSpec, Part
from liif_cli.train.degrade import Degradation

SCHEDULES = ("cosine", "step")


@dataclass(frozen=True)
class Preset(Degradation):
    """A network and its recipe, the degradation of its inputs included.

    Attributes:
        spec: the network.
        crop: side of the LR crop in pixels.
        samples: HR pixels drawn a crop; at most crop * crop.
        batch: crops per iteration.
        iterations: length of the schedule, unless ``time`` or ``epochs`` is above 0.
        epochs: the same in passes over the photos; 0 for none.
        time: the same in seconds of training; 0 for none.
        lr: learning rate at the end of the warm-up.
        lr_end: factor of ``lr`` at the end of the cosine.
        warmup: iterations over which the learning rate rises from 0.
        schedule: "cosine", or "step": times ``step_factor`` after every ``step_every`` of the
            schedule.
        step_every: a part of the schedule, in (0, 1].
        step_factor: in (0, 1].
        clip: largest norm of the gradient; 0 for none.
        ema: decay of the averaged weights, which are the ones saved; 0 for no average.
        scale_min: smallest scale, >= 1; scales are uniform up to ``scale_max``.
        scale_max: largest scale.
        target_min: smallest target side where each photo has its own one (see ``target_max``).
        target_max: 0 for crops at random scales. Else photo k of n, in order of the names, is
            reduced as a whole to a side of target_min + (target_max - target_min) k / (n - 1)
            pixels, and its input to ``crop`` (the size-varied ground truth of LIIF, arXiv
            2012.09161, section 4.2).
        graphics: share of the crops that are of pages of text and graphics instead of photos.
        pages: how many such pages are drawn, where the share is above 0.
    """

    spec: ModelSpec
    crop: int = 48
    samples: int = 2304
    batch: int = 16
    iterations: int = 1_000_000
    epochs: int = 0
    time: float = 0.0
    lr: float = 1e-4
    lr_end: float = 0.0
    warmup: int = 0
    schedule: str = "cosine"
    step_every: float = 0.2
    step_factor: float = 0.5
    clip: float = 1.0
    ema: float = 0.999
    scale_min: float = 1.0
    scale_max: float = 4.0
    target_min: int = 0
    target_max: int = 0
    graphics: float = 0.0
    pages: int = 120

    @property
    def smallest_side(self) -> int:
        """Least height and width in pixels that a photo must have."""
        return self.target_max or int(self.crop * self.scale_max + 0.5)

    def for_photos(self, count: int) -> Preset:
        """The same with ``epochs`` as iterations over ``count`` photos."""
        if not self.epochs:
            return self
        return dataclasses.replace(self, iterations=self.epochs * -(-count // self.batch))

    def to_json(self) -> dict[str, Any]:
        """A plain dict, the network under "spec"."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**values, "spec": self.spec.to_json()}

    def check(self) -> None:
        """Whether the values fit together.

        Raises:
            UsageError: they do not; names the value.
        """
        varied = self.target_max > 0
        lowest, highest = self.crop, self.crop * self.crop
        rules = {
            "crop": (self.crop >= 1, "1 or more"),
            "samples": (1 <= self.samples <= highest, f"1 to crop * crop = {highest}"),
            "batch": (self.batch >= 1, "1 or more"),
            "iterations": (self.iterations >= 1, "1 or more"),
            "epochs": (self.epochs >= 0, "0 or more"),
            "time": (0 <= self.time < float("inf"), "0 or more seconds"),
            "lr": (0 < self.lr < float("inf"), "above 0"),
            "lr_end": (0 <= self.lr_end <= 1, "0 to 1"),
            "warmup": (self.warmup >= 0, "0 or more"),
            "schedule": (self.schedule in SCHEDULES, "one of " + ", ".join(SCHEDULES)),
            "step_every": (0 < self.step_every <= 1, "above 0, 1 at most"),
            "step_factor": (0 < self.step_factor <= 1, "above 0, 1 at most"),
            "clip": (self.clip >= 0, "0 or more"),
            "ema": (0 <= self.ema < 1, "0 to below 1"),
            "scale_min": (self.scale_min >= 1, "1 or more"),
            "scale_max": (
                self.scale_min <= self.scale_max < float("inf"),
                f"scale_min = {self.scale_min:g} or more",
            ),
            "target_min": (not varied or self.target_min >= lowest, f"crop = {lowest} or more"),
            "target_max": (
                not varied or self.target_max >= self.target_min,
                f"target_min = {self.target_min} or more",
            ),
            "graphics": (0 <= self.graphics <= 1, "a share, 0 to 1"),
            "pages": (self.pages >= 1, "1 or more"),
        }
        for name, (holds, expected) in rules.items():
            if not holds:
                raise UsageError(
                    f"recipe value {name}", got=repr(getattr(self, name)), expected=expected
                )
        encoder = self.spec.encoder
        if self.spec.lossy and encoder is not None and encoder.args.get("cleanup"):
            raise UsageError(
                "cleanup",
                got="true, for the network for clean images of a pair",
                expected="one network that is told how lossy an image is, or a pair",
                cure="give --set lossy=false for one network",
            )
        if not 0 <= self.spec.clean_to <= 100:
            raise UsageError("clean_to", got=f"{self.spec.clean_to:g}", expected="0 to 100")
        super().check()
        active = [*self.degrades(pages=self.graphics > 0), *["graphics"] * (self.graphics > 0)]
        if varied and active:
            raise UsageError(
                f"recipe value {active[0]}",
                got=repr(getattr(self, active[0])),
                expected="0 where each photo has its own target size (target_max above 0)",
            )


@dataclass(frozen=True)
class Variant:
    """What a suffix changes: ``decoder`` arguments and ``recipe`` values, in which bases.

    ``lossy``: there is a network for clean images and one for lossy ones.
    """

    recipe: Mapping[str, Any] = field(default_factory=dict)
    decoder: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Base name -> arguments; empty where every base takes the suffix."""
    lossy: bool = False

    def suits(self, base: str) -> bool:
        """Whether the base takes the suffix."""
        return not self.decoder or base in self.decoder

    def apply(self, base: str, preset: Preset) -> Preset:
        """The changed set-up."""
        part = preset.spec.decoder
        changed = Part(part.name, {**part.args, **self.decoder.get(base, {})})
        lossy = preset.spec.lossy or self.lossy
        spec = dataclasses.replace(preset.spec, decoder=changed, lossy=lossy)
        return dataclasses.replace(preset, spec=spec, **self.recipe)


_SMALL = Part("edsr", {"n_resblocks": 8, "n_feats": 32, "res_scale": 1.0})
_DEEPER = Part("edsr", {"n_resblocks": 16, "n_feats": 32, "res_scale": 1.0})
_BASELINE = Part("edsr", {"n_resblocks": 16, "n_feats": 64, "res_scale": 1.0})
_RDN = Part("rdn", {"channels": 64, "config": "B", "kernel_size": 3})
_LIIF = Part("liif", {"hidden": [256, 256, 256, 256]})
_SHORT: dict[str, Any] = {
    "crop": 32,
    "samples": 1024,
    "iterations": 12_000,
    "lr": 2e-3,
    "warmup": 200,
}
_BUDGET: dict[str, Any] = {"iterations": 200_000, "lr": 4e-4, "warmup": 500}
PAPER: dict[str, Any] = {
    "iterations": 1_000_000,
    "lr": 1e-4,
    "warmup": 0,
    "schedule": "step",
    "step_every": 0.2,
    "step_factor": 0.5,
    "clip": 0.0,
    "ema": 0.0,
}
"""The published schedule: Adam at 1e-4, halved every 200 of 1,000 epochs of 1,000 iterations."""
REAL: dict[str, Any] = {
    "graphics": 0.15,
    "clean": 0.25,
    "kernel_area": 0.1,
    "kernel_lanczos": 0.1,
    "kernel_bilinear": 0.05,
    "kernel_nearest": 0.05,
    "blur": 0.25,
    "blur_min": 0.2,
    "blur_max": 0.9,
    "noise": 0.35,
    "noise_min": 0.5,
    "noise_max": 8.0,
    "noise_gray": 0.3,
    "noise_signal": 0.5,
    "jpeg": 0.85,
    "jpeg_min": 30,
    "jpeg_max": 97,
    "jpeg_420": 2 / 3,
    "jpeg_twice": 0.15,
    "page_clean": 0.6,
    "page_area": 0.25,
    "page_lanczos": 0.1,
    "page_bilinear": 0.1,
    "page_nearest": 0.35,
}
"""Inputs as people have them: mostly JPEG, some noisy, some reduced by other means than bicubic."""

BASES: dict[str, Preset] = {
    "edsr-small-liif": Preset(
        ModelSpec(
            encoder=_SMALL,
            decoder=Part("liif", {"hidden": [128, 128, 128], "skip": "bilinear"}),
        ),
        **_SHORT,
    ),
    "edsr-small-lmliif": Preset(
        ModelSpec(encoder=_DEEPER, decoder=Part("lmliif", {"skip": "bilinear"})),
        crop=48,
        samples=2048,
        batch=8,
        iterations=24_000,
        lr=1.5e-3,
        warmup=500,
    ),
    "edsr-small-metasr": Preset(
        ModelSpec(encoder=_SMALL, decoder=Part("metasr", {"skip": "bilinear"})), **_SHORT
    ),
    "edsr-baseline-liif": Preset(ModelSpec(encoder=_BASELINE, decoder=_LIIF), **_BUDGET),
    "edsr-baseline-lmliif": Preset(ModelSpec(encoder=_BASELINE, decoder=Part("lmliif")), **_BUDGET),
    "edsr-baseline-metasr": Preset(ModelSpec(encoder=_BASELINE, decoder=Part("metasr")), **_BUDGET),
    "rdn-liif": Preset(ModelSpec(encoder=_RDN, decoder=_LIIF), **PAPER),
    "rdn-metasr": Preset(ModelSpec(encoder=_RDN, decoder=Part("metasr")), **PAPER),
}

_ABLATED = ("edsr-baseline-liif", "edsr-small-liif", "edsr-small-lmliif")
VARIANTS: dict[str, Variant] = {
    "-no-cell": Variant(decoder={base: {"cell_decode": False} for base in _ABLATED}),
    "-no-unfold": Variant(decoder={base: {"feat_unfold": False} for base in _ABLATED}),
    "-no-ensemble": Variant(decoder={base: {"local_ensemble": False} for base in _ABLATED}),
    "-shallow": Variant(
        decoder={"edsr-baseline-liif": {"hidden": [256]}, "edsr-small-liif": {"hidden": [128]}}
    ),
    **{
        f"-x{scale}": Variant({"scale_min": float(scale), "scale_max": float(scale)})
        for scale in (2, 3, 4)
    },
    "-sizes": Variant(
        {
            "crop": 64,
            "samples": 1024,
            "epochs": 200,
            "target_min": 64,
            "target_max": 128,
            **PAPER,
            "step_every": 0.5,
            "step_factor": 0.1,
        }
    ),
    "-paper": Variant(PAPER),
    "-real": Variant(REAL, {base: {} for base in BASES if base.startswith("edsr-")}, lossy=True),
}
"""Suffix -> what it changes: the paper's ablations (section 4.4), fixed scales, each photo its own
target size, the published schedule, and inputs as people have them. Suffixes may be joined."""


def preset_names() -> list[str]:
    """Every base, and every base with one suffix."""
    return [
        name
        for base in BASES
        for name in (base, *(base + suffix for suffix, v in VARIANTS.items() if v.suits(base)))
    ]


def preset(name: str) -> Preset:
    """The set-up of that name: a base and any suffixes that it takes, applied in order.

    Raises:
        UsageError: there is none.
    """
    for base in sorted(BASES, key=len, reverse=True):
        if name.startswith(base):
            chosen, rest = BASES[base], name.removeprefix(base)
            while rest:
                suffix = next((s for s in VARIANTS if rest.startswith(s)), None)
                if suffix is None or not VARIANTS[suffix].suits(base):
                    break
                chosen, rest = VARIANTS[suffix].apply(base, chosen), rest.removeprefix(suffix)
            if not rest:
                return chosen
    raise UsageError(
        "--preset",
        got=repr(name),
        expected=f"one of {', '.join(BASES)}, with or without {', '.join(VARIANTS)}",
        cure=f"the ablations are for {', '.join(_ABLATED)}; -real is for edsr-*",
    )
