"""What compiled kernels share: this processor's vectors, arrays by pointer, and how they compile.

Imports numba, and is itself imported only where there is no machine code of a kernel yet. Kernels
take pointers, return nothing, raise nothing and allocate nothing, so that their machine code needs
nothing of numba when it runs (see ``liif_cli.models.machine_code``).
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils, compiler, cpu
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from liif_cli.models.machine_code import Compiled, MachineCode, registers

CONTRACT = ("contract",)
"""Of a product and a sum that may become one instruction."""
ALIGN = 4
"""Bytes: arrays are aligned to their numbers only."""
_INDEX = ir.IntType(32)


def inlined(fastmath: Set[str] = frozenset()) -> Callable[[Any], Any]:
    """The decorator of functions that kernels call."""
    # _nrt: numba counts no references and allocates nothing
    decorated: Callable[[Any], Any] = numba.njit(
        nogil=True, fastmath=set(fastmath), error_model="numpy", _nrt=False
    )
    return decorated


def compile_kernel(
    function: Any, arguments: tuple[Any, ...], fastmath: Set[str] = frozenset()
) -> Compiled:
    """Compiles a kernel for arguments of numba's types."""
    flags = compiler.Flags()
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    flags.release_gil = True
    flags.error_model = "numpy"
    flags.fastmath = cpu.FastMathOptions(set(fastmath))
    made = compiler.compile_extra(
        cpu_target.typing_context,
        cpu_target.target_context,
        function,
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
def array(context, pointer, shape):
    """The numbers from a pointer on as a contiguous array; numba's carray counts references."""
    kind = types.Array(pointer.dtype, len(shape), "C")

    def generate(context, builder, signature, args):
        lengths = cgutils.unpack_tuple(builder, args[1])
        size = context.get_abi_sizeof(context.get_data_type(kind.dtype))
        itemsize = context.get_constant(types.intp, size)
        strides = [itemsize]
        for length in reversed(lengths[1:]):
            strides.insert(0, builder.mul(strides[0], length))
        made = context.make_array(kind)(context, builder)
        populate_array(
            made, data=args[0], shape=lengths, strides=strides, itemsize=itemsize, meminfo=None
        )
        return made._getvalue()

    return kind(pointer, shape), generate


@intrinsic
def behind(context, pointer, count):
    """The pointer to what lies ``count`` numbers behind."""

    def generate(context, builder, signature, args):
        return builder.gep(args[0], [args[1]])

    return pointer(pointer, count), generate


VECTOR, REGISTERS = registers()


def everywhere(builder, number):
    """LLVM: a vector of that number in every place."""
    undefined = ir.Constant(ir.VectorType(number.type, VECTOR), ir.Undefined)
    one = builder.insert_element(undefined, number, _INDEX(0))
    return builder.shuffle_vector(
        one, undefined, ir.Constant(ir.VectorType(_INDEX, VECTOR), [0] * VECTOR)
    )


def spread(builder, base, index):
    """LLVM: the number there, in every place of a vector."""
    return everywhere(builder, builder.load(builder.gep(base, [index])))


def vector_at(builder, base, index):
    """LLVM: the pointer to the vector that begins there."""
    vector = ir.VectorType(base.type.pointee, VECTOR)
    return builder.bitcast(builder.gep(base, [index]), vector.as_pointer())


def rectified(builder, value):
    """LLVM: max(value, 0) of a vector; what is not a number stays, as in torch."""
    zero = ir.Constant(value.type, [0.0] * value.type.count)
    return builder.select(builder.fcmp_ordered("<", value, zero), zero, value)


def plus(builder, value, offset):
    """LLVM: a whole number and a constant."""
    return builder.add(value, ir.Constant(value.type, offset))


@intrinsic
def number_at(context, pointer, index):
    """The number there."""

    def generate(context, builder, signature, args):
        return builder.load(builder.gep(args[0], [args[1]]))

    return pointer.dtype(pointer, index), generate


@intrinsic
def put_number(context, pointer, index, value):
    """Set the number there."""

    def generate(context, builder, signature, args):
        builder.store(args[2], builder.gep(args[0], [args[1]]))
        return context.get_dummy_value()

    return types.void(pointer, index, pointer.dtype), generate


@intrinsic
def copy_numbers(context, source, target, count):
    """Copy numbers, a multiple of ``VECTOR``."""

    def generate(context, builder, signature, args):
        source, target, count = args
        step = ir.Constant(count.type, VECTOR)
        with cgutils.for_range_slice(builder, step.type(0), count, step) as (index, _):
            vector = builder.load(vector_at(builder, source, index), align=ALIGN)
            builder.store(vector, vector_at(builder, target, index), align=ALIGN)
        return context.get_dummy_value()

    return types.void(source, target, count), generate


@intrinsic
def zero_numbers(context, target, count):
    """Set numbers to 0, a multiple of ``VECTOR``."""

    def generate(context, builder, signature, args):
        target, count = args
        step = ir.Constant(count.type, VECTOR)
        zero = ir.Constant(ir.VectorType(target.type.pointee, VECTOR), [0.0] * VECTOR)
        with cgutils.for_range_slice(builder, step.type(0), count, step) as (index, _):
            builder.store(zero, vector_at(builder, target, index), align=ALIGN)
        return context.get_dummy_value()

    return types.void(target, count), generate
