"""LM-LIIF: all of its paths against the plain form, and its faults."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from liif_cli.engine.sampling import render_array
from liif_cli.errors import CheckpointError
from liif_cli.geometry.axis import AxisMap
from liif_cli.models import checkpoint, onednn
from liif_cli.models.decoders import lmliif
from liif_cli.models.decoders.lmliif import LMLIIF, compiled_kernel
from liif_cli.models.device import use_full_precision
from liif_cli.models.model import Model, ModelSpec, Part, via_model
from liif_cli.testing.rendering import well_defined
from tests.models.processors import run_on
from tests.reference.plain_lmliif import plain_lmliif

PATHS = ["compiled", "torch", "device"]
ARGUMENTS: list[dict[str, Any]] = [
    {},
    {"local_ensemble": False},
    {"feat_unfold": False},
    {"cell_decode": False},
    {"width": 12, "depth": 3, "code": 5},
    {"width": 24, "depth": 2, "code": 16, "latent_hidden": [20, 30]},
    {"depth": 1, "latent_hidden": []},
]


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which of the three implementations answers."""
    if request.param != "compiled":
        monkeypatch.setattr(lmliif, "compiled_kernel", lambda: None)
        if request.param == "device":
            monkeypatch.setattr(LMLIIF, "_torch_answer", LMLIIF._device_answer)
    elif compiled_kernel() is None:
        pytest.skip("numba is not installed")
    return str(request.param)


def decoder_of(**arguments: Any) -> LMLIIF:
    torch.manual_seed(11)
    decoder = LMLIIF(6, **{"latent_hidden": [24], **arguments})
    with torch.no_grad():
        # modulations of a trained network's size, and signs that keep ReLUs at work
        for parameter in decoder.parameters():
            parameter.mul_(1.5)
    return decoder.eval().requires_grad_(False)


def answers(decoder: LMLIIF, feat: torch.Tensor, out_shape: tuple[int, int]) -> torch.Tensor:
    rows, cols = AxisMap(feat.shape[2], out_shape[0]), AxisMap(feat.shape[3], out_shape[1])
    latent = decoder.prepare(feat[:, :3], feat, (rows.cell, cols.cell))
    return decoder.query(latent, rows.slice(0, out_shape[0]), cols.slice(0, out_shape[1]))


def plain(decoder: LMLIIF, feat: torch.Tensor, out_shape: tuple[int, int]) -> torch.Tensor:
    layers = [
        ([layer.weight.double() for layer in mlp.linears], [b.bias.double() for b in mlp.linears])
        for mlp in (decoder.latent, decoder.render)
    ]
    return plain_lmliif(
        feat.double(),
        out_shape,
        layers[0],
        layers[1],
        code=decoder.code,
        local_ensemble=decoder.local_ensemble,
        feat_unfold=decoder.feat_unfold,
        cell_decode=decoder.cell_decode,
    )


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
@pytest.mark.parametrize("out_shape", [(14, 18), (21, 27), (17, 40), (140, 90), (5, 6)])
def test_every_path_equals_the_plain_form(
    path: str, arguments: dict[str, Any], out_shape: tuple[int, int]
) -> None:
    decoder = decoder_of(**arguments)
    feat = torch.randn(1, 6, 7, 9, generator=torch.Generator().manual_seed(1))
    expected = plain(decoder, feat, out_shape)
    got = answers(decoder, feat, out_shape)
    assert got.dtype == torch.float32
    assert float(expected.std()) > 0.01
    kept = well_defined((7, 9), out_shape)
    assert float((got - expected)[kept].abs().max()) < 1e-5


def test_a_cpu_without_onednn_s_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    """On machines and torch builds that have none."""
    monkeypatch.setattr(onednn, "fused_linear", lambda: None)
    decoder, feat = decoder_of(latent_hidden=[20, 30]), torch.randn(1, 6, 7, 5)
    expected = plain(decoder, feat, (16, 11))
    torch.testing.assert_close(
        answers(decoder, feat, (16, 11)).double(), expected, rtol=0, atol=1e-5
    )


@settings(max_examples=25)
@given(
    height=st.integers(2, 9),
    width=st.integers(2, 9),
    out_height=st.integers(1, 60),
    out_width=st.integers(1, 60),
    data=st.data(),
)
def test_a_tile_is_a_part_of_the_whole(
    height: int, width: int, out_height: int, out_width: int, data: st.DataObject
) -> None:
    decoder = decoder_of()
    feat = torch.randn(1, 6, height, width, generator=torch.Generator().manual_seed(height))
    rows, cols = AxisMap(height, out_height), AxisMap(width, out_width)
    latent = decoder.prepare(feat[:, :3], feat, (rows.cell, cols.cell))
    whole = decoder.query(latent, rows.slice(0, out_height), cols.slice(0, out_width))
    top, left = data.draw(st.integers(0, out_height - 1)), data.draw(st.integers(0, out_width - 1))
    bottom = data.draw(st.integers(top + 1, out_height))
    right = data.draw(st.integers(left + 1, out_width))
    part = decoder.query(latent, rows.slice(top, bottom), cols.slice(left, right))
    torch.testing.assert_close(part, whole[top:bottom, left:right], atol=1e-6, rtol=0)


def test_bands_of_codes_give_what_all_at_once_give(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder, feat = decoder_of(), torch.randn(1, 6, 23, 5)
    whole = answers(decoder, feat, (60, 17))
    monkeypatch.setattr(lmliif, "BAND_CODES", 15)
    torch.testing.assert_close(answers(decoder, feat, (60, 17)), whole, atol=1e-6, rtol=0)


def test_blocks_of_rows_on_a_device_give_what_all_at_once_give(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lmliif, "compiled_kernel", lambda: None)
    monkeypatch.setattr(LMLIIF, "_torch_answer", LMLIIF._device_answer)
    decoder, feat = decoder_of(), torch.randn(1, 6, 9, 8)
    whole = answers(decoder, feat, (31, 17))
    # blocks that end between the two members of an output row
    monkeypatch.setattr(lmliif, "DEVICE_BLOCK_PAIRS", 150)
    torch.testing.assert_close(answers(decoder, feat, (31, 17)), whole, atol=1e-6, rtol=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_real_device_gives_what_the_cpu_gives(dtype: torch.dtype) -> None:
    use_full_precision()
    decoder, feat = decoder_of(), torch.randn(1, 6, 17, 19)
    expected = answers(decoder, feat, (60, 81))
    got = answers(decoder.to("cuda", dtype), feat.to("cuda", dtype), (60, 81))
    assert got.dtype == torch.float32
    most = 1e-5 if dtype == torch.float32 else 0.1 * float(expected.std()) + 0.1
    assert float((got.cpu() - expected).abs().max()) < most


def test_the_skip_adds_the_bilinear_image(path: str) -> None:
    plain_one, with_skip = decoder_of(), decoder_of(skip="bilinear")
    feat = torch.randn(1, 6, 8, 8, generator=torch.Generator().manual_seed(4))
    added = answers(with_skip, feat, (24, 32)) - answers(plain_one, feat, (24, 32))
    image = torch.nn.functional.interpolate(feat[:, :3], (24, 32), mode="bilinear")
    torch.testing.assert_close(added, image[0].permute(1, 2, 0), atol=1e-5, rtol=0)


def test_a_model_in_half_precision_keeps_the_render_mlp_exact_on_a_cpu(path: str) -> None:
    spec = ModelSpec(
        encoder=Part("edsr", {"n_resblocks": 2, "n_feats": 6}),
        decoder=Part("lmliif", {"skip": "bilinear"}),
        lossy=True,
    )
    torch.manual_seed(5)
    model = Model(spec).eval().requires_grad_(False)
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    exact = {level: render_array(model, pixels, (50, 60), cleanup=level) for level in (0, 40)}
    for one in (model, via_model(model, 2)):
        assert one.in_precision("bf16") is one
        for key, value in model.state_dict().items():
            kept = any(f".{part}." in f".{key}" for part in ("render", "head"))
            assert value.dtype == (torch.float32 if kept else torch.bfloat16), key
            assert torch.equal(value, weights[key].to(value.dtype)), key
    for level, expected in exact.items():
        rough = render_array(model, pixels, (50, 60), precision="bf16", cleanup=level)
        assert rough.dtype == np.float32
        assert 0 < abs(rough - expected).max() < 0.02
    # and back, as far as the lower precision has left it
    assert all(
        value.dtype == torch.float32 for value in model.in_precision("fp32").state_dict().values()
    )


def test_half_precision_as_a_whole(path: str) -> None:
    decoder = decoder_of()
    feat = torch.randn(1, 6, 7, 9, generator=torch.Generator().manual_seed(1))
    exact = answers(decoder, feat, (21, 30))
    rough = answers(decoder.bfloat16(), feat.bfloat16(), (21, 30))
    assert rough.dtype == torch.float32
    assert float((rough - exact).abs().max()) < 0.1 * float(exact.std()) + 0.1


def test_modulations_that_do_not_fit_the_render_mlp_are_refused(tmp_path: Any) -> None:
    spec = ModelSpec(
        encoder=Part("edsr", {"n_resblocks": 1, "n_feats": 6}), decoder=Part("lmliif", {})
    )
    model = Model(spec)
    checkpoint.save(model, {}, tmp_path / "a.safetensors")
    other = ModelSpec(encoder=spec.encoder, decoder=Part("lmliif", {"depth": 5}))
    model.spec = other
    checkpoint.save(model, {}, tmp_path / "b.safetensors")
    with pytest.raises(CheckpointError, match="do not fit"):
        checkpoint.load(tmp_path / "b.safetensors")


def test_a_missing_numba_is_said_and_made_up_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:

    compiled_kernel.cache_clear()
    monkeypatch.setitem(sys.modules, "liif_cli.models.decoders.lmliif_compiled", None)
    with caplog.at_level("INFO", logger="liif_cli"):
        feat = torch.randn(1, 6, 5, 5)
        assert answers(decoder_of(), feat, (10, 10)).shape == (10, 10, 3)
    assert "numba is not there" in caplog.text
    compiled_kernel.cache_clear()


@pytest.mark.parametrize("arguments", [{"code": 0}, {"width": 0}, {"depth": 0}, {"skip": "cubic"}])
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="got"):
        LMLIIF(6, **arguments)


ELSEWHERE = """
import sys, torch
from liif_cli.models.decoders import lmliif_kernel
from tests.models.test_lmliif import answers, decoder_of, plain
assert lmliif_kernel.VECTOR == int(sys.argv[1])
decoder, feat = decoder_of(), torch.randn(1, 6, 7, 9)
for shape in [(14, 18), (17, 40), (140, 90)]:
    got, expected = answers(decoder, feat, shape), plain(decoder, feat, shape)
    assert (got - expected).abs().max() < 1e-5, shape
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names processors of x86_64")
@pytest.mark.parametrize(
    ("processor", "features", "vector"),
    [("haswell", "+avx,+avx2,+fma", 8), ("nehalem", "+sse2,+sse4.2", 4)],
)
def test_the_tiles_of_older_processors(
    processor: str, features: str, vector: int, tmp_path: Path
) -> None:
    if compiled_kernel() is None:
        pytest.skip("numba is not installed")
    run_on(processor, features, tmp_path, ELSEWHERE, vector)
