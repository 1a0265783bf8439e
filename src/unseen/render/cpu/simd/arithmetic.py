"""Operators, masks, reductions and functions of vectors."""

import operator
from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin

from unseen.render.cpu.simd.compile import intrinsic
from unseen.render.cpu.simd.vectors import (
    DOUBLES,
    I1,
    I32,
    I64,
    INTS,
    LANES,
    MASK,
    WIDTH,
    Vector,
    broadcast,
    call,
    constant,
)


def _install(op, emit: Callable, result: Callable[[Vector], types.Type]) -> None:
    """Give the Python operator `op` a meaning on two vectors, or on one and a scalar, which is broadcast."""

    @infer_global(op)
    class _Template(AbstractTemplate):
        def generic(self, args, kws):
            vectors = [a for a in args if isinstance(a, Vector) and a is not MASK]
            others = [a for a in args if a not in vectors]
            if vectors and len(set(vectors)) == 1 and all(isinstance(o, types.Number) for o in others):
                return signature(result(vectors[0]), *args)
            return None

    def lower(context, builder, sig, args):
        kind = next(a for a in sig.args if isinstance(a, Vector))
        vectors = [
            value
            if isinstance(given, Vector)
            else broadcast(builder, kind, context.cast(builder, value, given, kind.scalar))
            for value, given in zip(args, sig.args, strict=True)
        ]
        return emit(builder, *vectors)

    for pair in ((Vector, Vector), (Vector, types.Number), (types.Number, Vector)):
        lower_builtin(op, *pair)(lower)


for _op, _method in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _install(_op, lambda builder, a, b, method=_method: getattr(builder, method)(a, b), lambda kind: kind)
for _op, _sign in ((operator.gt, ">"), (operator.ge, ">="), (operator.lt, "<"), (operator.le, "<=")):
    _install(_op, lambda builder, a, b, sign=_sign: builder.fcmp_ordered(sign, a, b), lambda kind: MASK)


@infer_global(operator.neg)
class _NegateTemplate(AbstractTemplate):
    def generic(self, args, kws):
        return signature(args[0], args[0]) if isinstance(args[0], Vector) else None


@lower_builtin(operator.neg, Vector)
def _lower_negate(context, builder, sig, args):
    return builder.fneg(args[0])


def _unary(name: str):
    @intrinsic
    def function(typingctx, a):
        return a(a), lambda context, builder, signature, args: call(builder, f"llvm.{name}.{a.suffix}", a.vector, args)

    return function


absolute, sqrt, ceil = _unary("fabs"), _unary("sqrt"), _unary("ceil")


@intrinsic
def fma(typingctx, a, b, c):
    """a * b + c, with one rounding where the machine can."""

    def codegen(context, builder, signature, args):
        return call(builder, f"llvm.fmuladd.{a.suffix}", a.vector, args)

    return a(a, b, c), codegen


def _extreme(predicate: str):
    @intrinsic
    def function(typingctx, a, b):
        def codegen(context, builder, signature, args):
            return builder.select(builder.fcmp_ordered(predicate, *args), *args)

        return a(a, b), codegen

    return function


minimum, maximum = _extreme("<"), _extreme(">")
"""Smaller or larger of two, lane by lane; the second where they do not compare."""


@intrinsic
def widen(typingctx, a):
    """float32 to float64."""
    return DOUBLES(LANES), lambda context, builder, signature, args: builder.fpext(args[0], DOUBLES.vector)


@intrinsic
def narrow(typingctx, a):
    """float64 to float32."""
    return LANES(DOUBLES), lambda context, builder, signature, args: builder.fptrunc(args[0], LANES.vector)


@intrinsic
def quotient(typingctx, a, b):
    """a / b to 1e-6: may use the machine's estimate of 1 / b and a Newton step."""
    return LANES(LANES, LANES), lambda context, builder, signature, args: builder.fdiv(*args, flags=["fast"])


@intrinsic
def total(typingctx, a):
    """Sum of the lanes, pairwise."""

    def codegen(context, builder, signature, args):
        start = ir.Constant(a.element, -0.0)
        return call(builder, f"llvm.vector.reduce.fadd.{a.suffix}", a.element, [start, args[0]], fastmath=["reassoc"])

    return a.scalar(a), codegen


@intrinsic
def select(typingctx, mask, a, b):
    """a where the mask is set, else b."""
    return a(mask, a, b), lambda context, builder, signature, args: builder.select(*args)


@intrinsic
def both(typingctx, a, b):
    """Conjunction of two masks."""
    return MASK(a, b), lambda context, builder, signature, args: builder.and_(*args)


@intrinsic
def bits_of(typingctx, mask):
    """The mask as an integer, lane 0 lowest."""

    def codegen(context, builder, signature, args):
        return builder.zext(builder.bitcast(args[0], ir.IntType(WIDTH)), I64)

    return types.uint64(mask), codegen


@intrinsic
def any_lane(typingctx, mask):
    """Whether any lane of the mask is set."""

    def codegen(context, builder, signature, args):
        bits = builder.bitcast(args[0], ir.IntType(WIDTH))
        return builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))

    return types.boolean(mask), codegen


_ROUND = 12582912.0  # 1.5 * 2^23: adding it leaves the nearest integer in the low mantissa bits
_EXP2 = (1.0000000717, 0.6931469671, 0.2402211972, 0.0555071327, 0.0096755413, 0.0013276472)
"""Minimax polynomial of 2^x on [-1/2, 1/2], relative error 7.5e-8."""


@intrinsic
def exp2(typingctx, a):
    """2^a to 2e-7 relative error for -126 <= a <= 127; outside that range meaningless, but never a trap.

    The integer part goes straight into the exponent bits, the fraction in [-1/2, 1/2] through a polynomial.
    """

    def codegen(context, builder, signature, args):
        shifted = builder.fadd(args[0], constant(LANES, _ROUND))
        fraction = builder.fsub(args[0], builder.fsub(shifted, constant(LANES, _ROUND)))
        value = constant(LANES, float(np.float32(_EXP2[-1])))
        for coefficient in _EXP2[-2::-1]:
            term = constant(LANES, float(np.float32(coefficient)))
            value = call(builder, f"llvm.fmuladd.{LANES.suffix}", LANES.vector, [value, fraction, term])
        exponent = builder.shl(builder.bitcast(shifted, INTS), ir.Constant(INTS, [ir.Constant(I32, 23)] * WIDTH))
        return builder.bitcast(builder.add(builder.bitcast(value, INTS), exponent), LANES.vector)

    return LANES(LANES), codegen


_LOG2 = (
    1.4426952531,
    -0.7213506261,
    0.4808468613,
    -0.3603389243,
    0.2900976035,
    -0.2506281867,
    0.2038797118,
    -0.0958823629,
)
"""Minimax polynomial of log2(1 + x) / x on [-1/4, 1/2], relative error 1.8e-7."""
_THREE_QUARTERS = 0x3F400000


@intrinsic
def log2(typingctx, a):
    """Base-2 logarithm of positive normal numbers, 2e-7 relative to the fraction's part."""

    def codegen(context, builder, signature, args):
        bits = builder.bitcast(args[0], INTS)
        shift = ir.Constant(INTS, [ir.Constant(I32, 23)] * WIDTH)
        offset = builder.sub(bits, ir.Constant(INTS, [ir.Constant(I32, _THREE_QUARTERS)] * WIDTH))
        exponent = builder.ashr(offset, shift)
        mantissa = builder.bitcast(builder.sub(bits, builder.shl(exponent, shift)), LANES.vector)
        x = builder.fsub(mantissa, constant(LANES, 1.0))
        value = constant(LANES, float(np.float32(_LOG2[-1])))
        for coefficient in _LOG2[-2::-1]:
            term = constant(LANES, float(np.float32(coefficient)))
            value = call(builder, f"llvm.fmuladd.{LANES.suffix}", LANES.vector, [value, x, term])
        whole = builder.sitofp(exponent, LANES.vector)
        return call(builder, f"llvm.fmuladd.{LANES.suffix}", LANES.vector, [value, x, whole])

    return LANES(LANES), codegen


@intrinsic
def integer_bits(typingctx, a):
    """The values truncated to int32, to be stored through a float32 view of an int32 array."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(builder.fptosi(args[0], INTS), LANES.vector)

    return LANES(LANES), codegen


@intrinsic
def block_rows(typingctx, begin, end):
    """Two 64-bit masks from 16 rows of 8: row l of mask l // 8 has the bits ceil(begin[l]) .. floor(end[l]) within 0
    .. 7."""

    def codegen(context, builder, signature, args):
        low = builder.fptosi(
            _clip(builder, call(builder, f"llvm.ceil.{LANES.suffix}", LANES.vector, [args[0]]), 0, 8), INTS
        )
        high = builder.fptosi(
            _clip(builder, call(builder, f"llvm.floor.{LANES.suffix}", LANES.vector, [args[1]]), -1, 7), INTS
        )
        one = ir.Constant(INTS, [ir.Constant(I32, 1)] * WIDTH)
        filled = builder.sub(builder.shl(one, builder.add(high, one)), builder.shl(one, low))
        bits = builder.select(builder.icmp_signed("<=", low, high), filled, ir.Constant(INTS, None))
        packed = builder.bitcast(builder.trunc(bits, ir.VectorType(ir.IntType(8), WIDTH)), ir.VectorType(I64, 2))
        halves = [builder.extract_element(packed, ir.Constant(I32, i)) for i in range(2)]
        return context.make_tuple(builder, signature.return_type, halves)

    return types.UniTuple(types.uint64, 2)(LANES, LANES), codegen


def _clip(builder, value, low: float, high: float):
    low_value, high_value = constant(LANES, low), constant(LANES, high)
    value = builder.select(builder.fcmp_ordered(">", value, low_value), value, low_value)
    return builder.select(builder.fcmp_ordered("<", value, high_value), value, high_value)


@intrinsic
def trailing_zeros(typingctx, bits):
    """Index of the lowest set bit of a non-zero uint64."""

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(I1, 1))

    return types.uint64(types.uint64), codegen
