"""Rays against shapes, shape by shape: each is tried only at the samples that the box around it covers."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from unseen.synthetic.worlds.shapes import BALL, BOX

NEAR_M = 0.02
FAR_M = 1e9
NONE = -1


@njit(cache=True, inline="always")
def _plane(num, slope, near, far):
    """Clip the interval [near, far] of a ray by one plane: inside where slope * t <= num."""
    if slope < 0.0:
        near = max(near, num / slope)
    elif slope > 0.0:
        far = min(far, num / slope)
    elif num < 0.0:
        near = FAR_M
    return near, far


@njit(cache=True)
def _box_hit(tx, tz, ox, oy, oz, dx, dy, dz):
    near, far = -FAR_M, FAR_M
    near, far = _plane(1.0 - oy, dy, near, far)
    near, far = _plane(1.0 + oy, -dy, near, far)
    a, b = 0.5 + 0.5 * tx, 0.5 * tx - 0.5
    near, far = _plane(a + b * oy - ox, dx - b * dy, near, far)
    near, far = _plane(a + b * oy + ox, -dx - b * dy, near, far)
    a, b = 0.5 + 0.5 * tz, 0.5 * tz - 0.5
    near, far = _plane(a + b * oy - oz, dz - b * dy, near, far)
    near, far = _plane(a + b * oy + oz, -dz - b * dy, near, far)
    return near if near < far and near > 0.0 else FAR_M


@njit(cache=True)
def _tube_hit(taper, ox, oy, oz, dx, dy, dz):
    a, b = 0.5 + 0.5 * taper, 0.5 * taper - 0.5
    r = a + b * oy
    qa = dx * dx + dz * dz - b * b * dy * dy
    qb = ox * dx + oz * dz - r * b * dy
    qc = ox * ox + oz * oz - r * r
    best, disc = FAR_M, qb * qb - qa * qc
    if disc >= 0.0 and abs(qa) > 1e-12:
        root = math.sqrt(disc)
        for sign in (-1.0, 1.0):
            t = (-qb + sign * root) / qa
            y = oy + t * dy
            if 0.0 < t < best and -1.0 <= y <= 1.0 and a + b * y >= 0.0:
                best = t
    if dy != 0.0:
        for end in (-1.0, 1.0):
            t = (end - oy) / dy
            x, z, s = ox + t * dx, oz + t * dz, a + b * end
            if 0.0 < t < best and x * x + z * z <= s * s:
                best = t
    return best


@njit(cache=True)
def _ball_hit(ox, oy, oz, dx, dy, dz):
    qa = dx * dx + dy * dy + dz * dz
    qb = ox * dx + oy * dy + oz * dz
    disc = qb * qb - qa * (ox * ox + oy * oy + oz * oz - 1.0)
    if disc < 0.0:
        return FAR_M
    t = (-qb - math.sqrt(disc)) / qa
    return t if t > 0.0 else FAR_M


@njit(cache=True)
def _hit(kind, taper, ox, oy, oz, dx, dy, dz):
    """Parameter at which a ray in unit coordinates enters a shape, FAR_M when it does not."""
    if kind == BOX:
        return _box_hit(taper[0], taper[1], ox, oy, oz, dx, dy, dz)
    if kind == BALL:
        return _ball_hit(ox, oy, oz, dx, dy, dz)
    return _tube_hit(taper[0], ox, oy, oz, dx, dy, dz)


@njit(cache=True)
def _corners(inverse, centre, out):
    """The eight corners of the box around a shape, in the world."""
    for k in range(8):
        sx, sy, sz = (k & 1) * 2.0 - 1.0, (k >> 1 & 1) * 2.0 - 1.0, (k >> 2) * 2.0 - 1.0
        for i in range(3):
            out[k, i] = centre[i] + inverse[i, 0] * sx + inverse[i, 1] * sy + inverse[i, 2] * sz


@njit(cache=True, inline="always")
def _widen(span, x, y, z, k):
    u, v = k[0, 0] * x / z + k[0, 2], k[1, 1] * y / z + k[1, 2]
    span[0], span[1] = min(span[0], u), max(span[1], u)
    span[2], span[3] = min(span[2], v), max(span[3], v)


@njit(cache=True)
def _span(corners, viewmat, k, local, span):
    """Least and greatest pixel coordinates of what of a box lies before the camera; False when nothing does."""
    for i in range(8):
        for j in range(3):
            local[i, j] = (
                viewmat[j, 0] * corners[i, 0] + viewmat[j, 1] * corners[i, 1] + viewmat[j, 2] * corners[i, 2]
            ) + viewmat[j, 3]
    span[0], span[1], span[2], span[3] = FAR_M, -FAR_M, FAR_M, -FAR_M
    for i in range(8):
        if local[i, 2] >= NEAR_M:
            _widen(span, local[i, 0], local[i, 1], local[i, 2], k)
        for bit in (1, 2, 4):
            j = i | bit
            if i != j and (local[i, 2] < NEAR_M) != (local[j, 2] < NEAR_M):
                s = (NEAR_M - local[i, 2]) / (local[j, 2] - local[i, 2])
                x = local[i, 0] + s * (local[j, 0] - local[i, 0])
                y = local[i, 1] + s * (local[j, 1] - local[i, 1])
                _widen(span, x, y, NEAR_M, k)
    return span[0] < span[1]


@njit(cache=True)
def cast(table, inverses, viewmat, k, depth, owner):
    """Nearest shape at the samples of one view.

    Args:
        table: shapes, as a plain tuple.
        inverses: unit coordinates to world offsets, [S, 3, 3].
        viewmat, k: world to camera [4, 4] and intrinsics [3, 3], in samples.
        depth: z depth so far, lowered in place, [H, W].
        owner: index of the shape, set in place, [H, W].
    """
    kinds, centres, into, _, tapers = table[:5]
    height, width = depth.shape
    corners, local, span = np.empty((8, 3)), np.empty((8, 3)), np.empty(4)
    o, d0, du, dv, back = np.empty(3), np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    for i in range(3):
        back[i] = -(
            viewmat[0, i] * viewmat[0, 3] + viewmat[1, i] * viewmat[1, 3] + viewmat[2, i] * viewmat[2, 3]
        )  # where the camera is
    for s in range(len(kinds)):
        _corners(inverses[s], centres[s], corners)
        if not _span(corners, viewmat, k, local, span):
            continue
        left, right = max(0, int(math.ceil(span[0] - 0.5))), min(width, int(math.floor(span[1] - 0.5)) + 1)
        top, bottom = max(0, int(math.ceil(span[2] - 0.5))), min(height, int(math.floor(span[3] - 0.5)) + 1)
        for i in range(3):
            m = into[s, i]
            o[i] = (
                m[0] * (back[0] - centres[s, 0]) + m[1] * (back[1] - centres[s, 1]) + m[2] * (back[2] - centres[s, 2])
            )
            du[i] = (m[0] * viewmat[0, 0] + m[1] * viewmat[0, 1] + m[2] * viewmat[0, 2]) / k[0, 0]
            dv[i] = (m[0] * viewmat[1, 0] + m[1] * viewmat[1, 1] + m[2] * viewmat[1, 2]) / k[1, 1]
            d0[i] = m[0] * viewmat[2, 0] + m[1] * viewmat[2, 1] + m[2] * viewmat[2, 2]
        for y in range(top, bottom):
            v = y + 0.5 - k[1, 2]
            for x in range(left, right):
                u = x + 0.5 - k[0, 2]
                t = _hit(
                    kinds[s], tapers[s], o[0], o[1], o[2],
                    d0[0] + u * du[0] + v * dv[0], d0[1] + u * du[1] + v * dv[1], d0[2] + u * du[2] + v * dv[2],
                )  # fmt: skip
                if t < depth[y, x]:
                    depth[y, x] = t
                    owner[y, x] = s


@njit(cache=True)
def cast_parallel(table, inverses, axes, centre, extent, depth):
    """Nearest shape along parallel rays: a shadow map.

    Args:
        table, inverses: as in `cast`.
        axes: right, up and forward (the way light travels), [3, 3].
        centre: middle of the map, [3].
        extent: half its side, metres.
        depth: offset from the centre along forward, lowered in place, [N, N].
    """
    kinds, centres, into, _, tapers = table[:5]
    shades = table[8]
    size = depth.shape[0]
    step = 2.0 * extent / size
    corners = np.empty((8, 3))
    o0, d, ou, ov = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    start = 4.0 * extent
    for s in range(len(kinds)):
        if not shades[s]:
            continue
        _corners(inverses[s], centres[s], corners)
        least_u, most_u, least_v, most_v = FAR_M, -FAR_M, FAR_M, -FAR_M
        for i in range(8):
            u, v = 0.0, 0.0
            for j in range(3):
                u += axes[0, j] * (corners[i, j] - centre[j])
                v += axes[1, j] * (corners[i, j] - centre[j])
            least_u, most_u, least_v, most_v = min(least_u, u), max(most_u, u), min(least_v, v), max(most_v, v)
        left = max(0, int(math.ceil((least_u + extent) / step - 0.5)))
        right = min(size, int(math.floor((most_u + extent) / step - 0.5)) + 1)
        top = max(0, int(math.ceil((least_v + extent) / step - 0.5)))
        bottom = min(size, int(math.floor((most_v + extent) / step - 0.5)) + 1)
        for i in range(3):
            m = into[s, i]
            o0[i], d[i], ou[i], ov[i] = 0.0, 0.0, 0.0, 0.0
            for j in range(3):
                o0[i] += m[j] * (centre[j] - start * axes[2, j] - centres[s, j])
                d[i] += m[j] * axes[2, j]
                ou[i] += m[j] * axes[0, j]
                ov[i] += m[j] * axes[1, j]
        for y in range(top, bottom):
            v = (y + 0.5) * step - extent
            for x in range(left, right):
                u = (x + 0.5) * step - extent
                t = _hit(
                    kinds[s], tapers[s],
                    o0[0] + u * ou[0] + v * ov[0], o0[1] + u * ou[1] + v * ov[1], o0[2] + u * ou[2] + v * ov[2],
                    d[0], d[1], d[2],
                )  # fmt: skip
                if t < FAR_M:
                    depth[y, x] = min(depth[y, x], t - start)
