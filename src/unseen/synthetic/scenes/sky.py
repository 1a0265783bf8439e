"""The world beyond the scene: sky with clouds over a line of trees, infinitely far away."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numba import njit

from unseen.synthetic.noise import gradient_noise
from unseen.synthetic.optics import smooth


class Sky(NamedTuple):
    """Daylight. Radiances are linear RGB in units in which a white surface under irradiance pi shows 1.

    Attributes:
        sun: unit direction toward the sun, [3].
        sun_color: its light on a surface that faces it, [3].
        zenith, horizon: radiance of the clear sky, [3].
        seed: of clouds and trees.
    """

    sun: Float[np.ndarray, "3"]
    sun_color: Float[np.ndarray, "3"]
    zenith: Float[np.ndarray, "3"]
    horizon: Float[np.ndarray, "3"]
    seed: int


def daylight(sun_azimuth_rad: float, sun_elevation_rad: float, seed: int, *, strength: float = 3.2) -> Sky:
    """Sun and sky; azimuth is measured from +Z toward +X. A low sun is warm."""
    low = math.exp(-max(sun_elevation_rad, 0.0) / 0.35)
    c = math.cos(sun_elevation_rad)
    direction = (c * math.sin(sun_azimuth_rad), math.sin(sun_elevation_rad), c * math.cos(sun_azimuth_rad))
    return Sky(
        np.array(direction),
        strength * np.array([1.0, 0.93 - 0.22 * low, 0.82 - 0.42 * low]),
        np.array([0.26, 0.47, 0.85]),
        np.array([0.86, 0.93, 1.0]) + low * np.array([0.15, 0.0, -0.2]),
        seed,
    )


@njit(cache=True)
def sky_radiance(sky, direction):
    """Linear RGB seen along a unit direction, without the sun's disc."""
    sun, sun_color, zenith, horizon, seed = sky
    x, y, z = direction
    turn = math.atan2(x, z)
    toward = max(0.0, x * sun[0] + y * sun[1] + z * sun[2])
    trees = 0.06 + 0.035 * gradient_noise(5.0 * math.cos(turn), 5.0 * math.sin(turn), 0.3, seed)
    trees += 0.018 * gradient_noise(31.0 * math.cos(turn), 31.0 * math.sin(turn), 0.7, seed)
    if y < trees:
        return _land(turn, y, trees, seed)
    rise = 1.0 - (1.0 - min(1.0, y)) ** 2.5
    flat = 1.0 / (y + 0.18)
    cloud, scale, weight = 0.0, 0.9, 1.0
    for octave in range(4):
        cloud += weight * gradient_noise(x * flat * scale, z * flat * scale, 0.41, seed + 11 + octave)
        scale *= 2.1
        weight *= 0.55
    cover = smooth(0.02, 0.55, cloud) * 0.85
    glare = 0.5 * toward**8 + 0.9 * toward**90
    white = 1.25 + 0.35 * cloud
    r = (horizon[0] * (1 - rise) + zenith[0] * rise) * (1 - cover) + white * cover + glare * sun_color[0] * 0.3
    g = (horizon[1] * (1 - rise) + zenith[1] * rise) * (1 - cover) + white * cover + glare * sun_color[1] * 0.3
    b = (horizon[2] * (1 - rise) + zenith[2] * rise) * (1 - cover) + white * cover + glare * sun_color[2] * 0.3
    return r, g, b


@njit(cache=True)
def _land(turn, y, trees, seed):
    """Distant trees over meadows."""
    c, s = math.cos(turn), math.sin(turn)
    wood = y > -0.035
    detail = gradient_noise(60.0 * c, 60.0 * s, 60.0 * y, seed + 3) + 0.7 * gradient_noise(
        140.0 * c, 140.0 * s, 140.0 * y, seed + 4
    )
    depth = smooth(-0.04, 0.1, y / max(trees, 0.02) * 0.06) if wood else 0.35
    tone = max(0.15, 0.55 + 0.42 * detail + 0.5 * depth)
    if wood:
        return 0.13 * tone, 0.21 * tone, 0.09 * tone
    return 0.30 * tone, 0.36 * tone, 0.16 * tone
