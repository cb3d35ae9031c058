"""Weights files of both kinds, and everything that is not one."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from safetensors import safe_open

from liif_cli.errors import CheckpointError
from liif_cli.models import checkpoint
from liif_cli.models.model import Model, ModelSpec, Part

SPEC = ModelSpec(
    encoder=Part("edsr", {"n_resblocks": 1, "n_feats": 4}),
    decoder=Part("liif", {"hidden": [8], "skip": "bilinear"}),
)
CARD = {"name": "tiny", "data": ["none"], "psnr": {"x2": 1.5}}
PUBLISHED_ARGS = {
    "encoder_spec": {
        "name": "edsr-baseline",
        "args": {"n_resblocks": 1, "n_feats": 4, "no_upsampling": True},
    },
    "imnet_spec": {"name": "mlp", "args": {"out_dim": 3, "hidden_list": [8]}},
}


@pytest.fixture
def model() -> Model:
    torch.manual_seed(5)
    return Model(SPEC)


@pytest.fixture
def own(model: Model, tmp_path: Path) -> Path:
    path = tmp_path / "own.safetensors"
    checkpoint.save(model, CARD, path)
    return path


def published(model: Model) -> dict[str, Any]:
    """The checkpoint that the authors' training would write of ``model``."""
    state = {key.removeprefix("decoder."): value for key, value in model.state_dict().items()}
    state["encoder.sub_mean.weight"] = torch.zeros(3, 3, 1, 1)
    state["encoder.add_mean.bias"] = torch.zeros(3)
    optimizer = torch.optim.Adam(model.parameters()).state_dict()
    return {
        "model": {"name": "liif", "args": PUBLISHED_ARGS, "sd": state},
        "optimizer": {"name": "adam", "args": {"lr": 1e-4}, "sd": optimizer},
        "epoch": 1000,
    }


def rewrite(path: Path, state: dict[str, Any] | None = None, **metadata: str) -> None:
    """Change tensors or metadata of a file of ours, with the safetensors library alone."""
    with safe_open(path, framework="pt") as file:
        old = file.metadata()
    tensors = safetensors.torch.load_file(path) if state is None else state
    safetensors.torch.save_file(tensors, path, {**old, **metadata})


def test_own_file_gives_back_spec_card_and_weights(model: Model, own: Path) -> None:
    loaded = checkpoint.load(own)
    assert loaded.spec == SPEC
    assert loaded.card == CARD
    built = loaded.build()
    assert not built.training
    assert built.state_dict().keys() == model.state_dict().keys()
    for key, value in built.state_dict().items():
        assert torch.equal(value, model.state_dict()[key])
        assert not value.requires_grad
    assert not any(parameter.is_meta for parameter in built.parameters())


def test_own_file_is_plain_safetensors(model: Model, own: Path) -> None:
    assert safetensors.torch.load_file(own).keys() == model.state_dict().keys()
    with safe_open(own, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["format"] == "liif"
    assert metadata["version"] == "1"
    assert json.loads(metadata["card"]) == CARD
    assert json.loads(metadata["spec"])["decoder"]["name"] == "liif"


def test_save_replaces_whole_or_leaves(model: Model, own: Path) -> None:
    before = own.read_bytes()
    with pytest.raises(TypeError):
        checkpoint.save(model, {"not": object()}, own)
    assert own.read_bytes() == before
    assert [path.name for path in own.parent.iterdir()] == [own.name]


def test_published_file_becomes_ours(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "epoch-last.pth"
    torch.save(published(model), path)
    loaded = checkpoint.load(path)
    assert loaded.spec.encoder == Part("edsr", {"n_resblocks": 1, "n_feats": 4, "res_scale": 1.0})
    assert loaded.spec.decoder.args == {
        "hidden": [8],
        "local_ensemble": True,
        "feat_unfold": True,
        "cell_decode": True,
    }
    for key, value in loaded.build().state_dict().items():
        assert torch.equal(value, model.state_dict()[key])


@pytest.mark.parametrize(
    ("encoder", "expected"),
    [
        (
            {"name": "edsr-baseline"},
            Part("edsr", {"n_resblocks": 16, "n_feats": 64, "res_scale": 1.0}),
        ),
        ({"name": "edsr"}, Part("edsr", {"n_resblocks": 32, "n_feats": 256, "res_scale": 0.1})),
        ({"name": "rdn"}, Part("rdn", {"channels": 64, "kernel_size": 3, "config": "B"})),
    ],
)
def test_published_defaults(encoder: dict[str, Any], expected: Part, tmp_path: Path) -> None:
    """What an encoder's args leave out; the right network shows in the keys it then expects."""
    path = tmp_path / "empty.pth"
    spec = {**encoder, "args": {"no_upsampling": True}}
    model = {"name": "metasr", "args": {"encoder_spec": spec}, "sd": {}}
    torch.save({"model": model}, path)
    with torch.device("meta"):
        count = len(Model(ModelSpec(encoder=expected, decoder=Part("metasr"))).state_dict())
    with pytest.raises(CheckpointError, match=f"{count} missing"):
        checkpoint.load(path)
    assert checkpoint._load_published(path).spec.encoder == expected


@pytest.mark.parametrize("name", ["weights.bin", "weights.pth", "weights"])
def test_files_are_told_apart_by_content(model: Model, own: Path, name: str) -> None:
    renamed = own.rename(own.with_name(name))
    assert checkpoint.load(renamed).spec == SPEC
    torch.save(published(model), renamed)
    assert checkpoint.load(renamed).spec.decoder.name == "liif"


def test_old_style_pickle_loads(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    torch.save(published(model), path, _use_new_zipfile_serialization=False)
    assert checkpoint.load(path).spec.decoder.args["hidden"] == [8]


# -- what is refused ------------------------------------------------------------------------------


def refused(path: Path, *words: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    for word in (path.name, *words):
        assert word in message


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickle_that_runs_code_is_refused_and_not_run(
    model: Model, tmp_path: Path, zipped: bool
) -> None:
    path, victim = tmp_path / "evil.pth", tmp_path / "victim"
    content = {**published(model), "extra": Payload(victim)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    refused(path, "more than tensors and plain values")
    assert not victim.exists()
    torch.load(path, weights_only=False)
    assert victim.exists(), "the payload does run where code is allowed"


def test_bare_pickle_is_refused(tmp_path: Path) -> None:
    path, victim = tmp_path / "evil.safetensors", tmp_path / "victim"
    path.write_bytes(pickle.dumps(Payload(victim), protocol=2))
    refused(path)
    assert not victim.exists()


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
@pytest.mark.parametrize("kind", ["own", "zip", "pickle"])
def test_truncated_file(model: Model, own: Path, kind: str, share: float) -> None:
    if kind != "own":
        torch.save(published(model), own, _use_new_zipfile_serialization=kind == "zip")
    whole = own.read_bytes()
    own.write_bytes(whole[: int(len(whole) * share)])
    refused(own)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "an empty file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "begins with"),
        (b"hello", "begins"),
    ],
)
def test_foreign_file(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    refused(path, word)


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    refused(tmp_path / "gone.pth", "No such file")
    refused(tmp_path, "directory")


def test_safetensors_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(2)}, path)
    refused(path, "not a checkpoint of liif")


@pytest.mark.parametrize("version", ["3", "17", "1.1", ""])
def test_newer_version(own: Path, version: str) -> None:
    rewrite(own, version=version)
    refused(own, "newer", "update liif")


def test_metadata_that_are_no_json(own: Path) -> None:
    rewrite(own, spec="{")
    refused(own, "damaged")


def test_spec_that_is_none(own: Path) -> None:
    rewrite(own, spec="[1]")
    with pytest.raises(CheckpointError, match="model spec"):
        checkpoint.load(own)


def test_missing_and_extra_keys_are_named(own: Path) -> None:
    state = safetensors.torch.load_file(own)
    state["decoder.imnet.layers.9.weight"] = state.pop("decoder.imnet.layers.2.weight")
    rewrite(own, state)
    refused(own, "1 missing (decoder.imnet.layers.2.weight)", "1 extra", "layers.9.weight")


def test_many_missing_keys_are_counted(own: Path) -> None:
    rewrite(own, {"other": torch.zeros(1)})
    refused(own, "12 missing", "...", "1 extra (other)")


def test_wrong_shape_is_named(own: Path) -> None:
    state = safetensors.torch.load_file(own)
    state["encoder.head.0.bias"] = torch.zeros(5)
    rewrite(own, state)
    refused(own, "encoder.head.0.bias", "(5,)", "(4,)")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"name": "srno"}, "'srno'"),
        ({"args": {}}, "not a published checkpoint"),
        ({"sd": None}, "not a published checkpoint"),
        ({"args": {"encoder_spec": {"name": "swinir", "args": {"no_upsampling": True}}}}, "swinir"),
        ({"args": {"encoder_spec": {"name": "rdn", "args": {}}}}, "upsamples"),
        (
            {"args": {**PUBLISHED_ARGS, "imnet_spec": {"name": "siren", "args": {"out_dim": 3}}}},
            "its decoder 'liif': got not an mlp of 3 outputs, but {'name': 'siren'",
        ),
    ],
)
def test_published_networks_that_are_none_of_ours(
    model: Model, tmp_path: Path, change: dict[str, Any], word: str
) -> None:
    path, content = tmp_path / "model.pth", published(model)
    content["model"].update(change)
    torch.save(content, path)
    refused(path, word)


@pytest.mark.parametrize("content", [{"state_dict": {}}, [1, 2], torch.zeros(3)])
def test_pickle_of_something_else(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "model.pth"
    torch.save(content, path)
    refused(path, "not a published checkpoint")
