"""Normals and painted patterns of shapes, for compiled shaders."""

from __future__ import annotations

import math

from numba import njit

from unseen.synthetic.noise import gradient_noise, hash_unit
from unseen.synthetic.optics import smooth
from unseen.synthetic.worlds.shapes import (
    BALL, BLOTCHES, BOOKS, BORDER, BOX, CHECKS, GRADIENT, PICTURE, PLANKS, STRIPES, TILES,
)  # fmt: skip


@njit(cache=True)
def face_of(kind, taper, x, y, z):
    """Which face a surface point in unit coordinates lies on: 0 and 1 along x, 2 and 3 along y, 4 and 5 along z, the
    even ones on the positive side; the mantle of a tube and a ball are 0."""
    if kind == BALL:
        return 0
    top = abs(y) - 1.0
    ax, bx = 0.5 + 0.5 * taper[0], 0.5 * taper[0] - 0.5
    if kind == BOX:
        az, bz = 0.5 + 0.5 * taper[1], 0.5 * taper[1] - 0.5
        ex, ez = abs(x) - ax - bx * y, abs(z) - az - bz * y
        if top >= ex and top >= ez:
            return 2 if y > 0.0 else 3
        if ex >= ez:
            return 0 if x > 0.0 else 1
        return 4 if z > 0.0 else 5
    if top >= math.sqrt(x * x + z * z) - ax - bx * y:
        return 2 if y > 0.0 else 3
    return 0


@njit(cache=True)
def unit_normal(kind, taper, face, x, y, z):
    """Gradient of the surface in unit coordinates (not of length 1) at a point of a face."""
    if kind == BALL:
        return x, y, z
    if face == 2:
        return 0.0, 1.0, 0.0
    if face == 3:
        return 0.0, -1.0, 0.0
    if kind == BOX:
        if face < 2:
            return (1.0 if face == 0 else -1.0), 0.5 - 0.5 * taper[0], 0.0
        return 0.0, 0.5 - 0.5 * taper[1], (1.0 if face == 4 else -1.0)
    r = math.sqrt(x * x + z * z) + 1e-9
    return x / r, 0.5 - 0.5 * taper[0], z / r


@njit(cache=True, inline="always")
def _two(face, x, y, z):
    """Coordinates along a face and up (for a horizontal face: along x and z) from three."""
    if face == 0 or face == 1:
        return z, y
    if face == 2 or face == 3:
        return x, z
    return x, y


@njit(cache=True)
def painted(pattern, face, kind, x, y, z, halves, first, second, period):
    """Linear RGB at a point in unit coordinates."""
    u, v = _two(face, x, y, z)
    if kind != BOX and (face == 0):
        u, v = math.atan2(x, z) / math.pi, y
    hu, hv = _two(face, halves[0], halves[1], halves[2])
    mu, mv = u * hu, v * hv
    share, tone = 0.0, 1.0
    if pattern == STRIPES:
        share = 1.0 if math.floor(mu / period) % 2 == 0 else 0.0
    elif pattern == CHECKS:
        share = 1.0 if (math.floor(mu / period) + math.floor(mv / period)) % 2 == 0 else 0.0
    elif pattern == PLANKS:
        row = math.floor(mu / period)
        run = mv / (7.0 * period) + hash_unit(int(row), 0, 1, 7)
        share = hash_unit(int(row), int(math.floor(run)), 2, 7)
        seam = min(mu / period - row, row + 1.0 - mu / period)
        tone = 0.72 + 0.28 * smooth(0.0, 0.09, seam)
    elif pattern == TILES:
        a, b = mu / period, mv / period
        edge = min(min(a - math.floor(a), math.ceil(a) - a), min(b - math.floor(b), math.ceil(b) - b))
        share = 1.0 - smooth(0.02, 0.07, edge)
        tone = 0.94 + 0.12 * hash_unit(int(math.floor(a)), int(math.floor(b)), 3, 7)
    elif pattern == GRADIENT:
        share = 0.5 - 0.5 * y
    elif pattern == BLOTCHES:
        share = min(1.0, max(0.0, 0.5 + 0.9 * gradient_noise(
            x * halves[0] / period + 3.0, y * halves[1] / period, z * halves[2] / period, 5)))  # fmt: skip
    elif pattern == BORDER:
        share = 1.0 if min(hu - abs(mu), hv - abs(mv)) < period else 0.0
        if kind != BOX:
            share = 1.0 if (1.0 - math.sqrt(x * x + z * z)) * halves[0] < period else 0.0
    elif pattern == BOOKS:
        return _books(face, mu, mv, period, first, second)
    elif pattern == PICTURE:
        return _picture(u, v, first, second)
    return (
        tone * (first[0] + share * (second[0] - first[0])),
        tone * (first[1] + share * (second[1] - first[1])),
        tone * (first[2] + share * (second[2] - first[2])),
    )


@njit(cache=True)
def _books(face, u, v, period, first, second):
    """A row of backs of different colours between the two given and bright ones, uneven at the top."""
    column = int(math.floor(u / period))
    h = hash_unit(column, int(math.floor(first[0] * 997.0)), 4, 9)
    tone = 0.55 + 0.75 * hash_unit(column, 1, 5, 9)
    r, g, b = first[0] + h * (second[0] - first[0]), first[1] + h * (second[1] - first[1]), 0.0
    b = first[2] + h * (second[2] - first[2])
    if hash_unit(column, 2, 6, 9) < 0.3:
        r, g, b = 0.72, 0.62, 0.45
    return tone * r, tone * g, tone * b


@njit(cache=True)
def _picture(u, v, first, second):
    """A disc over a hill, in two colours and cream."""
    hill = -0.25 + 0.3 * math.sin(2.2 * u + first[0] * 9.0)
    if v < hill:
        return second[0], second[1], second[2]
    if (u - 0.3) ** 2 + (v - 0.35) ** 2 < 0.07:
        return 0.85, 0.78, 0.6
    return first[0], first[1], first[2]
