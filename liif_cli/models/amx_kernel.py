"""What kernels of AMX's matrix instructions are made of, written for numba: see ``models.amx``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from liif_cli.models.amx import ACROSS, DEPTH, DOWN, SIDE
from liif_cli.models.vectors import (
    ALIGN,
    VECTOR,
    behind,
    inlined,
    plus,
    rectified,
    vector_at,
)

_BYTE, _WORD, _LONG = ir.IntType(8), ir.IntType(16), ir.IntType(64)
_MATRIX_BYTES = 64 * SIDE


class _BFloat(ir.Type):
    """LLVM's bfloat, which llvmlite does not name."""

    def _to_string(self):
        return "bfloat"

    def __eq__(self, other):
        return isinstance(other, _BFloat)

    def __hash__(self):
        return hash(_BFloat)


_BFLOAT = _BFloat()


def _call(builder, name, result, *given):
    kind = ir.FunctionType(result, [value.type for value in given])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), given)


def _matrix(builder, name, *given):
    """LLVM: one of the instructions; whole numbers name registers."""
    values = [_BYTE(value) if isinstance(value, int) else value for value in given]
    _call(builder, f"llvm.x86.{name}", ir.VoidType(), *values)


def _bytes_at(builder, base, index):
    return builder.bitcast(builder.gep(base, [index]), _BYTE.as_pointer())


@intrinsic
def configure(context, config):
    """Set the shapes of the registers to what ``amx.tile_config`` gave."""

    def generate(context, builder, signature, args):
        _matrix(builder, "ldtilecfg", builder.bitcast(args[0], _BYTE.as_pointer()))
        return context.get_dummy_value()

    return types.void(config), generate


@intrinsic
def release(context):
    """Give the registers back, without which the system saves them with the thread."""

    def generate(context, builder, signature, args):
        _matrix(builder, "tilerelease")
        return context.get_dummy_value()

    return types.void(), generate


def _rounded(builder, first, second):
    """LLVM: 32 numbers of bfloat16 from two vectors of float32, to the nearest."""
    return _call(
        builder,
        "llvm.x86.avx512bf16.cvtne2ps2bf16.512",
        ir.VectorType(_BFLOAT, 2 * VECTOR),
        second,
        first,
    )


def _widened(builder, rounded):
    """LLVM: the two vectors of float32 of what ``_rounded`` gave."""
    words = builder.bitcast(rounded, ir.VectorType(_WORD, 2 * VECTOR))
    index = ir.IntType(32)
    halves = []
    for half in range(2):
        places = [*range(half * VECTOR, (half + 1) * VECTOR)]
        mask = ir.Constant(ir.VectorType(index, VECTOR), places)
        part = builder.shuffle_vector(words, ir.Constant(words.type, ir.Undefined), mask)
        longer = builder.zext(part, ir.VectorType(index, VECTOR))
        shifted = builder.shl(longer, ir.Constant(longer.type, [16] * VECTOR))
        halves.append(builder.bitcast(shifted, ir.VectorType(ir.FloatType(), VECTOR)))
    return halves


def _store_parts(builder, values, target, index, low, products):
    """LLVM: store two vectors' high parts, and their low ones ``low`` numbers behind."""
    high = _rounded(builder, *values)

    def store(rounded, at):
        place = builder.bitcast(builder.gep(target, [at]), rounded.type.as_pointer())
        builder.store(rounded, place, align=ALIGN)

    store(high, index)
    if products == 3:
        pairs = zip(values, _widened(builder, high), strict=True)
        rest = [builder.fsub(value, part) for value, part in pairs]
        store(_rounded(builder, *rest), builder.add(index, low))


def splitting(products: int) -> Any:
    """The function of compiled code

        split(source, target, low, count)

    that stores the parts of ``count`` numbers, a multiple of 32: the high ones at ``target``, half
    as many numbers of float32, and the low ones ``low`` behind.
    """

    @intrinsic
    def split(context, source, target, low, count):
        return types.void(source, target, low, count), generate

    def generate(context, builder, signature, args):
        source, target, low, count = args
        step = count.type(2 * VECTOR)
        with cgutils.for_range_slice(builder, step.type(0), count, step) as (index, _):
            values = [
                builder.load(vector_at(builder, source, plus(builder, index, at)), align=ALIGN)
                for at in (0, VECTOR)
            ]
            half = builder.sdiv(index, index.type(2))
            _store_parts(builder, values, target, half, low, products)
        return context.get_dummy_value()

    return split


@dataclass(frozen=True)
class Finish:
    """What becomes of sums, which are given as ``done`` in compiled code: a tuple

        (sums, bias, others, exact, target, channels, outs, count)

    Attributes:
        products: of how many the next layer's are: the parts of the results are stored at
            ``target``, as ``splitting`` does, of pixels of ``channels`` / 2 numbers; 0 for none.
        rectify: sums (count, 32) plus ``bias`` (32) are rectified.
        add: they are added to ``others`` (count, channels).
        keep: the first ``outs`` of each pixel's are stored in ``exact`` (count, channels).
    """

    products: int
    rectify: bool = False
    add: bool = False
    keep: bool = False

    def pixel(self, builder, done, low, number):
        """LLVM: finish one pixel."""
        sums, bias, others, exact, target, channels, outs, _ = done
        of_sums = builder.mul(number, number.type(ACROSS))
        at = builder.mul(number, channels)
        values = []
        for offset in (0, VECTOR):
            value, more = (
                builder.load(vector_at(builder, base, plus(builder, index, offset)), align=ALIGN)
                for base, index in ((sums, of_sums), (bias, number.type(0)))
            )
            value = builder.fadd(value, more)
            value = rectified(builder, value) if self.rectify else value
            here = plus(builder, at, offset)
            if self.add:
                other = builder.load(vector_at(builder, others, here), align=ALIGN)
                value = builder.fadd(other, value)
            values.append(value)
            if self.keep:
                with builder.if_then(builder.icmp_signed("<", number.type(offset), outs)):
                    builder.store(value, vector_at(builder, exact, here), align=ALIGN)
        if self.products:
            half = builder.sdiv(at, at.type(2))
            _store_parts(builder, values, target, half, low, self.products)


def finishing(finish: Finish) -> Any:
    """The function of compiled code ``finish(low, done)`` for what ``computing`` computed last."""

    @intrinsic
    def function(context, low, done):
        return types.void(low, done), generate

    def generate(context, builder, signature, args):
        low, done = args[0], cgutils.unpack_tuple(builder, args[1])
        with cgutils.for_range(builder, done[-1]) as loop:
            finish.pixel(builder, done, low, loop.index)
        return context.get_dummy_value()

    return function


def computing(products: int, finish: Finish) -> Any:
    """The function of compiled code

        compute(values, starts, low, pixel, columns, depth, weights, sums, low_out, done)

    that sets sums[p, o] to the sum over rows, ``columns`` and ``depth`` times 32 channels in of
    values times weights, for 32 pixels p of a row and 32 channels out o, contiguous, and meanwhile
    finishes what was computed before: matrix and vector instructions run beside each other.
    Channels of a pixel begin at values[starts[y] + (p + x) * pixel], their low parts ``low``
    behind, in numbers of float32. Weights are those of ``amx.packed``; ``low_out`` and ``done`` are
    what ``finishing`` takes.
    """

    @intrinsic
    def compute(context, values, starts, low, pixel, columns, depth, weights, sums, low_out, done):
        signature = types.void(
            values, starts, low, pixel, columns, depth, weights, sums, low_out, done
        )
        return signature, generate

    def generate(context, builder, signature, args):
        values, starts, low, pixel, columns, depth, weights, sums, low_out, done = args
        starts, done = cgutils.unpack_tuple(builder, starts), cgutils.unpack_tuple(builder, done)
        stride = builder.mul(pixel, pixel.type(4))
        # registers: 0 to 3 are sums, 4 and 5 pixels, 6 and 7 weights
        for register in range(4):
            _matrix(builder, "tilezero", register)
        weight = cgutils.alloca_once_value(builder, builder.bitcast(weights, _BYTE.as_pointer()))

        def load_weights():
            at = builder.load(weight)
            for number in range(2):
                place = builder.gep(at, [_LONG(number * _MATRIX_BYTES)])
                _matrix(builder, "tileloadd64", 6 + number, place, _LONG(64))
            builder.store(builder.gep(at, [_LONG(2 * _MATRIX_BYTES)]), weight)

        def load_pixels(index):
            for number in range(2):
                at = builder.add(index, builder.mul(pixel, pixel.type(number * SIDE)))
                _matrix(builder, "tileloadd64", 4 + number, _bytes_at(builder, values, at), stride)

        def multiply():
            for register in range(4):
                _matrix(builder, "tdpbf16ps", register, 4 + register // 2, 6 + register % 2)

        # of the pixels that were computed before, as many with each step as finish them by the end
        steps = builder.mul(builder.mul(columns, depth), columns.type(len(starts)))
        share = builder.add(builder.sdiv(columns.type(DOWN - 1), steps), columns.type(1))
        finished = cgutils.alloca_once_value(builder, columns.type(0))
        count = done[-1]
        for start in starts:
            with cgutils.for_range(builder, columns) as x:
                here = builder.add(start, builder.mul(x.index, pixel))
                with cgutils.for_range(builder, depth) as z:
                    index = builder.add(here, builder.mul(z.index, z.index.type(DEPTH // 2)))
                    load_pixels(index)
                    if products == 3:
                        load_weights()
                        multiply()
                    load_weights()
                    multiply()
                    if products == 3:
                        load_pixels(builder.add(index, low))
                        multiply()
                    first = builder.load(finished)
                    stop = builder.add(first, share)
                    stop = builder.select(builder.icmp_signed("<", stop, count), stop, count)
                    with cgutils.for_range_slice(builder, first, stop, stop.type(1)) as (p, _):
                        finish.pixel(builder, done, low_out, p)
                    builder.store(stop, finished)
        for register in range(4):
            at = SIDE * ACROSS * (register // 2) + SIDE * (register % 2)
            place = _bytes_at(builder, sums, low.type(at))
            _matrix(builder, "tilestored64", register, place, _LONG(4 * ACROSS))
        return context.get_dummy_value()

    return compute


def layers_of(products: int, *, rectify: bool) -> tuple[Any, Any]:
    """The functions of compiled code for an MLP's layers, of ``DOWN`` rows of values at a time.

    The first takes and gives parts; its result is rectified. The second is for the last layer,
    which gives float32, rectified if asked.
    """
    to_hide, to_answer = Finish(products, rectify=True), Finish(0, rectify=rectify, keep=True)
    hide, answer = computing(products, to_hide), computing(products, to_answer)
    end_hide, end_answer = finishing(to_hide), finishing(to_answer)
    kinds = 2 if products == 3 else 1
    inline = inlined()

    @inline
    def hidden_layer(
        space, starts, low, pixel, columns, depth, weights, taps, sums, target, width, count
    ):
        """The parts of a rectified layer of ``DOWN`` rows; ``taps`` are of the weights."""
        group = kinds * taps * depth * DEPTH * ACROSS // 2
        bias = behind(weights, width // ACROSS * group)
        low_out, turn = DOWN * width // 2, 0
        done = (sums, bias, sums, sums, target, width, ACROSS, 0)
        for out in range(0, width, ACROSS):
            into = behind(sums, turn * DOWN * ACROSS)
            of_outs = behind(weights, out // ACROSS * group)
            hide(space, starts, low, pixel, columns, depth, of_outs, into, low_out, done)
            done = (
                into, behind(bias, out), sums, sums, behind(target, out // 2), width, ACROSS, count
            )  # fmt: skip
            turn = 1 - turn
        end_hide(low_out, done)

    @inline
    def last_layer(space, start, depth, weights, sums, result, width, outs, count):
        """The last layer of ``count`` rows, float32."""
        pixel = depth * DEPTH // 2
        group = kinds * depth * DEPTH * ACROSS // 2
        bias = behind(weights, width // ACROSS * group)
        low, turn = DOWN * pixel, 0
        done = (sums, bias, sums, result, result, outs, ACROSS, 0)
        for out in range(0, width, ACROSS):
            into = behind(sums, turn * DOWN * ACROSS)
            of_outs = behind(weights, out // ACROSS * group)
            answer(space, (start,), low, pixel, 1, depth, of_outs, into, low, done)
            done = (
                into, behind(bias, out), sums, behind(result, out), result,
                outs, min(ACROSS, outs - out), count,
            )  # fmt: skip
            turn = 1 - turn
        end_answer(low, done)

    return hidden_layer, last_layer
