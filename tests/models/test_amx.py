"""Matrix instructions: encoder and latent MLP by products of bfloat16, where there is AMX."""

from __future__ import annotations

import ctypes
import itertools
import sys

import numpy as np
import pytest
import torch

pytest.importorskip("numba")

from liif_cli.geometry.axis import AxisMap
from liif_cli.models import amx, machine_code
from liif_cli.models.decoders import latent_amx, liif_amx
from liif_cli.models.decoders.latent_amx import LatentMLP
from liif_cli.models.decoders.liif import LIIF
from liif_cli.models.device import matrix_code_here
from liif_cli.models.encoders import edsr_amx
from liif_cli.models.encoders.edsr_amx import Body
from liif_cli.models.loader import DEFAULT_MODEL, load_model
from tests.models.test_edsr_compiled import SHAPES, encoder_of
from tests.models.test_edsr_compiled import by_torch as encoded_by_torch
from tests.models.test_latent_compiled import RECTANGLES, decoder_of, feat_of, modulation
from tests.models.test_latent_compiled import by_torch as modulated_by_torch

needs_amx = pytest.mark.skipif(not amx.available(), reason="this processor has no AMX")
PRODUCTS = {3: (torch.float32, 1e-4), 1: (torch.bfloat16, 6e-2)}
"""Type of the weights, and how far results may be from those of float64."""
CPU = torch.device("cpu")


def multiplied(packed: np.ndarray, values: torch.Tensor, products: int) -> torch.Tensor:
    """What matrix instructions make of packed weights and values (P, C): (P, O), in float32."""
    groups = torch.from_numpy(packed.view(np.int16).copy()).view(torch.bfloat16)
    kinds = 2 if products == 3 else 1
    depth = -(-values.shape[1] // amx.DEPTH)
    # group, depth, part, matrix, pair, out, of the pair
    groups = groups.view(-1, depth, kinds, 2, amx.SIDE, amx.SIDE, 2).float()
    weights = groups.permute(2, 0, 3, 5, 1, 4, 6).reshape(kinds, -1, depth * amx.DEPTH)
    padded = torch.nn.functional.pad(values, (0, depth * amx.DEPTH - values.shape[1]))
    *low, high = (part.float() for part in amx.parts(padded, products))
    total = high @ weights[-1].T
    return total + high @ weights[0].T + low[0] @ weights[1].T if low else total


@pytest.mark.parametrize(("products", "least"), [(3, 1e-6), (1, 1e-3)])
@pytest.mark.parametrize(("outs", "channels"), [(32, 32), (16, 208), (208, 64), (1, 1)])
def test_products_of_parts_are_those_of_float32(
    outs: int, channels: int, products: int, least: float
) -> None:
    torch.manual_seed(0)
    weight, values = torch.randn(outs, channels), torch.randn(7, channels)
    made = multiplied(amx.packed(weight[..., None, None], products), values, products)
    exact = values.double() @ weight.double().T
    assert made.shape[1] % amx.ACROSS == 0
    assert not made[:, outs:].any()
    size = values.double().abs() @ weight.double().abs().T
    wrong = ((made[:, :outs] - exact).abs() / size).max()
    # 16 bits for 3 products, 8 for one: neither more nor less
    assert least / 100 < wrong < (2**-15 if products == 3 else 2**-7)


def test_convolutions_are_packed_row_by_row() -> None:
    weight = torch.randn(64, 32, 3, 3)
    packed = amx.packed(weight, 3).reshape(2, 9, -1)
    for group in range(2):
        for tap in range(9):
            of_tap = weight[32 * group : 32 * group + 32, :, tap // 3, tap % 3]
            expected = amx.packed(of_tap[..., None, None], 3)
            assert packed[group, tap].tobytes() == expected.tobytes()


def test_parts_add_up_to_16_bits() -> None:
    values = torch.randn(10_000) * torch.logspace(-20, 20, 10_000)
    low, high = amx.parts(values, 3)
    assert ((low.double() + high.double() - values) / values).abs().max() < 2**-16
    assert torch.equal(amx.parts(values, 1)[0], high)


def test_without_the_instructions_bf16x3_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amx, "available", lambda: False)
    model = load_model(DEFAULT_MODEL, CPU)
    image = torch.rand(1, 3, 21, 23) * 2 - 1
    with torch.no_grad():
        expected = model.in_precision("fp32").encode(image)
        assert not matrix_code_here()
        assert not model.model.has_matrix_code
        assert torch.equal(model.in_precision("bf16x3").encode(image), expected)
    # rather than to end the process by an instruction that is not there
    with pytest.raises(RuntimeError, match="AMX is not available"):
        amx.kernel("liif_cli.models.encoders.edsr_amx_kernel", 3, 5)


def test_a_system_that_refuses_the_instructions_is_believed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Refusing:
        def __init__(self, *_: object, **__: object) -> None:
            ctypes.set_errno(95)

        def syscall(self, *_: int) -> int:
            return -1

    features = "+amx-tile,+amx-bf16,+avx512bf16"
    monkeypatch.setattr(machine_code, "target", lambda: ("sapphirerapids", features))
    monkeypatch.setattr(ctypes, "CDLL", Refusing)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(amx.platform, "machine", lambda: "x86_64")
    amx.available.cache_clear()
    with caplog.at_level("INFO", logger="liif_cli"):
        assert not amx.available()
    assert "the system does not let AMX be used (error 95)" in caplog.text
    monkeypatch.setattr(sys, "platform", "win32")
    amx.available.cache_clear()
    assert not amx.available()
    amx.available.cache_clear()


@pytest.mark.parametrize("products", PRODUCTS)
def test_the_stated_bytes_are_those_that_it_takes(products: int) -> None:
    body = Body(products)
    for channels, layers in ((32, 33), (64, 5)):
        column, fixed = body.space_bytes(channels, layers)
        for width in (1, 6, 99, 750):
            taken = 4 * body._space(width, channels, layers)
            assert taken <= width * column + fixed < 2 * taken + 2 * fixed


@needs_amx
@pytest.mark.parametrize("products", PRODUCTS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("arguments", [(2, 32), (1, 64, 0.1), (0, 32), (1, 128)])
def test_features_are_those_of_torch(
    arguments: tuple[int, ...], shape: tuple[int, int], products: int
) -> None:
    encoder = encoder_of(*arguments)
    image = torch.rand(2, 3, *shape) * 2 - 1
    expected = encoded_by_torch(encoder, image)
    dtype, wrong = PRODUCTS[products]
    encoder.body.to(dtype)
    encoder.products = products
    with torch.no_grad():
        assert encoder._compiled() == Body(products)
        assert encoder.bands_only
        feat = encoder(image)
    assert feat.is_contiguous(memory_format=torch.channels_last)
    assert feat.dtype == dtype
    torch.testing.assert_close(feat.double(), expected, rtol=wrong, atol=wrong)


@needs_amx
def test_three_products_are_a_hundred_times_as_exact_as_one() -> None:
    image = torch.rand(1, 3, 70, 90) * 2 - 1
    wrong = {}
    for products, (dtype, _) in PRODUCTS.items():
        encoder = encoder_of(16)
        exact = encoded_by_torch(encoder, image)
        encoder.body.to(dtype)
        encoder.products = products
        with torch.no_grad():
            wrong[products] = (encoder(image) - exact).abs().max()
    assert 100 * wrong[3] < wrong[1]


@needs_amx
@pytest.mark.parametrize("products", PRODUCTS)
def test_bits_do_not_depend_on_the_window(products: int, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, image = encoder_of(2), torch.rand(1, 3, 61, 83) * 2 - 1
    encoder.body.to(PRODUCTS[products][0])
    encoder.products = products
    with torch.no_grad():
        whole = encoder(image)
        for rows in (2, 3, 7, 64):
            monkeypatch.setattr(edsr_amx, "BAND", rows)
            assert torch.equal(encoder(image), whole)
        # float32 of torch, the first layer's, has other bits in another window
        shallow = encoder.head(image).contiguous(memory_format=torch.channels_last)
        layers = list(encoder._convs())[1:]
        whole = Body(products).add_body(shallow.clone(), layers, 1.0)
        part = shallow[:, :, 11:50, 20:75].contiguous(memory_format=torch.channels_last)
        made = Body(products).add_body(part, layers, 1.0)
        inside = made[:, :, 5:-5, 5:-5]
        assert torch.equal(inside, whole[:, :, 16:45, 25:70])


@needs_amx
@pytest.mark.parametrize("products", PRODUCTS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_stays_so(bad: float, products: int) -> None:
    encoder, image = encoder_of(), torch.zeros(1, 3, 20, 20)
    encoder.body.to(PRODUCTS[products][0])
    encoder.products = products
    image[0, 0, 10, 10] = bad
    with torch.no_grad():
        feat = encoder(image)
    assert not feat[0, :, 10, 10].isfinite().all()
    assert feat[0, :, :4].isfinite().all()


@needs_amx
@pytest.mark.parametrize("products", PRODUCTS)
@pytest.mark.parametrize(("shape", "rows", "cols"), RECTANGLES)
@pytest.mark.parametrize(
    "arguments", [(32,), (64,), (32, (48,)), (32, (64, 128, 32)), (32, (208, 96, 112, 64))], ids=str
)
def test_modulations_are_those_of_torch(
    arguments: tuple[int, tuple[int, ...]],
    shape: tuple[int, int],
    rows: tuple[int, int],
    cols: tuple[int, int],
    products: int,
) -> None:
    decoder = decoder_of(*arguments)
    feat = feat_of(decoder, *shape)
    expected = modulated_by_torch(decoder, feat)
    dtype, wrong = PRODUCTS[products]
    decoder.latent.to(dtype)
    decoder.products = products
    code, _ = decoder.prepare(feat[:, :3], feat.to(dtype), (0.5, 0.4)).packed
    assert code == LatentMLP(products)
    made = modulation(decoder, feat.to(dtype), rows, cols)
    assert made.dtype == torch.float32
    part = expected[slice(*rows), slice(*cols)]
    torch.testing.assert_close(made.double(), part, rtol=wrong, atol=wrong)


@needs_amx
@pytest.mark.parametrize("products", PRODUCTS)
def test_bits_do_not_depend_on_which_codes_are_asked_for(products: int) -> None:
    decoder = decoder_of(hidden=(208, 96))
    dtype = PRODUCTS[products][0]
    feat = feat_of(decoder, 23, 230).to(dtype)
    decoder.latent.to(dtype)
    decoder.products = products
    whole = modulation(decoder, feat, (0, 23), (0, 230))
    for rows, cols in (((0, 1), (0, 230)), ((3, 10), (5, 6)), ((6, 23), (100, 229))):
        part = modulation(decoder, feat, rows, cols)
        assert torch.equal(part, whole[slice(*rows), slice(*cols)])


@needs_amx
@pytest.mark.parametrize("rows", [1, 31, 32, 33, 200])
@pytest.mark.parametrize("widths", [(32, 32), (64, 96, 32), (256, 256, 256, 256), (512, 64)])
def test_hidden_layers_are_those_of_torch(widths: tuple[int, ...], rows: int) -> None:
    torch.manual_seed(2)
    layers = [torch.nn.Linear(*pair).requires_grad_(False) for pair in itertools.pairwise(widths)]
    values = torch.rand(rows, widths[0])
    expected = values.double()
    for layer in layers:
        expected = (expected @ layer.weight.double().T + layer.bias.double()).relu()
    assert liif_amx.takes(widths, torch.float32, CPU)
    hidden = liif_amx.HiddenLayers(layers)
    made = hidden(values)
    torch.testing.assert_close(made.double(), expected, rtol=0, atol=3e-5)
    # a row's bits do not depend on the others, nor on what was computed before
    assert torch.equal(hidden(values[-1:].contiguous()), made[-1:])


@needs_amx
@pytest.mark.parametrize("hidden", [(32, 32), (64, 32, 96), (256, 256, 256, 256)])
def test_liif_answers_as_in_float32(hidden: tuple[int, ...]) -> None:
    torch.manual_seed(3)
    decoder = LIIF(8, hidden=hidden, skip="bilinear").eval().requires_grad_(False)
    assert decoder.has_matrix_code
    feat = torch.randn(1, 8, 9, 11)
    rows, cols = AxisMap(9, 31), AxisMap(11, 40)
    part = rows.slice(3, 29), cols.slice(0, 40)

    def colours() -> torch.Tensor:
        latent = decoder.prepare(feat[:, :3], feat, (rows.cell, cols.cell))
        return decoder.query(latent, *part)

    expected = colours()
    decoder.products = 3
    made = colours()
    assert not torch.equal(made, expected)
    torch.testing.assert_close(made, expected, rtol=0, atol=3e-5)


@needs_amx
def test_hidden_layers_that_torch_runs() -> None:
    for widths, dtype in (
        ((32,), torch.float32),
        ((32, 40), torch.float32),
        ((32, liif_amx.MOST_WIDTH + 32), torch.float32),
        ((32, 32), torch.float64),
    ):
        assert not liif_amx.takes(widths, dtype, CPU)
    decoder = LIIF(8, hidden=(40, 24)).eval()
    assert not decoder.has_matrix_code
    feat, axis = torch.randn(1, 8, 6, 6), AxisMap(6, 20)
    latent = decoder.prepare(feat[:, :3], feat, (axis.cell, axis.cell))
    expected = decoder.query(latent, axis.slice(0, 20), axis.slice(0, 20))
    decoder.products = 3
    assert torch.equal(decoder.query(latent, axis.slice(0, 20), axis.slice(0, 20)), expected)


@needs_amx
def test_they_are_shared_with_torch() -> None:
    # oneDNN sets the registers as well, and remembers how
    torch.manual_seed(0)
    encoder, image = encoder_of(), torch.rand(1, 3, 40, 40)
    encoder.body.to(torch.bfloat16)
    encoder.products = 1
    linear, rows = torch.nn.Linear(256, 256).bfloat16(), torch.randn(512, 256).bfloat16()
    conv, maps = torch.nn.Conv2d(64, 64, 3).bfloat16(), torch.randn(1, 64, 64, 64).bfloat16()
    work = [lambda: encoder(image), lambda: linear(rows), lambda: conv(maps)]
    with torch.no_grad():
        expected = [one() for one in work]
        for order in itertools.permutations(range(3)):
            for number in order:
                assert torch.equal(work[number](), expected[number])


@needs_amx
def test_the_model_takes_them_in_both_precisions() -> None:
    loaded = load_model(DEFAULT_MODEL, CPU)
    assert loaded.model.has_matrix_code
    image = torch.rand(1, 3, 30, 34) * 2 - 1
    with torch.no_grad():
        exact = loaded.in_precision("fp32")
        for precision, most in (("bf16x3", 1e-3), ("bf16", 0.5)):
            model = loaded.in_precision(precision)
            assert loaded.in_precision(precision) is model
            for cleanup in (0.0, 60.0):
                assert model.told(cleanup).encoder._compiled() is not None
                expected = exact.told(cleanup).encode(image)
                feat = model.told(cleanup).encode(image)
                assert not torch.equal(feat.float(), expected)
                torch.testing.assert_close(feat.float(), expected, rtol=most, atol=most)


@needs_amx
def test_what_they_do_not_take() -> None:
    for channels, dtype, device in (
        (48, torch.float32, "cpu"),
        (edsr_amx.MOST_CHANNELS + 32, torch.float32, "cpu"),
        (32, torch.float64, "cpu"),
        (32, torch.bfloat16, "cpu"),
        (32, torch.float32, "meta"),
    ):
        assert not Body(3).takes(channels, dtype, torch.device(device))
        assert not LatentMLP(3).takes(channels, [208, 208], dtype, torch.device(device))
    assert not LatentMLP(3).takes(32, [208, 200], torch.float32, CPU)
    assert not LatentMLP(3).takes(32, [208], torch.float32, CPU)
    assert LatentMLP(3).takes(latent_amx.MOST_CHANNELS, [208, 208], torch.float32, CPU)


@needs_amx
@pytest.mark.slow
def test_the_machine_code_asks_for_nothing_of_numba() -> None:
    from liif_cli.models.decoders import latent_amx_kernel, liif_amx_kernel
    from liif_cli.models.encoders import edsr_amx_kernel

    for module in (latent_amx_kernel, liif_amx_kernel, edsr_amx_kernel):
        for kind in amx.KINDS.values():
            asks_for = module.compiled(kind).asks_for
            assert [name for name in asks_for if not name.startswith(machine_code._HARMLESS)] == []
