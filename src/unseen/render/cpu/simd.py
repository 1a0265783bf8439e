"""Explicit vectors of 16 float32 lanes for numba kernels.

numba leaves vectorisation to LLVM's loop vectoriser, which gives up silently. These types state it: every operation below
is one LLVM vector operation, which the machine's back end turns into AVX-512, two AVX2, four SSE or four NEON operations.
Inside a kernel `Lanes` support + - * / with each other and with scalars; comparisons give a `Mask`.
"""

import operator

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

WIDTH = 16
"""Lanes in a vector."""

_F32 = ir.FloatType()
_I32 = ir.IntType(32)
_VECTOR = ir.VectorType(_F32, WIDTH)
_INTS = ir.VectorType(_I32, WIDTH)
_BITS = ir.VectorType(ir.IntType(1), WIDTH)


class Lanes(types.Type):
    """16 float32 values."""

    def __init__(self) -> None:
        super().__init__(name="f32x16")


class Mask(types.Type):
    """16 booleans."""

    def __init__(self) -> None:
        super().__init__(name="b1x16")


LANES, MASK = Lanes(), Mask()


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, fe_type):
        super().__init__(manager, fe_type, _VECTOR)


@register_model(Mask)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager, fe_type):
        super().__init__(manager, fe_type, _BITS)


def _constant(vector: ir.VectorType, value) -> ir.Constant:
    return ir.Constant(vector, [ir.Constant(vector.element, value)] * WIDTH)


def _call(builder, name: str, result, args, **flags):
    """Call LLVM's intrinsic `name`."""
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, [a.type for a in args]), name)
    return builder.call(function, args, **flags)


def _broadcast(builder, scalar):
    first = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), scalar, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, ir.Constant(_VECTOR, ir.Undefined), ir.Constant(_INTS, None))


@intrinsic
def splat(typingctx, scalar):
    """All lanes equal to one number."""

    def codegen(context, builder, signature, args):
        return _broadcast(builder, context.cast(builder, args[0], signature.args[0], types.float32))

    return LANES(scalar), codegen


def _pointer(context, builder, signature, args):
    array = context.make_array(signature.args[0])(context, builder, args[0])
    return builder.bitcast(builder.gep(array.data, [args[1]]), _VECTOR.as_pointer())


@intrinsic
def load(typingctx, array, index):
    """16 consecutive values of a one-dimensional float32 array from `index` on; not bounds-checked."""

    def codegen(context, builder, signature, args):
        return builder.load(_pointer(context, builder, signature, args), align=4)

    return LANES(array, index), codegen


@intrinsic
def store(typingctx, array, index, value):
    """Write 16 consecutive values of a one-dimensional float32 array from `index` on; not bounds-checked."""

    def codegen(context, builder, signature, args):
        builder.store(args[2], _pointer(context, builder, signature, args), align=4)
        return context.get_dummy_value()

    return types.void(array, index, value), codegen


def _binary(method: str):
    @intrinsic
    def function(typingctx, a, b):
        return LANES(a, b), lambda context, builder, signature, args: getattr(builder, method)(*args)

    return function


def _compare(predicate: str):
    @intrinsic
    def function(typingctx, a, b):
        return MASK(a, b), lambda context, builder, signature, args: builder.fcmp_ordered(predicate, *args)

    return function


def _install(op, function) -> None:
    """Give the Python operator `op` a meaning on lanes; a scalar on either side is broadcast."""

    @overload(op)
    def implementation(a, b):
        if isinstance(a, Lanes) and isinstance(b, Lanes):
            return lambda a, b: function(a, b)
        if isinstance(a, Lanes) and isinstance(b, types.Number):
            return lambda a, b: function(a, splat(b))
        if isinstance(b, Lanes) and isinstance(a, types.Number):
            return lambda a, b: function(splat(a), b)
        return None


for _op, _method in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _install(_op, _binary(_method))
for _op, _sign in ((operator.gt, ">"), (operator.ge, ">="), (operator.lt, "<"), (operator.le, "<=")):
    _install(_op, _compare(_sign))


@intrinsic
def fma(typingctx, a, b, c):
    """a * b + c, with one rounding where the machine can."""

    def codegen(context, builder, signature, args):
        return _call(builder, f"llvm.fmuladd.v{WIDTH}f32", _VECTOR, args)

    return LANES(a, b, c), codegen


@intrinsic
def minimum(typingctx, a, b):
    """Smaller of two, lane by lane; the second where they do not compare."""

    def codegen(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered("<", *args), *args)

    return LANES(a, b), codegen


@intrinsic
def absolute(typingctx, a):
    """Absolute values."""
    return LANES(a), lambda context, builder, signature, args: _call(builder, f"llvm.fabs.v{WIDTH}f32", _VECTOR, args)


@intrinsic
def select(typingctx, mask, a, b):
    """a where the mask is set, else b."""
    return LANES(mask, a, b), lambda context, builder, signature, args: builder.select(*args)


@intrinsic
def both(typingctx, a, b):
    """Masks' conjunction."""
    return MASK(a, b), lambda context, builder, signature, args: builder.and_(*args)


@intrinsic
def any_lane(typingctx, mask):
    """Whether any lane of the mask is set."""

    def codegen(context, builder, signature, args):
        bits = builder.bitcast(args[0], ir.IntType(WIDTH))
        return builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))

    return types.boolean(mask), codegen


@intrinsic
def total(typingctx, a):
    """Sum of the lanes, pairwise."""

    def codegen(context, builder, signature, args):
        start = ir.Constant(_F32, -0.0)
        return _call(builder, f"llvm.vector.reduce.fadd.v{WIDTH}f32", _F32, [start, args[0]], fastmath=["reassoc"])

    return types.float32(a), codegen


_ROUND = 12582912.0  # 1.5 * 2^23: adding it leaves the nearest integer in the low mantissa bits
_EXP2 = (1.0000000717, 0.6931469671, 0.2402211972, 0.0555071327, 0.0096755413, 0.0013276472)


@intrinsic
def exp2(typingctx, a):
    """2^a to 2e-7 relative error for -126 <= a <= 127; outside that range meaningless, but never a trap.

    The integer part goes straight into the exponent bits, the fraction in [-1/2, 1/2] through a degree-5 polynomial.
    """

    def codegen(context, builder, signature, args):
        shifted = builder.fadd(args[0], _constant(_VECTOR, _ROUND))
        fraction = builder.fsub(args[0], builder.fsub(shifted, _constant(_VECTOR, _ROUND)))
        value = _constant(_VECTOR, float(np.float32(_EXP2[-1])))
        for coefficient in _EXP2[-2::-1]:
            term = _constant(_VECTOR, float(np.float32(coefficient)))
            value = _call(builder, f"llvm.fmuladd.v{WIDTH}f32", _VECTOR, [value, fraction, term])
        exponent = builder.shl(builder.bitcast(shifted, _INTS), _constant(_INTS, 23))
        return builder.bitcast(builder.add(builder.bitcast(value, _INTS), exponent), _VECTOR)

    return LANES(a), codegen


@intrinsic
def trailing_zeros(typingctx, bits):
    """Index of the lowest set bit of a non-zero uint64."""

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), codegen


@intrinsic
def take_ticket(typingctx, counter):
    """Add one to `counter[0]` atomically and return what it was: how threads share out work."""

    def codegen(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        return builder.atomic_rmw("add", array.data, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(counter), codegen
