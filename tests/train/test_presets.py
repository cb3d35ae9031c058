"""Set-ups as data, and values out of what was typed."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from liif_cli.errors import UsageError
from liif_cli.models.model import Model
from liif_cli.train.overrides import override
from liif_cli.train.presets import BASES, REAL, VARIANTS, Preset, preset, preset_names
from liif_cli.train.schedule import Schedule


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_builds_its_network(name: str) -> None:
    found = preset(name)
    found.check()
    with torch.device("meta"):
        assert Model(found.spec).parameter_count > 100_000


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("no-cell", {"cell_decode": False}),
        ("no-unfold", {"feat_unfold": False}),
        ("no-ensemble", {"local_ensemble": False}),
        ("shallow", {"hidden": [256]}),
    ],
)
def test_an_ablation_changes_its_switch_alone(name: str, change: dict[str, object]) -> None:
    base, ablated = preset("edsr-baseline-liif"), preset(f"edsr-baseline-liif-{name}")
    assert ablated.spec.encoder == base.spec.encoder
    assert ablated.spec.decoder.args == {**base.spec.decoder.args, **change}
    assert dataclasses.replace(ablated, spec=base.spec) == base


def test_the_networks_are_the_papers() -> None:
    """Parameters of the published models: EDSR-baseline 1.22 M and RDN-B 21.97 M with decoders."""
    with torch.device("meta"):
        counts = {
            name: Model(BASES[name].spec).parameter_count
            for name in ("edsr-baseline-liif", "rdn-liif", "edsr-baseline-metasr")
        }
    encoder = 64 * 3 * 9 + 64 + 33 * (64 * 64 * 9 + 64)
    imnet = 580 * 256 + 256 + 3 * (256 * 256 + 256) + 256 * 3 + 3
    assert counts["edsr-baseline-liif"] == encoder + imnet
    assert counts["edsr-baseline-metasr"] == encoder + 4 * 256 + 257 * 64 * 27
    assert counts["rdn-liif"] - imnet == pytest.approx(21.97e6, rel=1e-3)


def test_suffixes_join() -> None:
    joined = preset("edsr-small-liif-no-cell-x3")
    assert joined.spec == preset("edsr-small-liif-no-cell").spec
    assert (joined.scale_min, joined.scale_max) == (3.0, 3.0)
    published = preset("edsr-baseline-liif-paper")
    rates = [Schedule(published).learning_rate(k) for k in (0, 199_999, 200_000, 600_000, 999_999)]
    assert rates == [1e-4, 1e-4, 5e-5, 1.25e-5, 6.25e-6]
    faces = Schedule(preset("edsr-baseline-liif-sizes").for_photos(1600))
    assert faces.preset.iterations == 200 * 100
    assert [faces.learning_rate(k) for k in (0, 9_999, 10_000)] == pytest.approx([1e-4, 1e-4, 1e-5])


@pytest.mark.parametrize("name", ["none", "rdn-liif-no-cell", "edsr-small-liif-x5", "rdn-liifx2"])
def test_an_unknown_preset_lists_the_known(name: str) -> None:
    with pytest.raises(UsageError, match=r"edsr-small-lmliif.*-no-ensemble.*-x4") as caught:
        preset(name)
    assert repr(name) in str(caught.value)
    assert all(base in str(caught.value) for base in (*BASES, *VARIANTS))


def test_inputs_as_people_have_them_are_for_a_pair_of_networks() -> None:
    real = preset("edsr-small-lmliif-real")
    assert real.spec.lossy
    assert real.graphics > 0
    assert not preset("edsr-small-lmliif").spec.lossy
    assert preset("edsr-small-liif-real-no-cell").spec.lossy
    one = override(real, {"lossy": "no", "cleanup": "yes"}).spec
    assert not one.lossy
    assert one.encoder is not None
    assert one.encoder.args["cleanup"] is True


def test_values_take_the_form_of_what_they_replace() -> None:
    texts = {"lr": "1e-3", "batch": "8", "scale_max": "3", "schedule": "step"}
    network = {"n_resblocks": "12", "hidden": "64,32", "skip": "none", "feat_unfold": "no"}
    found = override(preset("edsr-small-liif"), {**texts, **network})
    assert (found.lr, found.batch, found.scale_max, found.schedule) == (1e-3, 8, 3.0, "step")
    assert isinstance(found.scale_max, float)
    assert found.spec.encoder is not None
    assert found.spec.encoder.args == {"n_resblocks": 12, "n_feats": 32, "res_scale": 1.0}
    expected = {"hidden": [64, 32], "skip": None, "feat_unfold": False}
    assert found.spec.decoder.args == expected
    # an argument that the preset leaves at its default
    narrow = override(preset("edsr-small-lmliif"), {"width": "8", "depth": "3"})
    assert narrow.spec.decoder.args == {"skip": "bilinear", "width": 8, "depth": 3}
    assert override(preset("rdn-liif"), {"config": "A"}).spec.encoder.args["config"] == "A"


def test_an_unknown_value_lists_the_known() -> None:
    with pytest.raises(UsageError, match=r"'bacth'.*batch.*n_resblocks.*feat_unfold"):
        override(preset("edsr-small-liif"), {"bacth": "4"})
    with pytest.raises(UsageError, match="'channels'"):
        override(preset("edsr-small-liif"), {"channels": "4"})


@pytest.mark.parametrize(
    "text",
    [
        "crop=0 samples=2000 batch=0 iterations=0 epochs=-1 time=-1 time=inf lr=0 lr=nan lr_end=2",
        "warmup=-1 schedule=linear step_every=0 step_factor=2 clip=-1 ema=1 ema=nan scale_min=0.5",
        "scale_max=0.5 n_resblocks=-1 n_feats=0 hidden=0 config=C depth=x",
    ],
)
def test_values_that_mean_nothing_are_refused(text: str) -> None:
    for assignment in text.split():
        name, _, value = assignment.partition("=")
        with pytest.raises(UsageError):
            override(preset("edsr-small-liif"), {name: value})


def test_a_recipe_of_degradation_is_refused_by_the_name_of_the_value() -> None:
    real = preset("edsr-small-lmliif-real")
    real.check()
    wrong = {
        "clean": "1.1",
        "page_clean": "-0.1",
        "kernel_area": "nan",
        "blur": "2",
        "blur_min": "-1",
        "blur_max": "0.1",
        "noise_gray": "1.5",
        "noise_max": "300",
        "jpeg_min": "0",
        "jpeg_max": "101",
        "jpeg_twice": "-1",
        "graphics": "7",
    }
    for name, text in wrong.items():
        with pytest.raises(UsageError, match=rf"recipe value {name}: got .*expected"):
            override(real, {name: text})
    with pytest.raises(UsageError, match=r"jpeg_max.*got 40.*jpeg_min = 60 to 100"):
        override(real, {"jpeg_min": "60", "jpeg_max": "40"})
    with pytest.raises(UsageError, match=r"kernel_area \+ kernel_lanczos .*got 1\.1"):
        override(real, {"kernel_area": "0.9"})
    with pytest.raises(UsageError, match=r"page_nearest: got 1\.25, expected 1 at most"):
        override(real, {"page_nearest": "0.8"})
    with pytest.raises(UsageError, match=r"--set jpeg_min.*a whole number"):
        override(real, {"jpeg_min": "30.5"})


def test_varied_sizes_take_no_degradation() -> None:
    faces = preset("edsr-small-liif-sizes")
    for name in ("jpeg", "kernel_nearest", "graphics"):
        with pytest.raises(UsageError, match=rf"recipe value {name}: got 0\.5.*target_max"):
            override(faces, {name: "0.5"})
    with pytest.raises(UsageError, match="target_max"):
        preset("edsr-small-liif-real-sizes").check()


def test_real_inputs_change_the_inputs_and_make_a_pair() -> None:
    base, real = preset("edsr-baseline-lmliif"), preset("edsr-baseline-lmliif-real")
    spec = dataclasses.replace(base.spec, lossy=True)
    assert dataclasses.replace(base, spec=spec, **REAL) == real
    assert not base.degrades(pages=True)
    assert real.degrades(pages=False) == [
        "kernel_area",
        "kernel_lanczos",
        "kernel_bilinear",
        "kernel_nearest",
        "blur",
        "noise",
        "jpeg",
    ]
    with pytest.raises(UsageError, match="-real is for"):
        preset("rdn-liif-real")


def test_what_counts_as_clean_is_a_level() -> None:
    real = preset("edsr-small-lmliif-real")
    assert override(real, {"clean_to": "7"}).spec.clean_to == 7
    for text in ("-1", "101", "nan"):
        with pytest.raises(UsageError, match=r"clean_to.*expected 0 to 100"):
            override(real, {"clean_to": text})


def test_varied_sizes_are_checked() -> None:
    faces: Preset = preset("edsr-small-liif-sizes")
    with pytest.raises(UsageError, match="target_min"):
        override(faces, {"target_min": "32"})
    with pytest.raises(UsageError, match="target_max"):
        override(faces, {"target_max": "63"})
