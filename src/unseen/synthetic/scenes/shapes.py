"""Solid shapes as finely cut triangle meshes with surface coordinates in metres.

Faces wind counter-clockwise seen from outside; +Y is up. `step` is the longest edge wanted, in metres: baked light is
stored at vertices, so it also sets how sharp shadows can be.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

Vector = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Shape:
    """A mesh of one material.

    Attributes:
        vertices: positions in metres, [V, 3].
        normals: unit, outward, [V, 3].
        uvs: surface coordinates in metres, v down, [V, 2].
        faces: [F, 3].
    """

    vertices: Float[np.ndarray, "V 3"]
    normals: Float[np.ndarray, "V 3"]
    uvs: Float[np.ndarray, "V 2"]
    faces: Int[np.ndarray, "F 3"]

    def at(self, position: Vector = (0, 0, 0), turn_rad: float = 0.0, tilt_rad: float = 0.0) -> Shape:
        """Tilted about x, turned about the vertical, then moved."""
        c, s = math.cos(turn_rad), math.sin(turn_rad)
        a, b = math.cos(tilt_rad), math.sin(tilt_rad)
        rotation = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ np.array([[1, 0, 0], [0, a, -b], [0, b, a]])
        return replace(
            self,
            vertices=self.vertices @ rotation.T + np.asarray(position, float),
            normals=self.normals @ rotation.T,
        )

    def shifted(self, u: float, v: float) -> Shape:
        """The same with other surface coordinates: another part of the texture."""
        return replace(self, uvs=self.uvs + np.array([u, v]))


def join(shapes: Sequence[Shape]) -> Shape:
    """All shapes as one."""
    offsets = np.cumsum([0] + [len(s.vertices) for s in shapes[:-1]])
    return Shape(
        np.concatenate([s.vertices for s in shapes]),
        np.concatenate([s.normals for s in shapes]),
        np.concatenate([s.uvs for s in shapes]),
        np.concatenate([s.faces + o for s, o in zip(shapes, offsets, strict=True)]),
    )


def grid_faces(rows: int, columns: int) -> Int[np.ndarray, "F 3"]:
    """Faces of a grid of (rows + 1) x (columns + 1) vertices, whose normal is (along columns) x (along rows)."""
    i, j = (index.ravel() for index in np.mgrid[:rows, :columns])
    a = i * (columns + 1) + j
    b, c, d = a + 1, a + columns + 2, a + columns + 1
    return np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def panel(corner: Vector, along: Vector, up: Vector, step: float) -> Shape:
    """A flat rectangle from its lower left `corner`, seen from its front: `along` to the right, `up` upward."""
    corner, along, up = (np.asarray(v, float) for v in (corner, along, up))
    width, height = float(np.linalg.norm(along)), float(np.linalg.norm(up))
    columns, rows = max(1, math.ceil(width / step)), max(1, math.ceil(height / step))
    t, s = np.meshgrid(np.linspace(0, 1, rows + 1), np.linspace(0, 1, columns + 1), indexing="ij")
    s, t = s.reshape(-1, 1), t.reshape(-1, 1)
    normal = np.cross(along, up) / (width * height)
    return Shape(
        corner + s * along + t * up,
        np.broadcast_to(normal, (len(s), 3)).copy(),
        np.concatenate([s * width, (1 - t) * height], 1),
        grid_faces(rows, columns),
    )


def wall(corner: Vector, along: Vector, up: Vector, holes: Sequence[tuple[float, float, float, float]], step: float):
    """A `panel` with rectangular holes (left, right, bottom, top), metres from the corner; none may overlap."""
    corner, along, up = (np.asarray(v, float) for v in (corner, along, up))
    width, height = float(np.linalg.norm(along)), float(np.linalg.norm(up))
    right, upward = along / width, up / height
    xs = sorted({0.0, width, *(x for hole in holes for x in hole[:2])})
    ys = sorted({0.0, height, *(y for hole in holes for y in hole[2:])})
    pieces = []
    for x0, x1 in pairwise(xs):
        for y0, y1 in pairwise(ys):
            if not any(h[0] <= x0 and x1 <= h[1] and h[2] <= y0 and y1 <= h[3] for h in holes):
                piece = panel(corner + x0 * right + y0 * upward, (x1 - x0) * right, (y1 - y0) * upward, step)
                pieces.append(piece.shifted(x0, height - y1))
    return join(pieces)


def box(size: Vector, step: float, *, middle: Vector = (0, 0, 0)) -> Shape:
    """A box of `size` (x, y, z); each side has its own stretch of the texture."""
    (w, h, d), m = (float(v) for v in size), np.asarray(middle, float)
    x, y, z = np.array([w, 0, 0.0]), np.array([0, h, 0.0]), np.array([0, 0, d])
    low = m - 0.5 * (x + y + z)
    sides = [
        panel(low + z, x, y, step),
        panel(low + x + z, -z, y, step).shifted(w, 0),
        panel(low + x, -x, y, step).shifted(w + d, 0),
        panel(low, z, y, step).shifted(2 * w + d, 0),
        panel(low + y + z, x, -z, step).shifted(0, h),
        panel(low, x, z, step).shifted(w, h),
    ]
    return join(sides)


def cushion(size: Vector, radius: float, step: float, *, middle: Vector = (0, 0, 0), puff: float = 0.0) -> Shape:
    """A box with round edges; `puff` in metres bulges its top and bottom outward."""
    size = np.asarray(size, float)
    square = box(size, step)
    inner = np.clip(square.vertices, -(size / 2 - radius), size / 2 - radius)
    outward = square.vertices - inner
    outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-9)
    normals = np.where(np.abs(outward).sum(1, keepdims=True) > 0, outward, square.normals)
    vertices = inner + radius * outward
    bulge = np.cos(np.pi * vertices[:, 0] / size[0]) * np.cos(np.pi * vertices[:, 2] / size[2])
    vertices[:, 1] += puff * bulge * np.sign(vertices[:, 1]) * np.abs(normals[:, 1])
    return replace(square, vertices=vertices + np.asarray(middle, float), normals=normals)


def revolve(profile: Sequence[tuple[float, float]], step: float, *, sides: int | None = None) -> Shape:
    """A surface of revolution about +Y from (radius, height) points going up on its outside."""
    points = _refined(np.asarray(profile, float), step)
    radius = float(points[:, 0].max())
    sides = sides or max(8, math.ceil(2 * math.pi * radius / step))
    angle = np.linspace(0, 2 * math.pi, sides + 1)
    tangent = np.gradient(points, axis=0)
    length = np.linalg.norm(tangent, axis=1, keepdims=True)
    slope = np.stack([tangent[:, 1], -tangent[:, 0]], 1) / np.maximum(length, 1e-12)
    run = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    circle = np.stack([np.sin(angle), np.zeros(sides + 1), np.cos(angle)], 1)
    up = np.array([0, 1.0, 0])
    vertices = points[:, :1, None] * circle[None] + points[:, 1, None, None] * up
    normals = slope[:, :1, None] * circle[None] + slope[:, 1, None, None] * up
    uvs = np.stack(np.broadcast_arrays(angle[None] * radius, (run[-1] - run)[:, None]), -1)
    faces = grid_faces(len(points) - 1, sides)
    return Shape(vertices.reshape(-1, 3), normals.reshape(-1, 3), uvs.reshape(-1, 2), faces)


def tube(path: Sequence[Vector] | np.ndarray, radius: float, *, sides: int = 8, step: float = 0.1) -> Shape:
    """A round rod or cable along a polyline."""
    points = _refined(np.asarray(path, float), step)
    tangent = np.gradient(points, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    side = np.empty_like(points)
    side[0] = np.cross(tangent[0], np.eye(3)[np.argmin(np.abs(tangent[0]))])
    for i in range(len(points)):
        previous = side[max(i - 1, 0)]
        across = previous - tangent[i] * (previous @ tangent[i])
        side[i] = across / np.linalg.norm(across)
    other = np.cross(tangent, side)
    angle = np.linspace(0, 2 * math.pi, sides + 1)
    normals = np.cos(angle)[None, :, None] * side[:, None] + np.sin(angle)[None, :, None] * other[:, None]
    run = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    uvs = np.stack(np.broadcast_arrays(angle[None] * radius, run[:, None]), -1).reshape(-1, 2)
    vertices = (points[:, None] + radius * normals).reshape(-1, 3)
    return Shape(vertices, normals.reshape(-1, 3), uvs, grid_faces(len(points) - 1, sides))


def sheet(points: Float[np.ndarray, "R C 3"], width_m: float, height_m: float) -> Shape:
    """A curved sheet through a grid of points, rows from bottom to top, columns to the right seen from its front."""
    rows, columns = points.shape[0] - 1, points.shape[1] - 1
    normals = np.cross(np.gradient(points, axis=1), np.gradient(points, axis=0))
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
    u, v = np.linspace(0, width_m, columns + 1), np.linspace(height_m, 0, rows + 1)
    uvs = np.stack(np.broadcast_arrays(u[None], v[:, None]), -1)
    return Shape(points.reshape(-1, 3), normals.reshape(-1, 3), uvs.reshape(-1, 2), grid_faces(rows, columns))


def leaves(
    roots: Float[np.ndarray, "N 3"], tips: Float[np.ndarray, "N 3"], widths: Float[np.ndarray, "N"], seed: int
) -> Shape:
    """Folded diamond leaves from root to tip, each with its own stretch of the texture."""
    rng = np.random.default_rng([seed, 0x1EAF])
    stem = tips - roots
    length = np.linalg.norm(stem, axis=1)
    across = np.cross(stem, rng.normal(size=roots.shape) + np.array([0, 1.5, 0]))
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    normal = np.cross(stem, across) / np.maximum(length, 1e-9)[:, None]
    widest = roots + 0.45 * stem + 0.06 * length[:, None] * normal
    half = 0.5 * widths[:, None] * across
    vertices = np.stack([roots, widest + half, tips, widest - half], 1)
    start = rng.uniform(0, 3, (len(roots), 1, 2))
    uvs = start + np.stack(
        [
            np.stack([0 * length, 0 * length], 1),
            np.stack([0.5 * widths, 0.45 * length], 1),
            np.stack([0 * length, length], 1),
            np.stack([-0.5 * widths, 0.45 * length], 1),
        ],
        1,
    )
    base = 4 * np.arange(len(roots))[:, None]
    faces = np.concatenate([base + np.array(half) for half in ((0, 2, 1), (0, 3, 2))])
    return Shape(vertices.reshape(-1, 3), np.repeat(normal, 4, 0), uvs.reshape(-1, 2), faces)


def _refined(points: np.ndarray, step: float) -> np.ndarray:
    """The polyline with points added so that no part is longer than `step`."""
    parts = [points[:1]]
    for a, b in pairwise(points):
        count = max(1, math.ceil(float(np.linalg.norm(b - a)) / step))
        parts.append(a + (b - a) * np.linspace(0, 1, count + 1)[1:, None])
    return np.concatenate(parts)
