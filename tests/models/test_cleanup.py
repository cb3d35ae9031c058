"""Networks that are told how lossy an image is."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from liif_cli.engine.sampling import render_array
from liif_cli.errors import CheckpointError
from liif_cli.models import checkpoint
from liif_cli.models.loader import load_model, model_names
from liif_cli.models.model import Model, ModelSpec, Part, via_model

DECODER = Part("lmliif", {"latent_hidden": [24], "depth": 2, "skip": "bilinear"})
PLAIN = ModelSpec(encoder=Part("edsr", {"n_resblocks": 2, "n_feats": 8}), decoder=DECODER)
TOLD = ModelSpec(
    encoder=Part("edsr", {"n_resblocks": 2, "n_feats": 8, "cleanup": True}), decoder=DECODER
)
PAIR = ModelSpec(encoder=PLAIN.encoder, decoder=DECODER, lossy=True)


def randomised(spec: ModelSpec) -> Model:
    """A network whose answer depends on what it is told: what is told begins at zero."""
    torch.manual_seed(3)
    model = Model(spec).eval().requires_grad_(False)
    for name, value in model.named_parameters():
        if ".told." in name:
            value.copy_(torch.randn_like(value) * 0.3)
    return model


@pytest.fixture
def image() -> torch.Tensor:
    return torch.rand(2, 3, 9, 11, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("level", [0.0, 15.0, 62.5, 100.0])
def test_what_is_told_is_folded_into_the_weights(image: torch.Tensor, level: float) -> None:
    model = randomised(TOLD)
    asked = model.encode(image, torch.full((2,), level))
    folded = model.told(level)
    assert not folded.encoder.takes_cleanup
    torch.testing.assert_close(folded.encode(image), asked, rtol=0, atol=1e-5)
    assert folded.decoder is model.decoder


def test_levels_of_a_batch_are_told_apart(image: torch.Tensor) -> None:
    model = randomised(TOLD)
    both = model.encode(image, torch.tensor([10.0, 80.0]))
    for number, level in enumerate((10.0, 80.0)):
        torch.testing.assert_close(
            both[number : number + 1],
            model.told(level).encode(image[number : number + 1]),
            rtol=0,
            atol=1e-5,
        )
    assert (model.told(10).encode(image) - model.told(80).encode(image)).abs().max() > 0.01


def test_a_pair_has_a_network_for_clean_images_and_one_for_the_others(image: torch.Tensor) -> None:
    model = randomised(PAIR)
    assert model.takes_cleanup
    assert model.told(0) is model
    assert torch.equal(model.told(0).encode(image), model.encode(image))
    level = torch.full((2,), 30.0)
    torch.testing.assert_close(
        model.told(30).encode(image), model.lossy.encode(image, level), rtol=0, atol=1e-5
    )
    assert model.told(30).decoder is model.lossy.decoder


def test_a_pair_may_take_a_little_loss_as_clean() -> None:
    model = randomised(dataclasses.replace(PAIR, clean_to=7))
    assert model.told(0) is model
    assert model.told(7) is model
    assert model.told(7.5) is not model
    assert ModelSpec.from_json(model.spec.to_json()) == model.spec


@pytest.mark.parametrize("name", model_names())
def test_models_that_are_told_nothing_stay_themselves(name: str) -> None:
    model = load_model(name, torch.device("cpu")).model
    if not model.takes_cleanup:
        assert model.told(40) is model


def test_told_networks_are_kept_and_few(image: torch.Tensor) -> None:
    model = randomised(TOLD)
    assert model.told(30) is model.told(30)
    for level in range(1, 40):
        model.told(float(level))
    assert len(model._told) <= 8


def test_told_networks_follow_the_model_to_another_type(image: torch.Tensor) -> None:
    for spec in (TOLD, PAIR):
        model = randomised(spec)
        model.told(30)
        assert model.double().told(30).encode(image.double()).dtype == torch.float64


def test_a_model_that_is_told_something_can_be_copied(image: torch.Tensor) -> None:
    model = randomised(PAIR)
    expected = model.told(30).encode(image)
    assert torch.equal(copy.deepcopy(model).told(30).encode(image), expected)


@pytest.mark.parametrize("spec", [TOLD, PAIR], ids=["told", "pair"])
def test_by_way_of_a_scale_it_is_told_as_well(spec: ModelSpec) -> None:
    model = randomised(spec)
    pixels = torch.randint(0, 256, (8, 9, 3), generator=torch.Generator().manual_seed(2))
    image = pixels.numpy().astype("uint8")
    told = render_array(via_model(model, 2).told(50), image, (20, 23))
    expected = render_array(via_model(model.told(50), 2), image, (20, 23))
    assert (told == expected).all()
    assert abs(told - render_array(via_model(model, 2), image, (20, 23))).max() > 1e-3
    assert via_model(model, 2).parameter_count == model.parameter_count


@pytest.mark.parametrize(
    ("spec", "version"), [(PLAIN, "1"), (TOLD, "2"), (PAIR, "2")], ids=["plain", "told", "pair"]
)
def test_checkpoints_hold_them(
    spec: ModelSpec, version: str, tmp_path: Path, image: torch.Tensor
) -> None:
    model = randomised(spec)
    path = tmp_path / "model.safetensors"
    checkpoint.save(model, {}, path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["version"] == version
    assert ("lossy" in json.loads(metadata["spec"])) == spec.lossy
    found = checkpoint.load(path).build()
    assert found.spec == spec
    # loaded weights are laid out in another way, so that sums are added up in another order
    expected = model.told(70).encode(image)
    torch.testing.assert_close(found.told(70).encode(image), expected, rtol=0, atol=1e-6)


def test_a_pair_without_its_second_half_is_refused(tmp_path: Path) -> None:
    model = randomised(PAIR)
    model.lossy = None
    path = tmp_path / "half.safetensors"
    checkpoint.save(model, {}, path)
    with pytest.raises(CheckpointError, match=r"missing \(lossy\."):
        checkpoint.load(path)


def test_the_published_models_take_nothing() -> None:
    assert not Model(PLAIN).takes_cleanup
    assert not Model(ModelSpec(decoder=Part("bicubic"))).takes_cleanup
    assert not Model(ModelSpec(Part("liif"), Part("rdn", {"config": "A"}))).takes_cleanup
