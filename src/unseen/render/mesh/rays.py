"""Rays against triangle meshes: a bounding-volume hierarchy, nearest hits and occlusion, compiled with numba.

`hit` and `blocked` are kernels for other kernels: they take the arrays of a `RayMesh` as one tuple and a stack of
`STACK` integers that the caller allocates once per thread.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numba import njit

STACK = 64  # depth of the traversal; halving reaches 2^64 faces
LEAF_FACES = 4
PARALLEL = 1e-14  # determinant below which a ray counts as parallel to a face


class RayMesh(NamedTuple):
    """A mesh ready for rays.

    Attributes:
        bounds: boxes of the nodes, lower then upper corner, [M, 2, 3].
        links: per node (first child, -1) with the second child at first + 1, or (first slot, count) in a leaf, [M, 2].
        corners: v0, v1 - v0, v2 - v0 of the faces in leaf order, [F, 3, 3].
        order: face id of each slot, [F].
    """

    bounds: Float[np.ndarray, "M 2 3"]
    links: Int[np.ndarray, "M 2"]
    corners: Float[np.ndarray, "F 3 3"]
    order: Int[np.ndarray, "F"]


def ray_mesh(vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]) -> RayMesh:
    """Build the hierarchy: halves at the median of the longest side of the centroids' box."""
    corner = np.ascontiguousarray(vertices, np.float64)[faces]
    low, high = corner.min(1), corner.max(1)
    order = np.arange(len(faces), dtype=np.int32)
    bounds = np.zeros((2 * max(len(faces), 1), 2, 3))
    links = np.zeros((2 * max(len(faces), 1), 2), np.int32)
    count = _build(low, high, 0.5 * (low + high), order, bounds, links)
    corner = corner[order]
    corner[:, 1:] -= corner[:, :1]
    return RayMesh(bounds[:count].copy(), links[:count].copy(), np.ascontiguousarray(corner), order)


@njit(cache=True)
def _build(low, high, middle, order, bounds, links):
    start, end = np.zeros(len(links), np.int32), np.zeros(len(links), np.int32)
    end[0] = len(order)
    count, node = 1, 0
    while node < count:
        a, b = start[node], end[node]
        inner_low, inner_high = np.full(3, np.inf), np.full(3, -np.inf)
        bounds[node, 0], bounds[node, 1] = np.inf, -np.inf
        for slot in range(a, b):
            f = order[slot]
            for k in range(3):
                bounds[node, 0, k] = min(bounds[node, 0, k], low[f, k])
                bounds[node, 1, k] = max(bounds[node, 1, k], high[f, k])
                inner_low[k] = min(inner_low[k], middle[f, k])
                inner_high[k] = max(inner_high[k], middle[f, k])
        if b - a <= LEAF_FACES:
            links[node, 0], links[node, 1] = a, b - a
        else:
            axis = np.argmax(inner_high - inner_low)
            part = order[a:b].copy()
            order[a:b] = part[np.argsort(middle[part, axis], kind="mergesort")]
            half = (a + b) // 2
            links[node, 0], links[node, 1] = count, -1
            start[count], end[count] = a, half
            start[count + 1], end[count + 1] = half, b
            count += 2
        node += 1
    return count


@njit(cache=True, inline="always")
def _enter(box, ox, oy, oz, ix, iy, iz, reach):
    """Distance at which the ray enters the box, infinity when it misses it or enters beyond `reach`."""
    x0, x1 = (box[0, 0] - ox) * ix, (box[1, 0] - ox) * ix
    y0, y1 = (box[0, 1] - oy) * iy, (box[1, 1] - oy) * iy
    z0, z1 = (box[0, 2] - oz) * iz, (box[1, 2] - oz) * iz
    near = max(max(min(x0, x1), min(y0, y1)), max(min(z0, z1), 0.0))
    far = min(min(max(x0, x1), max(y0, y1)), max(z0, z1))
    return near if near <= far and near < reach else np.inf


@njit(cache=True, inline="always")
def _cross_face(c, ox, oy, oz, dx, dy, dz):
    """Distance and second and third barycentrics of the hit (Moeller and Trumbore 1997); distance -1 for a miss."""
    px, py, pz = dy * c[2, 2] - dz * c[2, 1], dz * c[2, 0] - dx * c[2, 2], dx * c[2, 1] - dy * c[2, 0]
    det = c[1, 0] * px + c[1, 1] * py + c[1, 2] * pz
    if abs(det) < PARALLEL:
        return -1.0, 0.0, 0.0
    inverse = 1.0 / det
    tx, ty, tz = ox - c[0, 0], oy - c[0, 1], oz - c[0, 2]
    u = (tx * px + ty * py + tz * pz) * inverse
    if u < 0.0 or u > 1.0:
        return -1.0, 0.0, 0.0
    qx, qy, qz = ty * c[1, 2] - tz * c[1, 1], tz * c[1, 0] - tx * c[1, 2], tx * c[1, 1] - ty * c[1, 0]
    v = (dx * qx + dy * qy + dz * qz) * inverse
    if v < 0.0 or u + v > 1.0:
        return -1.0, 0.0, 0.0
    return (c[2, 0] * qx + c[2, 1] * qy + c[2, 2] * qz) * inverse, u, v


@njit(cache=True, inline="always")
def _safe_inverse(x):
    return 1.0 / x if abs(x) > 1e-12 else (1e12 if x >= 0.0 else -1e12)


@njit(cache=True)
def hit(mesh, origin, direction, reach, stack):
    """Nearest face along a ray: (face id or -1, distance, second and third barycentrics of the hit)."""
    bounds, links, corners, order = mesh
    ox, oy, oz = origin
    dx, dy, dz = direction
    ix, iy, iz = _safe_inverse(dx), _safe_inverse(dy), _safe_inverse(dz)
    best, best_u, best_v, face = reach, 0.0, 0.0, -1
    top = 0
    if _enter(bounds[0], ox, oy, oz, ix, iy, iz, best) < np.inf:
        stack[0], top = 0, 1
    while top > 0:
        top -= 1
        node = stack[top]
        first, count = links[node, 0], links[node, 1]
        if count >= 0:
            for slot in range(first, first + count):
                t, u, v = _cross_face(corners[slot], ox, oy, oz, dx, dy, dz)
                if t > 0.0 and t < best:
                    best, best_u, best_v, face = t, u, v, order[slot]
            continue
        a = _enter(bounds[first], ox, oy, oz, ix, iy, iz, best)
        b = _enter(bounds[first + 1], ox, oy, oz, ix, iy, iz, best)
        if a <= b:
            if b < np.inf:
                stack[top] = first + 1
                top += 1
            if a < np.inf:
                stack[top] = first
                top += 1
        else:
            if a < np.inf:
                stack[top] = first
                top += 1
            stack[top] = first + 1
            top += 1
    return face, best, best_u, best_v


@njit(cache=True)
def blocked(mesh, origin, direction, reach, stack):
    """Whether anything lies on the ray nearer than `reach`."""
    bounds, links, corners, _ = mesh
    ox, oy, oz = origin
    dx, dy, dz = direction
    ix, iy, iz = _safe_inverse(dx), _safe_inverse(dy), _safe_inverse(dz)
    stack[0], top = 0, 1
    while top > 0:
        top -= 1
        node = stack[top]
        if _enter(bounds[node], ox, oy, oz, ix, iy, iz, reach) == np.inf:
            continue
        first, count = links[node, 0], links[node, 1]
        if count < 0:
            stack[top] = first
            stack[top + 1] = first + 1
            top += 2
            continue
        for slot in range(first, first + count):
            t, _, _ = _cross_face(corners[slot], ox, oy, oz, dx, dy, dz)
            if t > 0.0 and t < reach:
                return True
    return False
