"""Explicit vectors of 16 numbers for numba kernels.

numba leaves vectorisation to LLVM's loop vectoriser, which gives up silently. These types state it: every operation
below is one LLVM vector operation, which the machine's back end turns into AVX-512, AVX2, SSE or NEON instructions.
Inside a kernel `Lanes` (float32) and `Doubles` (float64) support + - * / and comparisons with their own kind and with
scalars; comparisons give a `Mask`.
"""

import operator
from collections.abc import Callable
from typing import Any

import numba
import numba.extending
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, models, register_model

WIDTH = 16
"""Lanes in a vector."""

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
intrinsic: Any = numba.extending.intrinsic
kernel: Any = numba.njit(cache=True, **_OPTIONS)
"""Decorator of what Python calls: runs without the GIL, is cached on disk, divides without checking."""
inner: Any = numba.njit(**{**_OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "forceinline": True})
"""Decorator of what only kernels call."""

_I1, _I32, _I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
_INTS = ir.VectorType(_I32, WIDTH)


class Vector(types.Type):
    """16 numbers of one kind."""

    def __init__(self, name: str, element: ir.Type, scalar: types.Type, suffix: str) -> None:
        super().__init__(name=name)
        self.element, self.scalar, self.suffix = element, scalar, suffix
        self.vector = ir.VectorType(element, WIDTH)


LANES = Vector("f32x16", ir.FloatType(), types.float32, f"v{WIDTH}f32")
DOUBLES = Vector("f64x16", ir.DoubleType(), types.float64, f"v{WIDTH}f64")
MASK = Vector("b1x16", _I1, types.boolean, f"v{WIDTH}i1")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, fe_type):
        super().__init__(manager, fe_type, fe_type.vector)


def _kind_of(array) -> Vector:
    """The vector type of an array's elements."""
    return DOUBLES if array.dtype == types.float64 else LANES


def _constant(kind: Vector, value: float) -> ir.Constant:
    return ir.Constant(kind.vector, [ir.Constant(kind.element, value)] * WIDTH)


def _listed(element: ir.Type, values) -> ir.Constant:
    return ir.Constant(ir.VectorType(element, len(values)), [ir.Constant(element, v) for v in values])


def _call(builder, name: str, result, args, **flags):
    """Call LLVM's intrinsic `name`."""
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, [a.type for a in args]), name)
    return builder.call(function, args, **flags)


def _broadcast(builder, kind: Vector, scalar):
    empty = ir.Constant(kind.vector, ir.Undefined)
    first = builder.insert_element(empty, scalar, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, empty, ir.Constant(_INTS, None))


def _splat(kind: Vector):
    @intrinsic
    def function(typingctx, scalar):
        def codegen(context, builder, signature, args):
            return _broadcast(builder, kind, context.cast(builder, args[0], signature.args[0], kind.scalar))

        return kind(scalar), codegen

    return function


splat, splat64 = _splat(LANES), _splat(DOUBLES)


@intrinsic
def like(typingctx, a, scalar):
    """All lanes equal to one number, in the kind of `a`."""

    def codegen(context, builder, signature, args):
        return _broadcast(builder, a, context.cast(builder, args[1], signature.args[1], a.scalar))

    return a(a, scalar), codegen


# Memory ---------------------------------------------------------------------------------------------------------------


def _pointer(context, builder, array_type, array, index):
    """Address of a vector in a one-dimensional array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _kind_of(array_type).vector.as_pointer())


def _bytes(kind: Vector) -> int:
    return 8 if kind is DOUBLES else 4


@intrinsic
def load(typingctx, array, index):
    """16 consecutive values of a one-dimensional array from `index` on; not bounds-checked."""
    kind = _kind_of(array)

    def codegen(context, builder, signature, args):
        return builder.load(_pointer(context, builder, signature.args[0], *args), align=_bytes(kind))

    return kind(array, index), codegen


@intrinsic
def store(typingctx, array, index, value):
    """Write 16 consecutive values of a one-dimensional array from `index` on; not bounds-checked."""

    def codegen(context, builder, signature, args):
        builder.store(
            args[2], _pointer(context, builder, signature.args[0], *args[:2]), align=_bytes(signature.args[2])
        )
        return context.get_dummy_value()

    return types.void(array, index, value), codegen


def _first_lanes(builder, count, offset: int):
    """Mask of the lanes l with offset + l < count."""
    limit = builder.trunc(count, _I32)
    empty = ir.Constant(_INTS, ir.Undefined)
    limits = builder.shuffle_vector(
        builder.insert_element(empty, limit, ir.Constant(_I32, 0)), empty, ir.Constant(_INTS, None)
    )
    return builder.icmp_signed("<", _listed(_I32, range(offset, offset + WIDTH)), limits)


def _load_columns(columns: int):
    @intrinsic
    def function(typingctx, array, row, rows):
        kind = _kind_of(array)

        def codegen(context, builder, signature, args):
            values, row_index, row_count = args
            count = builder.mul(row_count, ir.Constant(_I64, columns))
            parts = []
            for part in range(columns):
                at = builder.add(builder.mul(row_index, ir.Constant(_I64, columns)), ir.Constant(_I64, part * WIDTH))
                pointer = _pointer(context, builder, signature.args[0], values, at)
                lanes = _first_lanes(builder, count, part * WIDTH)
                arguments = [pointer, ir.Constant(_I32, _bytes(kind)), lanes, _constant(kind, 0.0)]
                parts.append(_call(builder, f"llvm.masked.load.{kind.suffix}.p0", kind.vector, arguments))
            outs = [_pick(builder, kind, parts, [lane * columns + c for lane in range(WIDTH)]) for c in range(columns)]
            return context.make_tuple(builder, signature.return_type, outs)

        return types.UniTuple(kind, columns)(array, types.int64, types.int64), codegen

    return function


def _store_columns(columns: int):
    @intrinsic
    def function(typingctx, array, row, rows, values):
        kind = _kind_of(array)

        def codegen(context, builder, signature, args):
            data, row_index, row_count, packed = args
            count = builder.mul(row_count, ir.Constant(_I64, columns))
            parts = cgutils.unpack_tuple(builder, packed, columns)
            for part in range(columns):
                flat = [part * WIDTH + lane for lane in range(WIDTH)]
                value = _pick(builder, kind, parts, [f % columns * WIDTH + f // columns for f in flat])
                at = builder.add(builder.mul(row_index, ir.Constant(_I64, columns)), ir.Constant(_I64, part * WIDTH))
                pointer = _pointer(context, builder, signature.args[0], data, at)
                lanes = _first_lanes(builder, count, part * WIDTH)
                arguments = [value, pointer, ir.Constant(_I32, _bytes(kind)), lanes]
                _call(builder, f"llvm.masked.store.{kind.suffix}.p0", ir.VoidType(), arguments)
            return context.get_dummy_value()

        return types.void(array, types.int64, types.int64, types.UniTuple(kind, columns)), codegen

    return function


def _pick(builder, kind: Vector, parts, indices):
    """The elements at `indices` of the concatenation of `parts`."""
    result = ir.Constant(kind.vector, ir.Undefined)
    for part in range(0, len(parts), 2):
        pair = parts[part : part + 2]
        second = pair[1] if len(pair) == 2 else pair[0]
        here = [i // (2 * WIDTH) == part // 2 for i in indices]
        lanes = [i % (2 * WIDTH) if mine else 0 for i, mine in zip(indices, here, strict=True)]
        taken = builder.shuffle_vector(pair[0], second, _listed(_I32, lanes))
        keep = [lane + WIDTH if mine else lane for lane, mine in enumerate(here)]
        result = builder.shuffle_vector(result, taken, _listed(_I32, keep))
    return result


load1, load2, load3, load4 = (_load_columns(n) for n in (1, 2, 3, 4))
"""`load3(array, row, rows)`: columns of up to 16 rows from `row` on of a matrix of 3 columns, given flat; other lanes
are 0."""
store1, store2, store3, store4 = (_store_columns(n) for n in (1, 2, 3, 4))
"""`store3(array, row, rows, (a, b, c))`: the inverse of `load3`."""


_SIDE = 4
"""Side of the square of pixels that a vector is."""


def _masked_row(builder, lanes: int):
    return ir.Constant(ir.VectorType(_I1, WIDTH), [ir.Constant(_I1, int(lane < lanes)) for lane in range(WIDTH)])


def _load_block(channels: int):
    @intrinsic
    def function(typingctx, array, index, stride):
        def codegen(context, builder, signature, args):
            values, at, step = args
            rows = []
            for row in range(_SIDE):
                place = builder.add(at, builder.mul(step, ir.Constant(_I64, row)))
                pointer = _pointer(context, builder, signature.args[0], values, place)
                lanes = _masked_row(builder, _SIDE * channels)
                arguments = [pointer, ir.Constant(_I32, 4), lanes, _constant(LANES, 0.0)]
                rows.append(_call(builder, f"llvm.masked.load.{LANES.suffix}.p0", LANES.vector, arguments))
            outs = []
            for c in range(channels):
                indices = [lane // _SIDE * WIDTH + lane % _SIDE * channels + c for lane in range(WIDTH)]
                outs.append(_pick(builder, LANES, rows, indices))
            return context.make_tuple(builder, signature.return_type, outs)

        return types.UniTuple(LANES, channels)(array, types.int64, types.int64), codegen

    return function


def _store_block(channels: int):
    @intrinsic
    def function(typingctx, array, index, stride, values):
        def codegen(context, builder, signature, args):
            data, at, step, packed = args
            parts = cgutils.unpack_tuple(builder, packed, channels)
            for row in range(_SIDE):
                used = [f % channels * WIDTH + row * _SIDE + f // channels for f in range(_SIDE * channels)]
                value = _pick(builder, LANES, parts, used + [0] * (WIDTH - len(used)))
                place = builder.add(at, builder.mul(step, ir.Constant(_I64, row)))
                pointer = _pointer(context, builder, signature.args[0], data, place)
                arguments = [value, pointer, ir.Constant(_I32, 4), _masked_row(builder, _SIDE * channels)]
                _call(builder, f"llvm.masked.store.{LANES.suffix}.p0", ir.VoidType(), arguments)
            return context.get_dummy_value()

        return types.void(array, types.int64, types.int64, types.UniTuple(LANES, channels)), codegen

    return function


load_block1, load_block3 = _load_block(1), _load_block(3)
"""`load_block3(image, index, stride)`: a 4 x 4 block of pixels of 3 channels, a vector per channel. The image is flat, the
block starts at `index`, its rows are `stride` floats apart."""
store_block1, store_block3 = _store_block(1), _store_block(3)
"""`store_block3(image, index, stride, (r, g, b))`: the inverse of `load_block3`."""


# Arithmetic -----------------------------------------------------------------------------------------------------------


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
            else _broadcast(builder, kind, context.cast(builder, value, given, kind.scalar))
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
        return a(a), lambda context, builder, signature, args: _call(builder, f"llvm.{name}.{a.suffix}", a.vector, args)

    return function


absolute, sqrt, ceil = _unary("fabs"), _unary("sqrt"), _unary("ceil")


@intrinsic
def fma(typingctx, a, b, c):
    """a * b + c, with one rounding where the machine can."""

    def codegen(context, builder, signature, args):
        return _call(builder, f"llvm.fmuladd.{a.suffix}", a.vector, args)

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
        return _call(builder, f"llvm.vector.reduce.fadd.{a.suffix}", a.element, [start, args[0]], fastmath=["reassoc"])

    return a.scalar(a), codegen


# Masks ----------------------------------------------------------------------------------------------------------------


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
        return builder.zext(builder.bitcast(args[0], ir.IntType(WIDTH)), _I64)

    return types.uint64(mask), codegen


@intrinsic
def any_lane(typingctx, mask):
    """Whether any lane of the mask is set."""

    def codegen(context, builder, signature, args):
        bits = builder.bitcast(args[0], ir.IntType(WIDTH))
        return builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))

    return types.boolean(mask), codegen


@intrinsic
def first_lanes(typingctx, count):
    """Mask of the lanes below `count`."""

    def codegen(context, builder, signature, args):
        return _first_lanes(builder, args[0], 0)

    return MASK(types.int64), codegen


# Functions ------------------------------------------------------------------------------------------------------------

_ROUND = 12582912.0  # 1.5 * 2^23: adding it leaves the nearest integer in the low mantissa bits
_EXP2 = (1.0000000717, 0.6931469671, 0.2402211972, 0.0555071327, 0.0096755413, 0.0013276472)
"""Minimax polynomial of 2^x on [-1/2, 1/2], relative error 7.5e-8."""


@intrinsic
def exp2(typingctx, a):
    """2^a to 2e-7 relative error for -126 <= a <= 127; outside that range meaningless, but never a trap.

    The integer part goes straight into the exponent bits, the fraction in [-1/2, 1/2] through a polynomial.
    """

    def codegen(context, builder, signature, args):
        shifted = builder.fadd(args[0], _constant(LANES, _ROUND))
        fraction = builder.fsub(args[0], builder.fsub(shifted, _constant(LANES, _ROUND)))
        value = _constant(LANES, float(np.float32(_EXP2[-1])))
        for coefficient in _EXP2[-2::-1]:
            term = _constant(LANES, float(np.float32(coefficient)))
            value = _call(builder, f"llvm.fmuladd.{LANES.suffix}", LANES.vector, [value, fraction, term])
        exponent = builder.shl(builder.bitcast(shifted, _INTS), ir.Constant(_INTS, [ir.Constant(_I32, 23)] * WIDTH))
        return builder.bitcast(builder.add(builder.bitcast(value, _INTS), exponent), LANES.vector)

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
        bits = builder.bitcast(args[0], _INTS)
        shift = ir.Constant(_INTS, [ir.Constant(_I32, 23)] * WIDTH)
        offset = builder.sub(bits, ir.Constant(_INTS, [ir.Constant(_I32, _THREE_QUARTERS)] * WIDTH))
        exponent = builder.ashr(offset, shift)
        mantissa = builder.bitcast(builder.sub(bits, builder.shl(exponent, shift)), LANES.vector)
        x = builder.fsub(mantissa, _constant(LANES, 1.0))
        value = _constant(LANES, float(np.float32(_LOG2[-1])))
        for coefficient in _LOG2[-2::-1]:
            term = _constant(LANES, float(np.float32(coefficient)))
            value = _call(builder, f"llvm.fmuladd.{LANES.suffix}", LANES.vector, [value, x, term])
        whole = builder.sitofp(exponent, LANES.vector)
        return _call(builder, f"llvm.fmuladd.{LANES.suffix}", LANES.vector, [value, x, whole])

    return LANES(LANES), codegen


@intrinsic
def integer_bits(typingctx, a):
    """The values truncated to int32, to be stored through a float32 view of an int32 array."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(builder.fptosi(args[0], _INTS), LANES.vector)

    return LANES(LANES), codegen


@intrinsic
def block_rows(typingctx, begin, end):
    """Two 64-bit masks from 16 rows of 8: row l of mask l // 8 has the bits ceil(begin[l]) .. floor(end[l]) within 0
    .. 7."""

    def codegen(context, builder, signature, args):
        low = builder.fptosi(
            _clip(builder, _call(builder, f"llvm.ceil.{LANES.suffix}", LANES.vector, [args[0]]), 0, 8), _INTS
        )
        high = builder.fptosi(
            _clip(builder, _call(builder, f"llvm.floor.{LANES.suffix}", LANES.vector, [args[1]]), -1, 7), _INTS
        )
        one = ir.Constant(_INTS, [ir.Constant(_I32, 1)] * WIDTH)
        filled = builder.sub(builder.shl(one, builder.add(high, one)), builder.shl(one, low))
        bits = builder.select(builder.icmp_signed("<=", low, high), filled, ir.Constant(_INTS, None))
        packed = builder.bitcast(builder.trunc(bits, ir.VectorType(ir.IntType(8), WIDTH)), ir.VectorType(_I64, 2))
        halves = [builder.extract_element(packed, ir.Constant(_I32, i)) for i in range(2)]
        return context.make_tuple(builder, signature.return_type, halves)

    return types.UniTuple(types.uint64, 2)(LANES, LANES), codegen


def _clip(builder, value, low: float, high: float):
    low_value, high_value = _constant(LANES, low), _constant(LANES, high)
    value = builder.select(builder.fcmp_ordered(">", value, low_value), value, low_value)
    return builder.select(builder.fcmp_ordered("<", value, high_value), value, high_value)


@intrinsic
def borrowed(typingctx, array):
    """The same array without reference counting: for loops in which numba would count atomically, over and over.

    Valid as long as the array it was made from.
    """

    def codegen(context, builder, signature, args):
        view = context.make_array(array)(context, builder, args[0])
        for name in ("meminfo", "parent"):
            setattr(view, name, ir.Constant(getattr(view, name).type, None))
        return view._getvalue()

    return array(array), codegen


@intrinsic
def trailing_zeros(typingctx, bits):
    """Index of the lowest set bit of a non-zero uint64."""

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(_I1, 1))

    return types.uint64(types.uint64), codegen


@intrinsic
def prefetch(typingctx, array, index):
    """Ask for element `index` of a one-dimensional array to be brought near."""

    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        pointer = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(8).as_pointer())
        numbers = [ir.Constant(_I32, n) for n in (0, 3, 1)]
        _call(builder, "llvm.prefetch.p0", ir.VoidType(), [pointer, *numbers])
        return context.get_dummy_value()

    return types.void(array, index), codegen


@intrinsic
def take_ticket(typingctx, counter):
    """Add one to `counter[0]` atomically and return what it was: how threads share out work."""

    def codegen(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        return builder.atomic_rmw("add", array.data, ir.Constant(_I64, 1), "monotonic")

    return types.int64(counter), codegen
