"""LM-LIIF's query, written for numba: code by code, with the modulations folded into matrices.

For each LR code the output pixels of which it is a member are a run of rows times a run of columns.
They are taken in blocks of ``BLOCK`` pixels, whole rows of the run where they fit, laid out so that
a vector register holds pixels. Widths are padded to a multiple of ``LANES`` with zeros, which
changes no result.

``query`` takes pointers, returns nothing, raises nothing and allocates nothing, so that its machine
code needs nothing of numba when it runs: ``liif_cli.models.machine_code`` keeps it between runs.
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils, compiler, cpu
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from liif_cli.models.machine_code import Compiled, MachineCode, target

BLOCK = 128
"""Pixels of a block: two layers' values and the folded matrices stay in the first-level cache."""

_CONTRACT = ("contract",)
_INDEX = ir.IntType(32)
_FAST = {"contract", "nsz", "arcp"}
# _nrt: numba counts no references and allocates nothing
_inlined = numba.njit(nogil=True, fastmath=_FAST, error_model="numpy", _nrt=False)


def compiled(kind: str) -> Compiled:
    """Compiles ``query`` for numbers of that kind, "float32" or "float64"."""
    numbers, indices = types.CPointer(getattr(types, kind)), types.CPointer(types.int64)
    flags = compiler.Flags()
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    flags.release_gil = True
    flags.error_model = "numpy"
    flags.fastmath = cpu.FastMathOptions(_FAST)
    arguments = (indices, numbers, numbers, indices, numbers, indices, numbers, numbers, numbers)
    made = compiler.compile_extra(
        cpu_target.typing_context,
        cpu_target.target_context,
        query,
        arguments,
        types.void,
        flags,
        {},
    )
    library, symbol = made.library, made.fndesc.llvm_func_name
    address = library.get_pointer_to_function(symbol)
    _, _, (content, _) = library.serialize_using_object_code()
    module = library._final_module
    asks_for = [
        named.name
        for named in (*module.functions, *module.global_variables)
        if named.is_declaration
    ]
    return Compiled(MachineCode(symbol, module.triple, content), address, asks_for, library)


@intrinsic
def _array(context, pointer, shape):
    """The numbers from a pointer on as a contiguous array; numba's carray counts references."""
    array = types.Array(pointer.dtype, len(shape), "C")

    def generate(context, builder, signature, args):
        lengths = cgutils.unpack_tuple(builder, args[1])
        size = context.get_abi_sizeof(context.get_data_type(array.dtype))
        itemsize = context.get_constant(types.intp, size)
        strides = [itemsize]
        for length in reversed(lengths[1:]):
            strides.insert(0, builder.mul(strides[0], length))
        made = context.make_array(array)(context, builder)
        populate_array(
            made, data=args[0], shape=lengths, strides=strides, itemsize=itemsize, meminfo=None
        )
        return made._getvalue()

    return array(pointer, shape), generate


@intrinsic
def _behind(context, pointer, count):
    """The pointer to what lies ``count`` numbers behind."""

    def generate(context, builder, signature, args):
        return builder.gep(args[0], [args[1]])

    return pointer(pointer, count), generate


def _registers() -> tuple[int, int]:
    """Numbers of float32 in this processor's vector registers, and how many sums they may hold."""
    features = target()[1].split(",")
    if "+avx512f" in features:
        return 16, 16
    if "+avx2" in features:
        return 8, 8
    return 4, 16 if "+neon" in features else 8


VECTOR, _SUMS = _registers()
FULL, HALF, QUARTER = (max(1, _SUMS // outputs) for outputs in (4, 8, 16))
"""Vectors of pixels of the tiles of 4, 8 and 16 outputs."""


def _tile(outputs: int, vectors: int, rectify: bool = True) -> Any:
    """The function of compiled code

        tile(weight, bias, values, result, output, pixel, width)

    that sets result[o, p] = bias[o] + sum over i < width of weight[o, i] values[i, p], rectified if
    asked, for ``outputs`` outputs from ``output`` and ``vectors`` vectors of pixels from ``pixel``.
    All arrays are contiguous: weight (.., width), bias (..,), values and result (.., BLOCK). Sums
    stay in registers over all inputs: each vector of values that is read serves all outputs of the
    tile, each weight all of its vectors (Goto, van de Geijn: Anatomy of high-performance matrix
    multiplication, 2008). Loops of numba would leave them in memory, so this is written in LLVM's
    vector types, of which the compiler makes what the processor has.
    """

    @intrinsic
    def tile(context, weight, bias, values, result, output, pixel, width):
        signature = types.void(weight, bias, values, result, output, pixel, width)
        return signature, generate

    def generate(context, builder, signature, args):
        weight, bias, values, result = (
            context.make_array(kind)(context, builder, value=array).data
            for kind, array in zip(signature.args[:4], args[:4], strict=True)
        )
        output, pixel, width = args[4:]
        number = context.get_data_type(signature.args[0].dtype)
        vector = ir.VectorType(number, VECTOR)
        undefined = ir.Constant(vector, ir.Undefined)
        zeros = ir.Constant(ir.VectorType(_INDEX, VECTOR), [0] * VECTOR)
        # arrays are aligned to their numbers only
        align = context.get_abi_sizeof(number)

        def plus(value, offset):
            return builder.add(value, ir.Constant(value.type, offset))

        def spread(base, index):
            """The number there, in every place of a vector."""
            one = builder.load(builder.gep(base, [index]))
            one = builder.insert_element(undefined, one, ir.Constant(_INDEX, 0))
            return builder.shuffle_vector(one, undefined, zeros)

        def place(base, line, column):
            index = builder.add(builder.mul(line, ir.Constant(line.type, BLOCK)), column)
            return builder.bitcast(builder.gep(base, [index]), vector.as_pointer())

        lines = [plus(output, number) for number in range(outputs)]
        columns = [plus(pixel, number * VECTOR) for number in range(vectors)]
        # LLVM moves these from the stack to registers
        sums = [[cgutils.alloca_once(builder, vector) for _ in columns] for _ in lines]
        for line, of_line in zip(lines, sums, strict=True):
            start = spread(bias, line)
            for total in of_line:
                builder.store(start, total)
        with cgutils.for_range(builder, width) as loop:
            read = [builder.load(place(values, loop.index, at), align=align) for at in columns]
            for line, of_line in zip(lines, sums, strict=True):
                factor = spread(weight, builder.add(builder.mul(line, width), loop.index))
                for value, total in zip(read, of_line, strict=True):
                    product = builder.fmul(factor, value, flags=_CONTRACT)
                    added = builder.fadd(builder.load(total), product, flags=_CONTRACT)
                    builder.store(added, total)
        zero = ir.Constant(vector, [0.0] * VECTOR)
        for line, of_line in zip(lines, sums, strict=True):
            for at, total in zip(columns, of_line, strict=True):
                answer = builder.load(total)
                if rectify:
                    # in this order what is no number stays, as in torch
                    below = builder.fcmp_ordered("<", answer, zero)
                    answer = builder.select(below, zero, answer)
                builder.store(answer, place(result, line, at), align=align)
        return context.get_dummy_value()

    return tile


_FULL_TILE, _HALF_TILE, _QUARTER_TILE = _tile(4, FULL), _tile(8, HALF), _tile(16, QUARTER)
_LAST_TILE, _LAST_VECTOR = _tile(4, FULL, rectify=False), _tile(4, 1, rectify=False)


@_inlined
def _hidden_layer(weight, bias, values, result, padded, count):
    """result[o, p] = relu(bias[o] + sum of weight[o, i] values[i, p]).

    For whole vectors of pixels: those beyond ``count`` are computed too and mean nothing. Where few
    are left, a tile takes fewer pixels and more outputs, so that as many sums are under way.
    """
    pixel = 0
    while count - pixel > HALF * VECTOR:
        for output in range(0, padded, 4):
            _FULL_TILE(weight, bias, values, result, output, pixel, padded)
        pixel += FULL * VECTOR
    while count - pixel > (HALF - 1) * VECTOR:
        for output in range(0, padded, 8):
            _HALF_TILE(weight, bias, values, result, output, pixel, padded)
        pixel += HALF * VECTOR
    if pixel < count:
        for output in range(0, padded, 16):
            _QUARTER_TILE(weight, bias, values, result, output, pixel, padded)


@_inlined
def _last_layer(weight, bias, values, result, padded, count):
    """The same for the 3 colours and a fourth row that means nothing, without ReLU."""
    pixel = 0
    while count - pixel > VECTOR:
        _LAST_TILE(weight, bias, values, result, 0, pixel, padded)
        pixel += FULL * VECTOR
    if pixel < count:
        _LAST_VECTOR(weight, bias, values, result, 0, pixel, padded)


@_inlined
def _spread(row_rel, col_rel, rel_y, rel_x):
    """Relative coordinates of a block's pixels, row by row."""
    for row in range(len(row_rel)):
        at = row * len(col_rel)
        for col in range(len(col_rel)):
            rel_y[at + col] = row_rel[row]
            rel_x[at + col] = col_rel[col]


@_inlined
def _add(colours, row_weight, col_weight, out):
    """Add a block's colours (4, BLOCK) to its pixels (rows, columns, 3), weighted."""
    for row in range(len(row_weight)):
        at = row * len(col_weight)
        for col in range(len(col_weight)):
            weight = row_weight[row] * col_weight[col]
            out[row, col, 0] += weight * colours[0, at + col]
            out[row, col, 1] += weight * colours[1, at + col]
            out[row, col, 2] += weight * colours[2, at + col]


def query(
    sizes, modulation_at, weights_at,
    row_runs_at, row_pairs_at, col_runs_at, col_pairs_at,
    space_at, out_at,
):  # fmt: skip
    """Add the weighted colours of a band of codes to a tile.

    Args:
        sizes: of the modulation (height, width, channels); of the short code, a layer, a layer
            padded, layers; runs and pairs of rows, of columns; of the tile (height, width).
        modulation_at: (height, width, channels).
        weights_at: of the short code (width, code), of rel (width, 2), the first bias (width),
            hidden (depth - 1, padded, padded), their biases (depth - 1, padded), last (4, padded),
            its bias (4), behind each other.
        row_runs_at: first pair, the last's successor, code and first index of each run (4, runs).
        row_pairs_at: relative coordinate and weight of each pair (2, pairs).
        col_runs_at: the same of columns.
        col_pairs_at: the same of columns.
        space_at: zeros, ``space`` of them.
        out_at: the tile (height, width, 3), added to.
    """
    height, across_codes, channels, code, width, padded, depth = (
        sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6]
    )  # fmt: skip
    modulation = _array(modulation_at, (height, across_codes, channels))
    of_code = _array(weights_at, (width, code))
    at = width * code
    of_rel = _array(_behind(weights_at, at), (width, 2))
    at += width * 2
    bias = _array(_behind(weights_at, at), (width,))
    at += width
    hidden = _array(_behind(weights_at, at), (depth - 1, padded, padded))
    at += (depth - 1) * padded * padded
    biases = _array(_behind(weights_at, at), (depth - 1, padded))
    at += (depth - 1) * padded
    last = _array(_behind(weights_at, at), (4, padded))
    at += 4 * padded
    last_bias = _array(_behind(weights_at, at), (4,))

    row_runs, row_pairs = _array(row_runs_at, (4, sizes[7])), _array(row_pairs_at, (2, sizes[8]))
    col_runs, col_pairs = _array(col_runs_at, (4, sizes[9])), _array(col_pairs_at, (2, sizes[10]))
    row_rel, row_weight, col_rel, col_weight = (
        row_pairs[0],
        row_pairs[1],
        col_pairs[0],
        col_pairs[1],
    )
    out = _array(out_at, (sizes[11], sizes[12], 3))

    # the padding of all stays zero
    folded = _array(space_at, (depth - 1, padded, padded))
    at = (depth - 1) * padded * padded
    shifted = _array(_behind(space_at, at), (depth - 1, padded))
    at += (depth - 1) * padded
    values = _array(_behind(space_at, at), (padded, BLOCK))
    at += padded * BLOCK
    other = _array(_behind(space_at, at), (padded, BLOCK))
    at += padded * BLOCK
    colours = _array(_behind(space_at, at), (4, BLOCK))
    at += 4 * BLOCK
    rel_y, rel_x = (
        _array(_behind(space_at, at), (BLOCK,)),
        _array(_behind(space_at, at + BLOCK), (BLOCK,)),
    )
    at += 2 * BLOCK
    of_y = _array(_behind(space_at, at), (width,))
    of_x = _array(_behind(space_at, at + width), (width,))
    start = _array(_behind(space_at, at + 2 * width), (width,))

    zero = last_bias[3] * 0
    one = zero + 1
    for a in range(row_runs.shape[1]):
        row_start, row_stop = row_runs[0, a], row_runs[1, a]
        for b in range(col_runs.shape[1]):
            col_start, col_stop = col_runs[0, b], col_runs[1, b]
            m = modulation[row_runs[2, a], col_runs[2, b]]
            for o in range(width):
                scale = one + m[code + o]
                total = bias[o]
                for i in range(code):
                    total += of_code[o, i] * m[i]
                start[o] = scale * total + m[code + depth * width + o]
                of_y[o] = scale * of_rel[o, 0]
                of_x[o] = scale * of_rel[o, 1]
            for layer in range(depth - 1):
                at = code + (layer + 1) * width
                for o in range(width):
                    scale = one + m[at + o]
                    for i in range(padded):
                        folded[layer, o, i] = scale * hidden[layer, o, i]
                    shifted[layer, o] = scale * biases[layer, o] + m[at + depth * width + o]
            columns = col_stop - col_start
            across = min(columns, BLOCK)
            down = BLOCK // across
            for row in range(row_start, row_stop, down):
                lines = min(down, row_stop - row)
                for col in range(col_start, col_stop, across):
                    length = min(across, col_stop - col)
                    count = lines * length
                    _spread(row_rel[row : row + lines], col_rel[col : col + length], rel_y, rel_x)
                    for o in range(width):
                        s, y, x = start[o], of_y[o], of_x[o]
                        for p in range(count):
                            values[o, p] = max(s + y * rel_y[p] + x * rel_x[p], zero)
                    for layer in range(depth - 1):
                        if layer % 2 == 0:
                            _hidden_layer(
                                folded[layer], shifted[layer], values, other, padded, count
                            )
                        else:
                            _hidden_layer(
                                folded[layer], shifted[layer], other, values, padded, count
                            )
                    if depth % 2 == 1:
                        _last_layer(last, last_bias, values, colours, padded, count)
                    else:
                        _last_layer(last, last_bias, other, colours, padded, count)
                    top = row_runs[3, a] + row - row_start
                    left = col_runs[3, b] + col - col_start
                    _add(
                        colours,
                        row_weight[row : row + lines],
                        col_weight[col : col + length],
                        out[top : top + lines, left : left + length],
                    )
