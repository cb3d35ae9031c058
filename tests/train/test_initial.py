"""Starting from another network's weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from liif_cli.errors import CheckpointError
from liif_cli.geometry.axis import AxisMap
from liif_cli.models.checkpoint import save
from liif_cli.models.loader import LoadedModel, load_model
from liif_cli.models.model import Model, ModelSpec, Part
from liif_cli.train.initial import take_over

ENCODER = {"n_resblocks": 2, "n_feats": 8}
LIIF = Part("liif", {"hidden": [16, 16]})
LMLIIF = Part("lmliif", {"latent_hidden": [24], "depth": 2})


def spec(blocks: int = 2, feats: int = 8, decoder: Part = LIIF) -> ModelSpec:
    return ModelSpec(
        encoder=Part("edsr", {"n_resblocks": blocks, "n_feats": feats}), decoder=decoder
    )


@pytest.fixture
def source(tmp_path: Path) -> LoadedModel:
    torch.manual_seed(1)
    save(Model(spec()), {}, tmp_path / "first.safetensors")
    return load_model(str(tmp_path / "first.safetensors"), torch.device("cpu"))


def test_the_same_network_is_taken_whole(source: LoadedModel) -> None:
    model = Model(spec())
    assert take_over(model, source) == "starting from the weights of first"
    for key, value in source.model.state_dict().items():
        assert torch.equal(value, model.state_dict()[key]), key


def test_a_grown_network_answers_as_before_and_can_learn(source: LoadedModel) -> None:
    model = Model(spec(blocks=5))
    assert "with 3 residual blocks more" in take_over(model, source)
    image = torch.rand(2, 3, 12, 10) * 2 - 1
    # the identity to the last bit
    assert torch.equal(model.encode(image), source.model.encode(image))
    for key, value in source.model.decoder.state_dict().items():
        assert torch.equal(value, model.decoder.state_dict()[key]), key
    model.encode(image).square().mean().backward()
    gradients = {key: value.grad for key, value in model.named_parameters() if "body.4." in key}
    assert gradients["encoder.body.4.body.2.weight"].abs().max() > 0
    assert model.encoder.body[4].body[0].weight.abs().max() > 0


WIDENED = {
    "liif": LIIF,
    "lmliif": LMLIIF,
    "metasr": Part("metasr"),
    "liif, no unfolding": Part("liif", {"hidden": [16], "feat_unfold": False}),
}


@pytest.mark.parametrize("name", WIDENED)
def test_a_widened_network_answers_as_before_and_can_learn(name: str, tmp_path: Path) -> None:
    decoder = WIDENED[name]
    torch.manual_seed(2)
    save(Model(spec(decoder=decoder)), {}, tmp_path / "first.safetensors")
    narrow = load_model(str(tmp_path / "first.safetensors"), torch.device("cpu"))
    model = Model(spec(blocks=3, feats=20, decoder=decoder))
    assert take_over(model, narrow).endswith(
        "of first, with 1 residual blocks more, with 12 channels more"
    )
    image = torch.rand(1, 3, 12, 10) * 2 - 1
    feat = model.encode(image)
    torch.testing.assert_close(feat[:, :8], narrow.model.encode(image), rtol=0, atol=1e-6)
    assert feat[:, 8:].abs().max() > 1e-3
    axes = AxisMap(12, 30).slice(0, 30), AxisMap(10, 25).slice(0, 25)

    def render(of: Model) -> torch.Tensor:
        with torch.no_grad():
            latent = of.decoder.prepare(image, of.encode(image), (0.1, 0.1))
            return of.decoder.query(latent, *axes)

    torch.testing.assert_close(render(model), render(narrow.model), rtol=0, atol=1e-5)
    # what reads the new channels is zero but gets a gradient
    first = model.encoder.body[0].body[2]
    assert first.weight[:8, 8:].abs().max() == 0
    model.encode(image)[:, :8].square().mean().backward()
    assert first.weight.grad[:8, 8:].abs().max() > 0


def test_the_encoder_alone_is_taken_for_another_decoder(source: LoadedModel) -> None:
    model = Model(spec(blocks=3, decoder=LMLIIF))
    before = {key: value.clone() for key, value in model.decoder.state_dict().items()}
    said = take_over(model, source)
    assert said.startswith("starting from the encoder of first, with 1 residual block")
    assert said.endswith("its liif decoder is left")
    image = torch.rand(1, 3, 9, 9)
    assert torch.equal(model.encode(image), source.model.encode(image))
    for key, value in before.items():
        assert torch.equal(value, model.decoder.state_dict()[key]), key


def test_switches_without_a_tensor_are_said(source: LoadedModel, tmp_path: Path) -> None:
    save(
        Model(spec(decoder=Part("liif", {**LIIF.args, "skip": None}))),
        {},
        tmp_path / "a.safetensors",
    )
    plain = load_model(str(tmp_path / "a.safetensors"), torch.device("cpu"))
    model = Model(spec(decoder=Part("liif", {**LIIF.args, "skip": "bilinear"})))
    assert take_over(model, plain).endswith("(skip was None, is bilinear)")


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (spec(feats=4), r"got encoder\.head\.0\.weight 8x3x3x3, expected .* 4x3x3x3"),
        (spec(blocks=1), r"encoder\.body\.1\."),
        (spec(decoder=Part("liif", {"hidden": [16, 16, 16]})), r"decoder\.imnet\.layers\.4"),
        (spec(decoder=Part("liif", {"hidden": [16]})), r"decoder\.imnet\.layers\.2"),
        (ModelSpec(encoder=Part("rdn", {"config": "A"}), decoder=LIIF), r"no encoder\.SFENet1"),
        (ModelSpec(decoder=Part("bicubic")), "interpolation kernel"),
    ],
)
def test_another_misfit_names_its_first_tensor(
    source: LoadedModel, wanted: ModelSpec, words: str
) -> None:
    with torch.device("meta"):
        model = Model(wanted)
    with pytest.raises(CheckpointError, match=words):
        take_over(model, source)


def test_a_try_on_meta_finds_the_same(source: LoadedModel) -> None:
    with torch.device("meta"):
        model = Model(spec(blocks=4))
    assert "2 residual blocks more" in take_over(model, source)


TOLD = {
    "told": dataclasses.replace(spec(), encoder=Part("edsr", {**ENCODER, "cleanup": True})),
    "pair": dataclasses.replace(spec(), lossy=True),
    "deeper pair": dataclasses.replace(spec(blocks=4), lossy=True),
    "wider pair": dataclasses.replace(spec(feats=12), lossy=True),
}


@pytest.mark.parametrize("wanted", TOLD.values(), ids=TOLD.keys())
def test_a_network_that_is_told_the_loss_begins_as_one_that_is_not(
    wanted: ModelSpec, source: LoadedModel
) -> None:
    model = Model(wanted)
    assert "told how lossy an image is" in take_over(model, source)
    image = torch.rand(1, 3, 12, 10) * 2 - 1
    expected = source.model.encode(image)
    for level in (0, 40):
        feat = model.told(level).encode(image)[:, :8]
        torch.testing.assert_close(feat, expected, rtol=0, atol=1e-5)
    for key, value in source.model.decoder.state_dict().items():
        for half in filter(None, (model, model.lossy)):
            part = half.decoder.state_dict()[key]
            assert key.startswith("imnet.layers.0") or torch.equal(value, part), key


def test_a_told_network_grows_with_what_it_is_told(tmp_path: Path) -> None:
    torch.manual_seed(5)
    small = Model(TOLD["pair"])
    for name, value in small.named_parameters():
        if ".told." in name:
            value.data.normal_(0, 0.2)
    save(small, {}, tmp_path / "small.safetensors")
    loaded = load_model(str(tmp_path / "small.safetensors"), torch.device("cpu"))
    model = Model(dataclasses.replace(spec(blocks=3, feats=12), lossy=True))
    take_over(model, loaded)
    image = torch.rand(1, 3, 12, 10) * 2 - 1
    for level in (0, 40):
        torch.testing.assert_close(
            model.told(level).encode(image)[:, :8],
            loaded.model.told(level).encode(image),
            rtol=0,
            atol=1e-5,
        )


def test_a_plain_network_takes_the_half_for_clean_images(tmp_path: Path) -> None:
    pair = Model(TOLD["pair"])
    save(pair, {}, tmp_path / "pair.safetensors")
    loaded = load_model(str(tmp_path / "pair.safetensors"), torch.device("cpu"))
    model = Model(spec())
    assert take_over(model, loaded) == "starting from the weights of pair"
    image = torch.rand(1, 3, 12, 10) * 2 - 1
    assert torch.equal(model.encode(image), pair.encode(image))


def test_a_pair_takes_the_encoder_of_another_decoder(source: LoadedModel) -> None:
    model = Model(dataclasses.replace(spec(decoder=LMLIIF), lossy=True))
    assert "its liif decoder is left" in take_over(model, source)
    image = torch.rand(1, 3, 12, 10) * 2 - 1
    for level in (0, 40):
        torch.testing.assert_close(
            model.told(level).encode(image), source.model.encode(image), rtol=0, atol=1e-5
        )
