"""Names and paths -> networks and digests."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from liif_cli.errors import CheckpointError, UsageError
from liif_cli.models import checkpoint, loader
from liif_cli.models.model import Model, ModelSpec, Part

CPU = torch.device("cpu")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(5)
    spec = ModelSpec(
        encoder=Part("edsr", {"n_resblocks": 1, "n_feats": 4}),
        decoder=Part("liif", {"hidden": [8]}),
    )
    path = tmp_path / "tiny.safetensors"
    checkpoint.save(Model(spec), {"name": "tiny"}, path)
    return path


def test_path_gives_a_network_ready_to_render(weights: Path) -> None:
    loaded = loader.load_model(str(weights), CPU)
    assert (loaded.name, loaded.card) == ("tiny", {"name": "tiny"})
    assert loaded.digest == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert not loaded.model.training
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    kernel = loaded.model.get_parameter("encoder.head.0.weight")
    assert kernel.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", loader.KERNELS)
def test_kernels_need_no_file(name: str) -> None:
    loaded = loader.load_model(name, CPU)
    assert loaded.name == name
    assert loaded.model.parameter_count == 0
    assert loaded.model.encoder is None
    assert loaded.digest == loader.model_digest(name)


def test_digests_differ(weights: Path) -> None:
    digests = {loader.model_digest(name) for name in (*loader.KERNELS, str(weights))}
    before = loader.model_digest(str(weights))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert len(digests) == 3
    assert loader.model_digest(str(weights)) not in digests
    assert before in digests


def test_shipped_models_are_names(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "WEIGHTS", weights.parent)
    assert loader.shipped() == {"tiny": weights}
    assert loader.model_names() == ["tiny", "bicubic", "nearest"]
    assert loader.load_model("tiny", CPU).digest == loader.model_digest(str(weights))


def test_every_shipped_model_loads() -> None:
    for name, path in loader.shipped().items():
        loaded = loader.load_model(name, CPU)
        assert loaded.name == name == path.stem
        assert loaded.card


@pytest.mark.parametrize("name", ["bicubik", "nowhere/model.safetensors", ""])
def test_unknown_model_lists_the_names(name: str) -> None:
    for call in (loader.model_digest, lambda name: loader.load_model(name, CPU)):
        with pytest.raises(UsageError, match="bicubic, nearest") as caught:
            call(name)
        assert "\n" not in str(caught.value)


def test_file_that_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(b"\x89PNG")
    with pytest.raises(CheckpointError, match=r"photo\.png"):
        loader.load_model(str(path), CPU)


def test_digest_needs_no_torch(weights: Path) -> None:
    code = (
        "import sys; from liif_cli.models.loader import model_digest, model_names;"
        "print(model_digest(sys.argv[1]), model_digest('bicubic'), 'torch' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(weights)], capture_output=True, text=True, check=True
    )
    own, kernel, imported = result.stdout.split()
    assert own == loader.model_digest(str(weights))
    assert kernel == loader.model_digest("bicubic")
    assert imported == "False"


@pytest.mark.parametrize(
    ("card", "largest"),
    [
        ({}, 4.0),
        ({"recipe": {"scale_max": 8.0}}, 8.0),
        ({"recipe": {"scale_max": 2}}, 2.0),
        ({"recipe": {"scale_max": "8"}}, 4.0),
        ({"recipe": {"scale_max": 0}}, 4.0),
        ({"recipe": "the paper's"}, 4.0),
    ],
)
def test_largest_trained_scale_is_the_cards(card: dict[str, object], largest: float) -> None:
    model = loader.load_model("nearest", CPU).model
    assert loader.LoadedModel(model, "m", "0", card).largest_scale == largest


def test_quality_is_a_name_for_a_model_that_comes_with_it() -> None:
    assert set(loader.ALIASES.values()) <= set(loader.shipped())
    assert loader.model_digest("quality") == loader.model_digest(loader.ALIASES["quality"])
    loaded = loader.load_model("quality", torch.device("cpu"))
    assert loaded.name == loader.ALIASES["quality"]
