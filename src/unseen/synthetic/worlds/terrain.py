"""Ground that rises and falls, and the sky's dome over it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numba import njit
from scipy.ndimage import maximum_filter, zoom

from unseen.synthetic.noise import gradient_noise, hash_unit
from unseen.synthetic.optics import smooth

DOME_M = 36.0
"""Radius of the sky around the origin: what a landscape shows farthest."""
REACH_M = 37.0
CELLS = 256
BLOCK = 8  # samples of the ground along a block, over which rays skip
LEAST_STEP_M, FAR = 0.06, 1e9
STARS = 26.0


class Ground(NamedTuple):
    """A square of ground of REACH_M to each side, sampled at G x G places [z, x].

    Attributes:
        heights: metres, [G, G].
        normals: unit, [G, G, 3].
        colors: linear RGB reflectance, [G, G, 3].
        things: index of the thing that lies there, [G, G].
        blocks: the highest ground and the steepest slope of each block (`blocks_of`), [B, B, 2].
    """

    heights: Float[np.ndarray, "G G"]
    normals: Float[np.ndarray, "G G 3"]
    colors: Float[np.ndarray, "G G 3"]
    things: Int[np.ndarray, "G G"]
    blocks: Float[np.ndarray, "B B 2"]


class Sky(NamedTuple):
    """What the dome shows, linear RGB as displayed.

    Attributes:
        zenith, horizon: colours above and at the horizon, [3].
        glow: colour around the sun or moon, [3].
        toward: unit direction of the sun or moon, [3].
        disc: cosine of its radius as seen from the origin.
        clouds: share of the sky under clouds, 0 for none.
        cloud: their colour, [3].
        stars: brightness of stars.
        seed: of clouds and stars.
        haze: share of the horizon's colour in what lies REACH_M away.
        thing: index of the sky among the things.
    """

    zenith: Float[np.ndarray, "3"]
    horizon: Float[np.ndarray, "3"]
    glow: Float[np.ndarray, "3"]
    toward: Float[np.ndarray, "3"]
    disc: float
    clouds: float
    cloud: Float[np.ndarray, "3"]
    stars: float
    seed: int
    haze: float
    thing: int


def lattice() -> tuple[Float[np.ndarray, "G G"], Float[np.ndarray, "G G"]]:
    """x and z of the ground's samples."""
    line = (np.arange(CELLS) + 0.5) / CELLS * 2 * REACH_M - REACH_M
    return np.meshgrid(line, line)


def bumps(rng: np.random.Generator, cell_m: float) -> Float[np.ndarray, "G G"]:
    """Smooth random numbers of unit spread that vary over `cell_m`."""
    side = math.ceil(2 * REACH_M / cell_m) + 3
    factor = CELLS / (side - 3)
    field = zoom(rng.normal(size=(side, side)), factor, order=3, mode="nearest", grid_mode=True)
    start = (field.shape[0] - CELLS) // 2
    return field[start : start + CELLS, start : start + CELLS]


def slopes(heights: Float[np.ndarray, "G G"]) -> Float[np.ndarray, "G G 3"]:
    """Unit normals of the ground."""
    dz, dx = np.gradient(heights, 2 * REACH_M / CELLS)
    normals = np.stack([-dx, np.ones_like(dx), -dz], -1)
    return normals / np.linalg.norm(normals, axis=-1, keepdims=True)


def blocks_of(heights: Float[np.ndarray, "G G"]) -> Float[np.ndarray, "B B 2"]:
    """The highest ground, and a bound of its slope, in and at the edges of each block of BLOCK x BLOCK samples."""
    cell = 2 * REACH_M / CELLS
    rise = [np.abs(np.diff(heights, axis=axis, append=heights.take([-1], axis))) / cell for axis in (0, 1)]
    values = (heights, np.hypot(*(maximum_filter(r, 3, mode="nearest") for r in rise)))
    wide = [maximum_filter(v, BLOCK + 3, mode="nearest")[BLOCK // 2 :: BLOCK, BLOCK // 2 :: BLOCK] for v in values]
    return np.ascontiguousarray(np.stack(wide, -1))


def height_at(heights: Float[np.ndarray, "G G"], x: float, z: float) -> float:
    """Height of the ground at one place."""
    return float(level(heights, x, z))


@njit(cache=True, inline="always")
def _cell(x, z):
    a, b = (x + REACH_M) * CELLS / (2.0 * REACH_M) - 0.5, (z + REACH_M) * CELLS / (2.0 * REACH_M) - 0.5
    a, b = min(max(a, 0.0), CELLS - 1.001), min(max(b, 0.0), CELLS - 1.001)
    j, i = int(a), int(b)
    return i, j, a - j, b - i


@njit(cache=True)
def level(heights, x, z):
    """Height of the ground, linear between its samples."""
    i, j, fa, fb = _cell(x, z)
    top = heights[i, j] + fa * (heights[i, j + 1] - heights[i, j])
    low = heights[i + 1, j] + fa * (heights[i + 1, j + 1] - heights[i + 1, j])
    return top + fb * (low - top)


@njit(cache=True)
def _blend(values, x, z):
    i, j, fa, fb = _cell(x, z)
    wa, wb, wc, wd = (1 - fa) * (1 - fb), fa * (1 - fb), (1 - fa) * fb, fa * fb
    a, b, c, d = values[i, j], values[i, j + 1], values[i + 1, j], values[i + 1, j + 1]
    return (
        wa * a[0] + wb * b[0] + wc * c[0] + wd * d[0],
        wa * a[1] + wb * b[1] + wc * c[1] + wd * d[1],
        wa * a[2] + wb * b[2] + wc * c[2] + wd * d[2],
    )


@njit(cache=True)
def reach(heights, blocks, highest, ox, oy, oz, dx, dy, dz, limit):
    """Where a ray meets the ground or else the dome.

    Args:
        heights, blocks: of the ground.
        highest: of all heights.
        ox, oy, oz, dx, dy, dz: the ray.
        limit: parameter at which something else stands.

    Returns:
        The parameter, at most `limit`, and whether it is the ground's.
    """
    qa, qb = dx * dx + dy * dy + dz * dz, ox * dx + oy * dy + oz * dz
    dome = (-qb + math.sqrt(qb * qb - qa * (ox * ox + oy * oy + oz * oz - DOME_M * DOME_M))) / qa
    end, speed = min(dome, limit), math.sqrt(dx * dx + dz * dz) + 1e-9
    t, side = 0.0, 2.0 * REACH_M / len(blocks)
    while t < end and (dy <= 0.0 or oy + t * dy <= highest):
        x, z = ox + t * dx, oz + t * dz
        i, j = int((z + REACH_M) / side), int((x + REACH_M) / side)
        i, j = min(max(i, 0), len(blocks) - 1), min(max(j, 0), len(blocks) - 1)
        out = min(t + min(_leaves(x, dx, j, side), _leaves(z, dz, i, side)) + 1e-4 / speed, end)
        if oy + min(t * dy, out * dy) <= blocks[i, j, 0]:
            hit = _within(heights, ox, oy, oz, dx, dy, dz, t, out, speed, blocks[i, j, 1] * speed - dy)
            if hit < FAR:
                return hit, True
        t = out
    return end, False


@njit(cache=True, inline="always")
def _leaves(x, dx, j, side):
    """How long until a ray leaves a block, along one axis."""
    if dx > 0.0:
        return max(0.0, ((j + 1) * side - REACH_M - x) / dx)
    if dx < 0.0:
        return max(0.0, (j * side - REACH_M - x) / dx)
    return FAR


@njit(cache=True)
def _within(heights, ox, oy, oz, dx, dy, dz, start, end, speed, rate):
    """Where between two parameters a ray, which nears the ground by `rate` at most, dives under it; FAR if nowhere."""
    t = start
    gap = oy + t * dy - level(heights, ox + t * dx, oz + t * dz)
    if gap <= 0.0:
        return t
    while t < end and rate > 0.0:
        before, last = t, gap
        t += max(gap / rate, LEAST_STEP_M / speed)
        if t > end:
            if before + gap / rate >= end:
                return FAR
            t = end
        gap = oy + t * dy - level(heights, ox + t * dx, oz + t * dz)
        if gap <= 0.0:
            return _crossing(heights, ox, oy, oz, dx, dy, dz, before, t, last, gap)
    return FAR


@njit(cache=True)
def _crossing(heights, ox, oy, oz, dx, dy, dz, a, b, above, below):
    """Where between a and b a ray meets the ground: regula falsi."""
    t = b
    for _ in range(4):
        t = a + (b - a) * above / (above - below + 1e-12)
        gap = oy + t * dy - level(heights, ox + t * dx, oz + t * dz)
        if gap > 0.0:
            a, above = t, gap
        else:
            b, below = t, gap
    return t


@njit(cache=True)
def ground_look(ground, x, z):
    """Normal and reflectance at a place, and its thing."""
    heights, normals, colors, things, _ = ground
    i, j, fa, fb = _cell(x, z)
    return _blend(normals, x, z), _blend(colors, x, z), things[i + (fb > 0.5), j + (fa > 0.5)]


@njit(cache=True)
def sky_color(sky, x, y, z):
    """What the dome shows in a unit direction from the origin."""
    zenith, horizon, glow, toward, disc, clouds, cloud, stars, seed = sky[:9]
    rise = 1.0 - (1.0 - min(1.0, max(0.0, y))) ** 2.2
    r = horizon[0] + rise * (zenith[0] - horizon[0])
    g = horizon[1] + rise * (zenith[1] - horizon[1])
    b = horizon[2] + rise * (zenith[2] - horizon[2])
    near = max(0.0, x * toward[0] + y * toward[1] + z * toward[2])
    halo = 0.55 * near**24 + 0.25 * near**5
    r, g, b = r + halo * (glow[0] - r), g + halo * (glow[1] - g), b + halo * (glow[2] - b)
    full = smooth(disc - 0.0012, disc + 0.0006, near)
    r, g, b = r + full * (1.0 - r), g + full * (0.97 - g), b + full * (0.85 - b)
    if stars > 0.0:
        s = stars * _star(x, y, z, seed)
        r, g, b = r + s, g + s, b + s
    if clouds > 0.0 and y > 0.0:
        u, v = 1.5 * x / (y + 0.25), 1.5 * z / (y + 0.25)
        body = gradient_noise(u, v, 0.5, seed) + 0.4 * gradient_noise(2.3 * u, 2.3 * v, 1.5, seed)
        share = 0.9 * smooth(0.55 - clouds, 0.95 - clouds, body + 0.25) * smooth(0.02, 0.14, y)
        r, g, b = r + share * (cloud[0] - r), g + share * (cloud[1] - g), b + share * (cloud[2] - b)
    return r, g, b


@njit(cache=True)
def _star(x, y, z, seed):
    """A few soft dots."""
    i, j, k = int(math.floor(x * STARS)), int(math.floor(y * STARS)), int(math.floor(z * STARS))
    if hash_unit(i, j, k, seed) > 0.12:
        return 0.0
    a = x * STARS - i - 0.5
    b = y * STARS - j - 0.5
    c = z * STARS - k - 0.5
    return smooth(0.42, 0.08, math.sqrt(a * a + b * b + c * c))
