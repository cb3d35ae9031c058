"""Names become methods; interpolation, via4, clamped, ensemble and SIREN give what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from liif_cli.bench import siren
from liif_cli.bench.imresize import imresize
from liif_cli.bench.interpolation import interpolate
from liif_cli.bench.methods import Choice, load_methods, parse_choices
from liif_cli.bench.timed import Place, render_timed
from liif_cli.engine.sampling import render_array
from liif_cli.errors import UsageError
from liif_cli.models.loader import load_model, shipped
from tests.conformance.published import GOLDEN, formula_image

LR = formula_image(20, 26)
PLACE = Place(torch.device("cpu"), 1)
MODEL = "edsr-small-lmliif"


def test_defaults_are_the_shipped_models_and_bicubic() -> None:
    choices, left_out = parse_choices(None)
    assert choices == [*(Choice(name) for name in shipped()), Choice("bicubic")]
    assert left_out == []


def test_decoders_stand_for_their_models() -> None:
    choices, _ = parse_choices(["lmliif@ensemble", "lmliif", MODEL], ["liif"])
    assert Choice(MODEL, "ensemble") in choices
    assert choices.count(Choice(MODEL)) == 1
    assert Choice("edsr-small-liif") in choices


def test_files_and_equal_names() -> None:
    path = str(GOLDEN / "metasr-x2.pth")
    methods = load_methods(parse_choices([path, f"{path}@via4"])[0], PLACE)
    assert [method.info.name for method in methods] == ["metasr-x2", "metasr-x2@via4"]
    assert methods[0].info.digest != methods[1].info.digest
    assert methods[0].info.parameters > 0
    with pytest.raises(UsageError, match="unknown method"):
        parse_choices(["no-such-file.pth"])


@pytest.mark.parametrize("ensemble", [False, True])
def test_the_timed_renderer_gives_what_the_engine_gives(
    ensemble: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(MODEL, torch.device("cpu")).model
    expected = render_array(model, LR, (74, 101), self_ensemble=ensemble)
    timed = render_timed(model, LR, (74, 101), PLACE, self_ensemble=ensemble)
    np.testing.assert_allclose(timed.colours, expected, rtol=0, atol=1e-5)
    assert timed.encode_seconds > 0
    assert timed.decode_seconds > 0
    # windows with their halo, as images larger than one window have
    monkeypatch.setattr("liif_cli.bench.timed.LR_WINDOW", 14)
    tiled = render_timed(model, LR, (74, 101), PLACE, self_ensemble=ensemble)
    np.testing.assert_allclose(tiled.colours, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("kernel", "filter"),
    [("bilinear", Image.Resampling.BILINEAR), ("lanczos", Image.Resampling.LANCZOS)],
)
@pytest.mark.parametrize("shape", [(53, 91), (9, 11)])
def test_interpolation_is_pillows(
    kernel: str, filter: Image.Resampling, shape: tuple[int, int]
) -> None:
    image = LR.astype(np.float32) / 255
    ours = interpolate(image, shape, kernel)
    for channel in range(3):
        pillow = Image.fromarray(image[..., channel]).resize(shape[::-1], filter)
        np.testing.assert_allclose(ours[..., channel], np.asarray(pillow), rtol=0, atol=2e-6)


def test_via4_is_lanczos_of_x4() -> None:
    plain, via = load_methods([Choice(MODEL), Choice(MODEL, "via4")], PLACE)
    middle = plain.run(LR, (80, 104), "div2k").colours
    expected = interpolate(np.clip(middle, 0, 1), (240, 312), "lanczos")
    ours = via.run(LR, (240, 312), "div2k").colours
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-6)


def test_clamped_tells_the_pixel_size_of_the_largest_trained_scale() -> None:
    plain, clamped = load_methods([Choice(MODEL), Choice(MODEL, "clamped")], PLACE)
    model = load_model(MODEL, torch.device("cpu"))
    # x6 by 5.5, where a factor of both axes could not do it
    shape = (120, 143)
    expected = render_array(model.model, LR, shape, cell=f"clamped:{model.largest_scale:g}")
    ours = clamped.run(LR, shape, "div2k").colours
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-6)
    assert np.abs(ours - plain.run(LR, shape, "div2k").colours).max() > 1e-4
    # at scales that it was trained at there is nothing to clamp
    for run in ((40, 52), (80, 104)):
        np.testing.assert_array_equal(
            clamped.run(LR, run, "div2k").colours, plain.run(LR, run, "div2k").colours
        )


def test_a_fixed_pixel_size_is_not_a_matter_of_cells() -> None:
    choices = [Choice(MODEL, variant) for variant in ("", "ensemble", "clamped", "via4")]
    methods = load_methods(choices, PLACE)
    assert [method.uses_cell for method in methods] == [True, True, False, False]
    assert len({method.info.digest for method in methods}) == 4


def test_bicubic_is_matlabs_where_luma_is_measured() -> None:
    bicubic = load_methods([Choice("bicubic")], PLACE)[0]
    lr = LR // 2 + 64  # nothing overshoots 8 bit
    luma = bicubic.run(lr, (60, 78), "benchmark").colours
    np.testing.assert_array_equal(luma, imresize(lr, (60, 78)).astype(np.float32) / 255)
    rgb = bicubic.run(lr, (60, 78), "div2k").colours
    # neither rounded nor clamped, and the same inside
    inside = (slice(9, -9), slice(9, -9))
    assert np.abs(rgb - luma)[inside].max() <= 1.6 / 255
    assert (rgb * 255 != np.rint(rgb * 255)).mean() > 0.5


def test_siren_fits_and_is_the_same_each_time() -> None:
    torch.set_num_threads(1)
    smooth = np.zeros((16, 20, 3), np.uint8)
    smooth[:] = np.linspace(20, 230, 20)[None, :, None]
    network = siren.fit(smooth, torch.device("cpu"), steps=80)
    colours = siren.read(network, (16, 20))
    assert np.abs(colours - smooth / 255).mean() < 0.03
    larger = siren.read(network, (48, 60))
    assert larger.shape == (48, 60, 3)
    # a pixel centre of the LR image is one of x3 too
    np.testing.assert_allclose(larger[1::3, 1::3], colours, atol=1e-5)
    again = siren.read(siren.fit(smooth, torch.device("cpu"), steps=80), (16, 20))
    np.testing.assert_array_equal(again, colours)


def test_data_folder_names(tmp_path: Path) -> None:
    from liif_cli.bench.data import find_sets

    for name in ("one/Set5/HR", "two/Set5/HR", "DIV2K_valid_HR", "DIV2K_valid_LR_bicubic/X2"):
        (tmp_path / name).mkdir(parents=True)
    Image.fromarray(LR).save(tmp_path / "DIV2K_valid_HR" / "0801.png")
    lr = tmp_path / "DIV2K_valid_LR_bicubic" / "X2" / "0801x2.png"
    Image.fromarray(LR).save(lr)
    folders = [tmp_path / "one/Set5", tmp_path / "two/Set5/HR", tmp_path / "DIV2K_valid_HR"]
    first, second, div2k = find_sets(folders)
    assert [entry.name for entry in (first, second)] == ["Set5", "Set5 #2"]
    assert [entry.protocol for entry in (first, second, div2k)] == [
        *("benchmark", "benchmark", "div2k")
    ]
    assert div2k.lr_file(div2k.images[0], 2.0) == lr
    assert div2k.lr_file(div2k.images[0], 3.0) is None
