"""The vector types, and what the LLVM code of their operations is made of."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import models, register_model

from unseen.render.cpu.simd.compile import intrinsic

WIDTH = 16
"""Lanes in a vector."""

I1, I32, I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
INTS = ir.VectorType(I32, WIDTH)


class Vector(types.Type):
    """16 numbers of one kind."""

    def __init__(self, name: str, element: ir.Type, scalar: types.Type, suffix: str) -> None:
        super().__init__(name=name)
        self.element, self.scalar, self.suffix = element, scalar, suffix
        self.vector = ir.VectorType(element, WIDTH)


LANES = Vector("f32x16", ir.FloatType(), types.float32, f"v{WIDTH}f32")
DOUBLES = Vector("f64x16", ir.DoubleType(), types.float64, f"v{WIDTH}f64")
MASK = Vector("b1x16", I1, types.boolean, f"v{WIDTH}i1")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, fe_type):
        super().__init__(manager, fe_type, fe_type.vector)


def kind_of(array) -> Vector:
    """The vector type of an array's elements."""
    return DOUBLES if array.dtype == types.float64 else LANES


def constant(kind: Vector, value: float) -> ir.Constant:
    return ir.Constant(kind.vector, [ir.Constant(kind.element, value)] * WIDTH)


def listed(element: ir.Type, values) -> ir.Constant:
    return ir.Constant(ir.VectorType(element, len(values)), [ir.Constant(element, v) for v in values])


def call(builder, name: str, result, args, **flags):
    """Call LLVM's intrinsic `name`."""
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, [a.type for a in args]), name)
    return builder.call(function, args, **flags)


def broadcast(builder, kind: Vector, scalar):
    empty = ir.Constant(kind.vector, ir.Undefined)
    first = builder.insert_element(empty, scalar, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, empty, ir.Constant(INTS, None))


def _splat(kind: Vector):
    @intrinsic
    def function(typingctx, scalar):
        def codegen(context, builder, signature, args):
            return broadcast(builder, kind, context.cast(builder, args[0], signature.args[0], kind.scalar))

        return kind(scalar), codegen

    return function


splat, splat64 = _splat(LANES), _splat(DOUBLES)


@intrinsic
def like(typingctx, a, scalar):
    """All lanes equal to one number, in the kind of `a`."""

    def codegen(context, builder, signature, args):
        return broadcast(builder, a, context.cast(builder, args[1], signature.args[1], a.scalar))

    return a(a, scalar), codegen
