"""Training set-ups as data. Every value can be overridden."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from liif_cli.errors import UsageError
from liif_cli.models.model import ModelSpec, Part


@dataclass(frozen=True)
class Preset:
    """A network and its recipe.

    ``crop`` is the LR crop's side in pixels, ``samples`` the HR pixels drawn a crop, ``batch`` the
    crops an iteration; scales are uniform in [scale_min, scale_max]. The learning rate rises over
    ``warmup`` iterations to ``lr`` and falls on a cosine to ``lr * lr_end`` at the end;
    ``ema`` is the decay of the averaged weights, which are the ones saved.
    """

    spec: ModelSpec
    crop: int = 48
    samples: int = 2304
    batch: int = 16
    iterations: int = 1_000_000
    lr: float = 1e-4
    lr_end: float = 0.0
    warmup: int = 0
    ema: float = 0.999
    scale_min: float = 1.0
    scale_max: float = 4.0

    def override(self, values: Mapping[str, Any]) -> Preset:
        """The same set-up with some recipe values replaced.

        Raises:
            UsageError: a name that no preset value has.
        """
        known = {entry.name for entry in dataclasses.fields(self)} - {"spec"}
        for name in values:
            if name not in known:
                raise UsageError(
                    "preset override", got=repr(name), expected="one of " + ", ".join(sorted(known))
                )
        return dataclasses.replace(self, **values)


_SMALL = Part("edsr", {"n_resblocks": 8, "n_feats": 32, "res_scale": 1.0})

PRESETS: dict[str, Preset] = {
    "edsr-small-liif": Preset(
        ModelSpec(
            encoder=_SMALL,
            decoder=Part("liif", {"hidden": [128, 128, 128], "skip": "bilinear"}),
        ),
        crop=32,
        samples=1024,
        iterations=12_000,
        lr=2e-3,
        warmup=200,
    ),
    "edsr-small-lmliif": Preset(
        ModelSpec(encoder=_SMALL, decoder=Part("lmliif", {"skip": "bilinear"})),
        crop=32,
        samples=1024,
        iterations=12_000,
        lr=2e-3,
        warmup=200,
    ),
    "edsr-small-metasr": Preset(
        ModelSpec(encoder=_SMALL, decoder=Part("metasr", {"skip": "bilinear"})),
        crop=32,
        samples=1024,
        iterations=12_000,
        lr=2e-3,
        warmup=200,
    ),
    "edsr-baseline-lmliif": Preset(
        ModelSpec(
            encoder=Part("edsr", {"n_resblocks": 16, "n_feats": 64, "res_scale": 1.0}),
            decoder=Part("lmliif", {}),
        ),
    ),
    "edsr-baseline-liif": Preset(
        ModelSpec(
            encoder=Part("edsr", {"n_resblocks": 16, "n_feats": 64, "res_scale": 1.0}),
            decoder=Part("liif", {"hidden": [256, 256, 256, 256]}),
        ),
    ),
}


def preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in PRESETS:
        raise UsageError("--preset", got=repr(name), expected="one of " + ", ".join(PRESETS))
    return PRESETS[name]
