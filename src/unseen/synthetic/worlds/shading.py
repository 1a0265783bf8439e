"""One view of a little world: which sample shows what, its light and paint, and the mean over each pixel."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int16, UInt8
from numba import njit

from unseen.core.camera import Camera
from unseen.synthetic.color import displayed
from unseen.synthetic.optics import shoulder
from unseen.synthetic.worlds.casting import FAR_M, NONE, cast
from unseen.synthetic.worlds.light import Light, light_at
from unseen.synthetic.worlds.shapes import Table
from unseen.synthetic.worlds.surfaces import face_of, painted, unit_normal
from unseen.synthetic.worlds.terrain import REACH_M, Ground, Sky, ground_look, reach, sky_color

SUPERSAMPLING = 2
GROUND, SKY = -2, -3


class View(NamedTuple):
    """What a camera sees.

    Attributes:
        image: sRGB, [H, W, 3].
        depth: z in the camera's frame at the centres of the pixels (of the surface that fills most of one), [H, W].
        things: index of the thing seen, [H, W].
    """

    image: UInt8[np.ndarray, "H W 3"]
    depth: Float[np.ndarray, "H W"]
    things: Int16[np.ndarray, "H W"]


def view(table: Table, light: Light, outdoors: tuple[Ground, Sky] | None, camera: Camera) -> View:
    """Photograph shapes under a light, with ground and sky where there are any."""
    s = SUPERSAMPLING
    fine = camera.resized(camera.width * s, camera.height * s)
    viewmat, k = fine.world_to_camera.double().numpy(), fine.K.double().numpy()
    depth = np.full((fine.height, fine.width), FAR_M)
    owner = np.full(depth.shape, NONE)
    plain = tuple(table)
    cast(plain, np.linalg.inv(table.into), viewmat, k, depth, owner)
    if outdoors is not None:
        ground, sky = tuple(outdoors[0]), tuple(outdoors[1])
        _cast_outdoors(ground, float(outdoors[0].heights.max()), viewmat, k, depth, owner)
    else:
        ground, sky = _NO_GROUND, _NO_SKY
    color = np.empty((camera.height, camera.width, 3))
    z = np.empty((camera.height, camera.width))
    things = np.empty((camera.height, camera.width), np.int16)
    _shade(plain, tuple(light), ground, sky, viewmat, k, depth, owner, s, color, z, things)
    return View((displayed(color) * 255 + 0.5).astype(np.uint8), z, things)


_NO_GROUND = tuple(
    Ground(np.zeros((1, 1)), np.zeros((1, 1, 3)), np.zeros((1, 1, 3)), np.zeros((1, 1), np.int64), np.zeros((1, 1, 2)))
)
_NO_SKY = tuple(Sky(np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3), 1.0, 0.0, np.zeros(3), 0.0, 0, 0.0, 0))


@njit(cache=True, inline="always")
def _ray(viewmat, k, x, y):
    """World direction of z depth 1 through a sample."""
    u, v = (x + 0.5 - k[0, 2]) / k[0, 0], (y + 0.5 - k[1, 2]) / k[1, 1]
    return (
        viewmat[0, 0] * u + viewmat[1, 0] * v + viewmat[2, 0],
        viewmat[0, 1] * u + viewmat[1, 1] * v + viewmat[2, 1],
        viewmat[0, 2] * u + viewmat[1, 2] * v + viewmat[2, 2],
    )


@njit(cache=True, inline="always")
def _eye(viewmat):
    return (
        -(viewmat[0, 0] * viewmat[0, 3] + viewmat[1, 0] * viewmat[1, 3] + viewmat[2, 0] * viewmat[2, 3]),
        -(viewmat[0, 1] * viewmat[0, 3] + viewmat[1, 1] * viewmat[1, 3] + viewmat[2, 1] * viewmat[2, 3]),
        -(viewmat[0, 2] * viewmat[0, 3] + viewmat[1, 2] * viewmat[1, 3] + viewmat[2, 2] * viewmat[2, 3]),
    )


@njit(cache=True)
def _cast_outdoors(ground, highest, viewmat, k, depth, owner):
    ox, oy, oz = _eye(viewmat)
    for y in range(depth.shape[0]):
        for x in range(depth.shape[1]):
            dx, dy, dz = _ray(viewmat, k, x, y)
            t, earth = reach(ground[0], ground[4], highest, ox, oy, oz, dx, dy, dz, depth[y, x])
            if t < depth[y, x]:
                depth[y, x] = t
                owner[y, x] = GROUND if earth else SKY


@njit(cache=True, inline="always")
def _unit(table, s, px, py, pz):
    centre, m = table[1][s], table[2][s]
    x, y, z = px - centre[0], py - centre[1], pz - centre[2]
    return (
        m[0, 0] * x + m[0, 1] * y + m[0, 2] * z,
        m[1, 0] * x + m[1, 1] * y + m[1, 2] * z,
        m[2, 0] * x + m[2, 1] * y + m[2, 2] * z,
    )


@njit(cache=True)
def _normal(table, s, face, x, y, z):
    nx, ny, nz = unit_normal(table[0][s], table[4][s], face, x, y, z)
    m = table[2][s]
    wx = m[0, 0] * nx + m[1, 0] * ny + m[2, 0] * nz
    wy = m[0, 1] * nx + m[1, 1] * ny + m[2, 1] * nz
    wz = m[0, 2] * nx + m[1, 2] * ny + m[2, 2] * nz
    n = 1.0 / math.sqrt(wx * wx + wy * wy + wz * wz + 1e-20)
    return wx * n, wy * n, wz * n


@njit(cache=True)
def _shade(table, light, ground, sky, viewmat, k, depth, owner, s, color, z, things):
    kinds, _, _, halves, tapers, colors, patterns, looks, _, labels = table
    ox, oy, oz = _eye(viewmat)
    count = s * s
    keys, points, rgb = np.empty(count, np.int64), np.empty((count, 3)), np.empty((count, 3))
    for row in range(color.shape[0]):
        for column in range(color.shape[1]):
            for c in range(count):
                y, x = row * s + c // s, column * s + c % s
                dx, dy, dz = _ray(viewmat, k, x, y)
                t = depth[y, x]
                points[c, 0], points[c, 1], points[c, 2] = ox + t * dx, oy + t * dy, oz + t * dz
                keys[c] = owner[y, x]
                if owner[y, x] >= 0:
                    a, b, d = _unit(table, owner[y, x], points[c, 0], points[c, 1], points[c, 2])
                    keys[c] = owner[y, x] * 8 + face_of(kinds[owner[y, x]], tapers[owner[y, x]], a, b, d)
            lr, lg, lb = 0.0, 0.0, 0.0
            for c in range(count):
                px, py, pz = points[c, 0], points[c, 1], points[c, 2]
                fresh = c == 0 or keys[c] != keys[c - 1]
                if keys[c] >= 0:
                    who, face = keys[c] // 8, keys[c] % 8
                    a, b, d = _unit(table, who, px, py, pz)
                    if fresh:
                        nx, ny, nz = _normal(table, who, face, a, b, d)
                        lr, lg, lb = light_at(light, px, py, pz, nx, ny, nz)
                    glow = looks[who, 1]
                    cr, cg, cb = painted(
                        patterns[who], face, kinds[who], a, b, d, halves[who], colors[who, 0], colors[who, 1],
                        looks[who, 0],
                    )  # fmt: skip
                    rgb[c, 0] = shoulder(cr * (lr + glow))
                    rgb[c, 1] = shoulder(cg * (lg + glow))
                    rgb[c, 2] = shoulder(cb * (lb + glow))
                elif keys[c] == GROUND:
                    n, albedo, _ = ground_look(ground, px, pz)
                    if fresh:
                        lr, lg, lb = light_at(light, px, py, pz, n[0], n[1], n[2])
                    rgb[c, 0], rgb[c, 1], rgb[c, 2] = (
                        shoulder(albedo[0] * lr), shoulder(albedo[1] * lg), shoulder(albedo[2] * lb),
                    )  # fmt: skip
                elif keys[c] == SKY and not fresh:
                    rgb[c] = rgb[c - 1]
                elif keys[c] == SKY:
                    q = 1.0 / math.sqrt(px * px + py * py + pz * pz)
                    rgb[c, 0], rgb[c, 1], rgb[c, 2] = sky_color(sky, px * q, py * q, pz * q)
                else:
                    rgb[c, 0], rgb[c, 1], rgb[c, 2] = 0.0, 0.0, 0.0
                if keys[c] != SKY and sky[9] > 0.0:
                    far = (px * px + pz * pz) / (REACH_M * REACH_M)
                    share = min(1.0, sky[9] * far)
                    for i in range(3):
                        rgb[c, i] += share * (sky[1][i] - rgb[c, i])
            best = _most(keys, depth, row, column, s)
            total, n_same = 0.0, 0
            for i in range(3):
                color[row, column, i] = 0.0
            for c in range(count):
                for i in range(3):
                    color[row, column, i] += min(1.0, rgb[c, i]) / count
                if keys[c] == keys[best]:
                    total += 1.0 / depth[row * s + c // s, column * s + c % s]
                    n_same += 1
            z[row, column] = n_same / total
            things[row, column] = _thing(keys[best], labels, ground, sky, points[best])


@njit(cache=True)
def _most(keys, depth, row, column, s):
    """The sample whose surface most samples of the pixel show; among equals the nearest."""
    best, most, nearest = 0, 0, 0.0
    for c in range(len(keys)):
        same = 0
        for other in range(len(keys)):
            same += keys[other] == keys[c]
        t = depth[row * s + c // s, column * s + c % s]
        if same > most or (same == most and t < nearest):
            best, most, nearest = c, same, t
    return best


@njit(cache=True)
def _thing(key, labels, ground, sky, point):
    if key >= 0:
        return labels[key // 8]
    if key == GROUND:
        return ground_look(ground, point[0], point[2])[2]
    if key == SKY:
        return sky[10]
    return -1
