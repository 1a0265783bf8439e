"""Light of little worlds: one sun, light from all around kept off by what stands in its way, lamps.

A surface's radiance is its reflectance times the light; a white surface under full light shows about 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numba import njit

from unseen.synthetic.optics import smooth
from unseen.synthetic.worlds.casting import FAR_M, cast_parallel
from unseen.synthetic.worlds.shapes import Table

SUN_SIDE, ROUND_SIDE = 640, 144
AROUND, AROUND_ELEVATION_RAD = 6, math.radians(27)
OVERHEAD = 0.45  # share of a level surface's light that comes straight from above
CORNER_M, CORNER_SHARE = 0.45, 0.30  # how far and how much a room's corners are darker


class Lamp(NamedTuple):
    """A ball of light: centre and linear RGB light at one metre."""

    centre: tuple[float, float, float]
    color: tuple[float, float, float]


class Mood(NamedTuple):
    """The light of a scene before anything stands in it.

    Attributes:
        toward_sun: unit direction, [3].
        sun, ambient: linear RGB on a white surface that faces the sun, and on one that faces up, [3].
        bounce: light from below relative to `ambient`.
        lamps: balls of light.
        openings: windows that the sun shines in through: lowest and highest corner of a flat box, [W, 2, 3]; outdoors
            none.
        room: lowest and highest corner of the room, [2, 3]; outdoors infinite.
    """

    toward_sun: Float[np.ndarray, "3"]
    sun: Float[np.ndarray, "3"]
    ambient: Float[np.ndarray, "3"]
    bounce: float
    lamps: Sequence[Lamp]
    openings: Float[np.ndarray, "W 2 3"]
    room: Float[np.ndarray, "2 3"]


class Light(NamedTuple):
    """Light and shadow maps as arrays for compiled shaders; D directions, the first is the sun's."""

    toward: Float[np.ndarray, "D 3"]
    colors: Float[np.ndarray, "D 3"]
    axes: Float[np.ndarray, "D 3 3"]
    centre: Float[np.ndarray, "3"]
    extent: float
    sun_map: Float[np.ndarray, "M M"]
    round_maps: Float[np.ndarray, "D N N"]
    bounce: Float[np.ndarray, "3"]
    lamps: Float[np.ndarray, "L 6"]
    openings: Float[np.ndarray, "W 2 3"]
    room: Float[np.ndarray, "2 3"]


def lit_by(mood: Mood, table: Table, low: Float[np.ndarray, "3"], high: Float[np.ndarray, "3"]) -> Light:
    """Shadow maps of the shapes between two corners, for the sun and all around."""
    turns = 2 * math.pi * (np.arange(AROUND) + 0.37) / AROUND
    c, s = math.cos(AROUND_ELEVATION_RAD), math.sin(AROUND_ELEVATION_RAD)
    around = np.stack([c * np.sin(turns), np.full(AROUND, s), c * np.cos(turns)], 1)
    toward = np.concatenate([mood.toward_sun[None], [[0.0, 1.0, 0.0]], around])
    shares = np.array([OVERHEAD, *[(1 - OVERHEAD) / (AROUND * s)] * AROUND])
    colors = np.concatenate([mood.sun[None], shares[:, None] * mood.ambient])
    axes = np.stack([_axes(-t) for t in toward])
    centre, extent = (low + high) / 2, float(np.linalg.norm(high - low) / 2)
    inverses, plain = np.linalg.inv(table.into), tuple(table)
    sun_map = np.full((SUN_SIDE, SUN_SIDE), FAR_M)
    cast_parallel(plain, inverses, axes[0], centre, extent, sun_map)
    round_maps = np.full((len(toward), ROUND_SIDE, ROUND_SIDE), FAR_M)
    for k in range(1, len(toward)):
        cast_parallel(plain, inverses, axes[k], centre, extent, round_maps[k])
    lamps = np.array([(*lamp.centre, *lamp.color) for lamp in mood.lamps], float).reshape(-1, 6)
    return Light(
        toward, colors, axes, centre, extent, sun_map, round_maps, mood.bounce * mood.ambient, lamps,
        mood.openings, mood.room,
    )  # fmt: skip


def _axes(forward: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """Right, up and forward of a map."""
    aside = np.array([0.0, 0.0, 1.0]) if abs(forward[1]) > 0.9 else np.array([0.0, 1.0, 0.0])
    right = np.cross(forward, aside)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(right, forward), forward])


@njit(cache=True)
def _open(depth, axes, centre, extent, x, y, z, bias):
    """Share of a parallel light that reaches a point: four texels of its map, weighted by nearness."""
    size = depth.shape[0]
    x, y, z = x - centre[0], y - centre[1], z - centre[2]
    a = (axes[0, 0] * x + axes[0, 1] * y + axes[0, 2] * z + extent) * size / (2.0 * extent) - 0.5
    b = (axes[1, 0] * x + axes[1, 1] * y + axes[1, 2] * z + extent) * size / (2.0 * extent) - 0.5
    w = axes[2, 0] * x + axes[2, 1] * y + axes[2, 2] * z - bias
    i, j = int(math.floor(b)), int(math.floor(a))
    if i < 0 or j < 0 or i >= size - 1 or j >= size - 1:
        return 1.0
    fa, fb = a - j, b - i
    top = (1.0 - fa) * (w <= depth[i, j]) + fa * (w <= depth[i, j + 1])
    low = (1.0 - fa) * (w <= depth[i + 1, j]) + fa * (w <= depth[i + 1, j + 1])
    return (1.0 - fb) * top + fb * low


@njit(cache=True)
def _soft(depth, axes, centre, extent, x, y, z, bias, reach):
    """The mean of `_open` at a few places `reach` apart: a soft edge."""
    total = 0.0
    for i in range(-1, 2):
        for j in range(-1, 2):
            a, b = i * reach, j * reach
            total += _open(
                depth, axes, centre, extent, x + a * axes[0, 0] + b * axes[1, 0], y + a * axes[0, 1] + b * axes[1, 1],
                z + a * axes[0, 2] + b * axes[1, 2], bias,
            )  # fmt: skip
    return total / 9.0


@njit(cache=True)
def _through(openings, x, y, z, toward):
    """Share of the sun that comes in through windows; 1 outdoors."""
    if not len(openings):
        return 1.0
    p = (x, y, z)
    share = 0.0
    for w in range(len(openings)):
        low, high = openings[w, 0], openings[w, 1]
        axis = 0 if high[0] - low[0] < high[2] - low[2] else 2
        if toward[axis] == 0.0:
            continue
        t = (low[axis] - p[axis]) / toward[axis]
        if t <= 0.0:
            continue
        other = 2 - axis
        a, b = p[other] + t * toward[other], p[1] + t * toward[1]
        edge = min(min(a - low[other], high[other] - a), min(b - low[1], high[1] - b))
        bar = min(abs(a - 0.5 * (low[other] + high[other])), abs(b - 0.5 * (low[1] + high[1])))
        share = max(share, smooth(-0.02, 0.04, edge) * smooth(0.0, 0.05, bar))
    return share


@njit(cache=True)
def _corner(room, x, y, z, nx, ny, nz):
    """How dark the corners of a room are."""
    out = 1.0
    for axis in range(3):
        p = x if axis == 0 else (y if axis == 1 else z)
        n = nx if axis == 0 else (ny if axis == 1 else nz)
        for side in range(2):
            gap = abs(p - room[side, axis])
            if gap < 6.0 * CORNER_M and abs(n) < 0.9:
                out *= 1.0 - CORNER_SHARE * math.exp(-gap / CORNER_M)
    return out


@njit(cache=True)
def light_at(light, x, y, z, nx, ny, nz):
    """Linear RGB light on a surface with a unit normal."""
    toward, colors, axes, centre, extent, sun_map, round_maps, bounce, lamps, openings, room = light
    texel = 2.0 * extent / round_maps.shape[1]
    px, py, pz = x + 0.8 * texel * nx, y + 0.8 * texel * ny, z + 0.8 * texel * nz
    below = 0.5 - 0.5 * ny
    r, g, b = bounce[0] * below, bounce[1] * below, bounce[2] * below
    for k in range(1, len(toward)):
        c = toward[k, 0] * nx + toward[k, 1] * ny + toward[k, 2] * nz
        if c > 0.0:
            c *= 0.15 + 0.85 * _open(round_maps[k], axes[k], centre, extent, px, py, pz, 0.4 * texel)
            r, g, b = r + c * colors[k, 0], g + c * colors[k, 1], b + c * colors[k, 2]
    dim = _corner(room, x, y, z, nx, ny, nz)
    r, g, b = r * dim, g * dim, b * dim
    c = toward[0, 0] * nx + toward[0, 1] * ny + toward[0, 2] * nz
    if c > 0.0:
        c *= _through(openings, x, y, z, toward[0])
    if c > 0.0:
        fine = 2.0 * extent / sun_map.shape[0]
        c *= _soft(
            sun_map, axes[0], centre, extent, x + 1.5 * fine * nx, y + 1.5 * fine * ny, z + 1.5 * fine * nz,
            1.5 * fine, 0.9 * fine,
        )  # fmt: skip
        r, g, b = r + c * colors[0, 0], g + c * colors[0, 1], b + c * colors[0, 2]
    for k in range(len(lamps)):
        dx, dy, dz = lamps[k, 0] - x, lamps[k, 1] - y, lamps[k, 2] - z
        gap2 = dx * dx + dy * dy + dz * dz
        c = 0.25 + 0.75 * max(0.0, (dx * nx + dy * ny + dz * nz) / math.sqrt(gap2 + 1e-9))
        c /= gap2 + 0.3
        r, g, b = r + c * lamps[k, 3], g + c * lamps[k, 4], b + c * lamps[k, 5]
    return r, g, b
