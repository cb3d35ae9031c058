"""A tiny network, small images, and events collected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from liif_cli.engine.events import Event
from liif_cli.models import checkpoint
from liif_cli.models.model import Model, ModelSpec, Part

TINY = ModelSpec(
    encoder=Part("edsr", {"n_resblocks": 2, "n_feats": 8}),
    decoder=Part("liif", {"hidden": [16, 16], "skip": "bilinear"}),
)


@pytest.fixture
def tiny_model() -> Model:
    """A network with random weights that answers within about [-1, 1]."""
    torch.manual_seed(7)
    return Model(TINY).eval().requires_grad_(False)


@pytest.fixture
def large_weights(tmp_path: Path, tiny_model: Model) -> Path:
    """A network whose features are beyond 65,504, which half precision cannot hold."""
    with torch.no_grad():
        for parameter in (tiny_model.encoder.head[0].weight, tiny_model.encoder.body[-1].weight):
            parameter.mul_(1e6)
        tiny_model.encoder.body[-1].bias.mul_(1e6)
        # brought back by the decoder's first layer
        tiny_model.decoder.imnet.layers[0].weight[:, :72].div_(1e6)
    path = tmp_path / "large.safetensors"
    checkpoint.save(tiny_model, {}, path)
    return path


@pytest.fixture
def tiny_weights(tmp_path: Path, tiny_model: Model) -> Path:
    """The same network as a weights file."""
    path = tmp_path / "tiny.safetensors"
    checkpoint.save(tiny_model, {"name": "tiny"}, path)
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A colour PNG of 61 x 47 pixels in a folder of its own."""
    return write_photo(tmp_path / "in" / "photo.png", 47, 61)


def write_photo(path: Path, height: int, width: int, seed: int = 0, mode: str = "RGB") -> Path:
    """Smooth colours with some noise, made by Pillow."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 7, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).convert(mode)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


class Events(list[Event]):
    """A listener that keeps what it hears."""

    def __call__(self, event: Event) -> None:
        self.append(event)

    def of(self, kind: type) -> list[Event]:
        """Events of one kind."""
        return [event for event in self if isinstance(event, kind)]


@pytest.fixture
def events() -> Events:
    return Events()
