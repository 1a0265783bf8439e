"""Few-faced solids that things are made of: boxes that may taper, tubes that may taper, and balls.

A shape lies in its own unit coordinates, [-1, 1] along each axis, stretched by `halves`, turned, and moved to `centre`.
The section of a box or tube shrinks linearly from bottom (y = -1) to top (y = 1), where it is `taper` times as large:
a box with taper (1, 0) is a gable roof, a tube with taper (0, 0) a cone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from unseen.synthetic.color import Color, linear

BOX, TUBE, BALL = 0, 1, 2
PLAIN, STRIPES, CHECKS, PLANKS, TILES, GRADIENT, BOOKS, BLOTCHES, BORDER, PICTURE = range(10)
"""Patterns of a paint; what they look like: `unseen.synthetic.worlds.surfaces`."""

Vector = tuple[float, float, float]


class Paint(NamedTuple):
    """How a surface looks: two sRGB colours, their pattern and its period, and how much it shines by itself."""

    color: Color
    second: Color = (0.0, 0.0, 0.0)
    pattern: int = PLAIN
    period_m: float = 1.0
    glow: float = 0.0


@dataclass(frozen=True)
class Shape:
    """One solid.

    Attributes:
        kind: BOX, TUBE or BALL.
        centre, halves: in metres, y up.
        taper: size of the top relative to the bottom, along x and z.
        turn: rotation from the shape's axes to the world's, [3, 3].
        paint: its surface.
        shades: whether light is kept off other things (walls of a room do not: light comes in through them).
    """

    kind: int
    centre: Vector
    halves: Vector
    paint: Paint
    taper: tuple[float, float] = (1.0, 1.0)
    turn: Float[np.ndarray, "3 3"] | None = None
    shades: bool = True


def box(
    base: Vector, size: Vector, paint: Paint, *, taper: tuple[float, float] = (1.0, 1.0), shades: bool = True
) -> Shape:
    """A box that stands on `base`, the middle of its bottom."""
    x, y, z = base
    halves = (size[0] / 2, size[1] / 2, size[2] / 2)
    return Shape(BOX, (x, y + halves[1], z), halves, paint, taper, shades=shades)


def tube(base: Vector, height: float, radius: float, paint: Paint, *, taper: float = 1.0) -> Shape:
    """A cylinder, or with another `taper` a cone or its stump, that stands on `base`."""
    x, y, z = base
    return Shape(TUBE, (x, y + height / 2, z), (radius, height / 2, radius), paint, (taper, taper))


def ball(centre: Vector, halves: Vector, paint: Paint) -> Shape:
    """An ellipsoid."""
    return Shape(BALL, centre, halves, paint)


def tilted(shape: Shape, axis: str, angle_rad: float) -> Shape:
    """The shape turned about its own centre, around the x or z axis."""
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    turns = {"x": [[1, 0, 0], [0, c, -s], [0, s, c]], "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]]}
    turn = np.array(turns[axis], float)
    return replace(shape, turn=turn if shape.turn is None else turn @ shape.turn)


def placed(shapes: Iterable[Shape], at: Vector, yaw_rad: float = 0.0, scale: float = 1.0) -> list[Shape]:
    """A thing made around the origin, its front toward +z, moved elsewhere and turned from +z toward +x."""
    turn = yaw_matrix(yaw_rad)
    out = []
    for shape in shapes:
        x, y, z = (turn @ np.asarray(shape.centre) * scale + np.asarray(at)).tolist()
        a, b, c = (h * scale for h in shape.halves)
        own = turn if shape.turn is None else turn @ shape.turn
        out.append(replace(shape, centre=(x, y, z), halves=(a, b, c), turn=own))
    return out


def yaw_matrix(yaw_rad: float) -> Float[np.ndarray, "3 3"]:
    """Rotation about the vertical, from +z toward +x."""
    c, s = math.cos(yaw_rad), math.sin(yaw_rad)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


class Table(NamedTuple):
    """Shapes as arrays for compiled loops, S shapes.

    Attributes:
        kinds: BOX, TUBE or BALL, [S].
        centres: in metres, [S, 3].
        into: world offsets to unit coordinates, [S, 3, 3].
        halves: [S, 3].
        tapers: [S, 2].
        colors: linear RGB of both colours, [S, 2, 3].
        patterns: [S].
        looks: period in metres and glow, [S, 2].
        shades: whether it casts shadows, [S].
        things: index of the thing it belongs to, [S].
    """

    kinds: Int[np.ndarray, "S"]
    centres: Float[np.ndarray, "S 3"]
    into: Float[np.ndarray, "S 3 3"]
    halves: Float[np.ndarray, "S 3"]
    tapers: Float[np.ndarray, "S 2"]
    colors: Float[np.ndarray, "S 2 3"]
    patterns: Int[np.ndarray, "S"]
    looks: Float[np.ndarray, "S 2"]
    shades: Bool[np.ndarray, "S"]
    things: Int[np.ndarray, "S"]


def tabled(shapes: Sequence[Shape], things: Sequence[int]) -> Table:
    """Shapes, and the index of each one's thing, as arrays."""
    halves = np.array([s.halves for s in shapes], float).reshape(-1, 3)
    turns = np.array([np.eye(3) if s.turn is None else s.turn for s in shapes], float).reshape(-1, 3, 3)
    return Table(
        np.array([s.kind for s in shapes], np.int64),
        np.array([s.centre for s in shapes], float).reshape(-1, 3),
        np.ascontiguousarray(turns.transpose(0, 2, 1) / halves[:, :, None]),
        halves,
        np.array([s.taper for s in shapes], float).reshape(-1, 2),
        linear(np.array([[s.paint.color, s.paint.second] for s in shapes], float).reshape(-1, 2, 3)),
        np.array([s.paint.pattern for s in shapes], np.int64),
        np.array([[s.paint.period_m, s.paint.glow] for s in shapes], float).reshape(-1, 2),
        np.array([s.shades for s in shapes], bool),
        np.asarray(things, np.int64),
    )


def bounds(shapes: Iterable[Shape]) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """Lowest and highest corner of the axis-parallel box around shapes."""
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for s in shapes:
        reach = np.abs(np.eye(3) if s.turn is None else s.turn) @ np.asarray(s.halves)
        low, high = np.minimum(low, np.asarray(s.centre) - reach), np.maximum(high, np.asarray(s.centre) + reach)
    return low, high


def depth_inside(table: Table, points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, "P"]:
    """How deep points lie in the boxes around the shapes, metres; negative: how far they are off the nearest one,
    measured along the worst axis (never more than the true distance)."""
    if not len(table.kinds):
        return np.full(len(points), -np.inf)
    unit = np.einsum("sij,psj->psi", table.into, points[:, None] - table.centres)
    return ((1 - np.abs(unit)) * table.halves).min(-1).max(-1)
