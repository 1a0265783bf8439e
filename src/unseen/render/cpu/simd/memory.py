"""Vectors to and from arrays: in a row, by columns of a matrix, by 4 x 4 blocks of an image; and what keeps arrays
cheap."""

import sys

from llvmlite import ir
from numba import types
from numba.core import cgutils

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
    call,
    constant,
    kind_of,
    listed,
)


def _pointer(context, builder, array_type, array, index):
    """Address of a vector in a one-dimensional array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), kind_of(array_type).vector.as_pointer())


def _bytes(kind: Vector) -> int:
    return 8 if kind is DOUBLES else 4


@intrinsic
def load(typingctx, array, index):
    """16 consecutive values of a one-dimensional array from `index` on; not bounds-checked."""
    kind = kind_of(array)

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
    limit = builder.trunc(count, I32)
    empty = ir.Constant(INTS, ir.Undefined)
    limits = builder.shuffle_vector(
        builder.insert_element(empty, limit, ir.Constant(I32, 0)), empty, ir.Constant(INTS, None)
    )
    return builder.icmp_signed("<", listed(I32, range(offset, offset + WIDTH)), limits)


def _load_columns(columns: int):
    @intrinsic
    def function(typingctx, array, row, rows):
        kind = kind_of(array)

        def codegen(context, builder, signature, args):
            values, row_index, row_count = args
            count = builder.mul(row_count, ir.Constant(I64, columns))
            parts = []
            for part in range(columns):
                at = builder.add(builder.mul(row_index, ir.Constant(I64, columns)), ir.Constant(I64, part * WIDTH))
                pointer = _pointer(context, builder, signature.args[0], values, at)
                lanes = _first_lanes(builder, count, part * WIDTH)
                arguments = [pointer, ir.Constant(I32, _bytes(kind)), lanes, constant(kind, 0.0)]
                parts.append(call(builder, f"llvm.masked.load.{kind.suffix}.p0", kind.vector, arguments))
            outs = [_pick(builder, kind, parts, [lane * columns + c for lane in range(WIDTH)]) for c in range(columns)]
            return context.make_tuple(builder, signature.return_type, outs)

        return types.UniTuple(kind, columns)(array, types.int64, types.int64), codegen

    return function


def _store_columns(columns: int):
    @intrinsic
    def function(typingctx, array, row, rows, values):
        kind = kind_of(array)

        def codegen(context, builder, signature, args):
            data, row_index, row_count, packed = args
            count = builder.mul(row_count, ir.Constant(I64, columns))
            parts = cgutils.unpack_tuple(builder, packed, columns)
            for part in range(columns):
                flat = [part * WIDTH + lane for lane in range(WIDTH)]
                value = _pick(builder, kind, parts, [f % columns * WIDTH + f // columns for f in flat])
                at = builder.add(builder.mul(row_index, ir.Constant(I64, columns)), ir.Constant(I64, part * WIDTH))
                pointer = _pointer(context, builder, signature.args[0], data, at)
                lanes = _first_lanes(builder, count, part * WIDTH)
                arguments = [value, pointer, ir.Constant(I32, _bytes(kind)), lanes]
                call(builder, f"llvm.masked.store.{kind.suffix}.p0", ir.VoidType(), arguments)
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
        taken = builder.shuffle_vector(pair[0], second, listed(I32, lanes))
        keep = [lane + WIDTH if mine else lane for lane, mine in enumerate(here)]
        result = builder.shuffle_vector(result, taken, listed(I32, keep))
    return result


load1, load2, load3, load4 = (_load_columns(n) for n in (1, 2, 3, 4))
"""`load3(array, row, rows)`: columns of up to 16 rows from `row` on of a matrix of 3 columns, given flat; other lanes
are 0."""
store1, store2, store3, store4 = (_store_columns(n) for n in (1, 2, 3, 4))
"""`store3(array, row, rows, (a, b, c))`: the inverse of `load3`."""


_SIDE = 4
"""Side of the square of pixels that a vector is."""


def _masked_row(builder, lanes: int):
    return ir.Constant(ir.VectorType(I1, WIDTH), [ir.Constant(I1, int(lane < lanes)) for lane in range(WIDTH)])


def _load_block(channels: int):
    @intrinsic
    def function(typingctx, array, index, stride):
        def codegen(context, builder, signature, args):
            values, at, step = args
            rows = []
            for row in range(_SIDE):
                place = builder.add(at, builder.mul(step, ir.Constant(I64, row)))
                pointer = _pointer(context, builder, signature.args[0], values, place)
                lanes = _masked_row(builder, _SIDE * channels)
                arguments = [pointer, ir.Constant(I32, 4), lanes, constant(LANES, 0.0)]
                rows.append(call(builder, f"llvm.masked.load.{LANES.suffix}.p0", LANES.vector, arguments))
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
                place = builder.add(at, builder.mul(step, ir.Constant(I64, row)))
                pointer = _pointer(context, builder, signature.args[0], data, place)
                arguments = [value, pointer, ir.Constant(I32, 4), _masked_row(builder, _SIDE * channels)]
                call(builder, f"llvm.masked.store.{LANES.suffix}.p0", ir.VoidType(), arguments)
            return context.get_dummy_value()

        return types.void(array, types.int64, types.int64, types.UniTuple(LANES, channels)), codegen

    return function


load_block1, load_block3 = _load_block(1), _load_block(3)
"""`load_block3(image, index, stride)`: a 4 x 4 block of pixels of 3 channels, a vector per channel. The image is
flat, the block starts at `index`, its rows are `stride` floats apart."""
store_block1, store_block3 = _store_block(1), _store_block(3)
"""`store_block3(image, index, stride, (r, g, b))`: the inverse of `load_block3`."""


@intrinsic
def first_lanes(typingctx, count):
    """Mask of the lanes below `count`."""

    def codegen(context, builder, signature, args):
        return _first_lanes(builder, args[0], 0)

    return MASK(types.int64), codegen


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
def prefetch(typingctx, array, index):
    """Ask for element `index` of a one-dimensional array to be brought near."""

    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        pointer = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(8).as_pointer())
        numbers = [ir.Constant(I32, n) for n in (0, 3, 1)]
        call(builder, "llvm.prefetch.p0", ir.VoidType(), [pointer, *numbers])
        return context.get_dummy_value()

    return types.void(array, index), codegen


@intrinsic
def take_ticket(typingctx, counter):
    """Add one to `counter[0]` atomically and return what it was: how threads share out work."""

    def codegen(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        return builder.atomic_rmw("add", array.data, ir.Constant(I64, 1), "monotonic")

    return types.int64(counter), codegen


@intrinsic
def peek(typingctx, counter):
    """`counter[0]` as other threads have left it: read from memory every time, never kept in a register."""

    def codegen(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        return builder.load_atomic(array.data, "acquire", 8)

    return types.int64(counter), codegen


@intrinsic
def step_aside(typingctx):
    """Let another thread have the core, if one waits for it."""

    def codegen(context, builder, signature, args):
        name = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(I32, []), name)
        builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), codegen
