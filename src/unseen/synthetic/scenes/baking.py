"""Soft light at the vertices: windows, lamps, open sky, sun and lamp light that bounced (radiosity by sampled rays).

Light is irradiance over pi, so that a surface's radiance is its reflectance times the light.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numba import njit, prange

from unseen.render.mesh.rays import STACK, RayMesh, blocked, hit
from unseen.synthetic.noise import hash_unit
from unseen.synthetic.optics import dot, normalize
from unseen.synthetic.scenes.materials import Palette, reflectance
from unseen.synthetic.scenes.sky import Sky, sky_radiance

LIFT_M = 1e-3  # rays start this far off their surface
FAR_M = 1e4
STRATA = 8  # hemisphere rays: STRATA^2; half as many per side for a window, and STRATA for a lamp
LEAST_STRATA = 2
LAMP_CORE, LAMP_CLEAR = 0.7, 1.7  # radii of a lamp's ball: where rays aim, and where they end, outside its shade
BOUNCES = 4
SMOOTHING = 3
KEY = 0.74  # what a white surface under the scene's mean light shows
WHITE_BALANCE = 0.7  # how far the mean light is brought toward white


class Window(NamedTuple):
    """An opening through which the sky shines in: its lower left corner, seen from inside, and its two sides."""

    corner: tuple[float, float, float]
    along: tuple[float, float, float]
    up: tuple[float, float, float]


class Lamp(NamedTuple):
    """A ball of light: centre, radius in metres, and linear RGB light at one metre."""

    centre: tuple[float, float, float]
    radius_m: float
    color: tuple[float, float, float]


class Baked(NamedTuple):
    """Light at the vertices without direct sun, [V, 3], and the camera's exposure and white balance, [3]."""

    light: Float[np.ndarray, "V 3"]
    exposure: Float[np.ndarray, "3"]


Mesh = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Lights = tuple[Sky, bool, Sequence[Window], Sequence[Lamp]]


def bake(
    mesh: Mesh, palette: Palette, rays: RayMesh, lights: Lights, far: Bool[np.ndarray, "F"], seed: int, *,
    detail: float = 1.0,
) -> Baked:  # fmt: skip
    """Light a scene.

    Args:
        mesh: vertices [V, 3], normals [V, 3], uvs [V, 2], faces [F, 3], face materials [F].
        palette: its materials.
        rays: its hierarchy.
        lights: sky, whether the sky is seen directly, windows, lamps.
        far: faces that do not count for the exposure.
        seed: of the rays.
        detail: below 1 for fewer rays.
    """
    vertices, normals, uvs, faces, materials = mesh
    sky, open_air, windows, lamps = lights
    light, mesh_rays, look = tuple(sky), tuple(rays), tuple(palette)  # compiled loops take plain tuples only
    thin = np.zeros(len(vertices))
    thin[faces] = palette.traits[materials, 4][:, None]
    surface = (vertices, normals, thin)
    openings = np.array([np.array(w) for w in windows], float).reshape(-1, 3, 3)
    bulbs = np.array([(*lamp.centre, lamp.radius_m, *lamp.color) for lamp in lamps], float).reshape(-1, 7)
    strata = max(LEAST_STRATA, round(STRATA * min(1.0, detail) ** 0.5))
    direct, sunny = np.zeros((len(vertices), 3)), np.zeros((len(vertices), 3))
    _direct(surface, mesh_rays, light, openings, bulbs, strata, seed, direct, sunny)
    seen = np.empty((len(vertices), strata * strata), np.int32)
    open_light = np.zeros((len(vertices), 3))
    _look_around(surface, mesh_rays, light, open_air, strata, seed, seen, open_light)
    direct = _smoothed(direct + open_light, faces, 1)
    albedo = np.empty((len(faces), 3))
    _face_albedo(vertices, uvs, faces, materials, look, albedo)
    glow = albedo * palette.traits[materials, 3][:, None]
    bounced = np.zeros_like(direct)
    for _ in range(BOUNCES):
        radiance = albedo * (direct + sunny + bounced)[faces].mean(1) + glow
        bounced = np.empty_like(direct)
        _gather(seen, radiance, bounced)
        bounced = _smoothed(bounced, faces, SMOOTHING)
    total = direct + sunny + bounced
    corner = vertices[faces]
    area = 0.5 * np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1)
    return Baked(direct + bounced, _exposure(total[faces].mean(1), np.where(far, 0.0, area)))


def _exposure(light: Float[np.ndarray, "F 3"], weight: Float[np.ndarray, "F"]) -> Float[np.ndarray, "3"]:
    """Factor per channel by the mean light on the surfaces, as an incident-light meter measures it."""
    mean = weight @ light / weight.sum()
    return KEY / (mean.mean() ** (1 - WHITE_BALANCE) * mean**WHITE_BALANCE)


def _smoothed(values: np.ndarray, faces: np.ndarray, rounds: int) -> np.ndarray:
    """Mean of each vertex and its neighbours on the same shape, several times: removes the grain of sampled light."""
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    degree = np.bincount(pairs.ravel(), minlength=len(values)).astype(float)[:, None]
    for _ in range(rounds):
        total = np.stack(
            [
                np.bincount(pairs[:, 0], values[pairs[:, 1], c], len(values))
                + np.bincount(pairs[:, 1], values[pairs[:, 0], c], len(values))
                for c in range(3)
            ],
            1,
        )
        values = 0.35 * values + 0.65 * np.where(degree > 0, total / np.maximum(degree, 1), values)
    return values


@njit(cache=True, inline="always")
def _lifted(p, n):
    return p[0] + LIFT_M * n[0], p[1] + LIFT_M * n[1], p[2] + LIFT_M * n[2]


@njit(cache=True, inline="always")
def _cosine(n, direction, thin):
    """Share of the light from a direction; what is thin takes half of each side's."""
    c = dot(n, direction)
    return 0.5 * abs(c) if thin > 0.0 else max(0.0, c)


@njit(cache=True)
def _window_light(i, p, n, thin, mesh, sky, opening, side_rays, stack, seed, out):
    """Add the light of the sky through one window."""
    a, b = opening[1], opening[2]
    cx, cy, cz = a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
    area = math.sqrt(cx * cx + cy * cy + cz * cz)
    for k in range(side_rays * side_rays):
        s = (k % side_rays + hash_unit(i, k, 1, seed)) / side_rays
        t = (k // side_rays + hash_unit(i, k, 2, seed)) / side_rays
        x = opening[0, 0] + s * a[0] + t * b[0] - p[0]
        y = opening[0, 1] + s * a[1] + t * b[1] - p[1]
        z = opening[0, 2] + s * a[2] + t * b[2] - p[2]
        gap2 = x * x + y * y + z * z
        gap = math.sqrt(gap2)
        direction = (x / gap, y / gap, z / gap)
        facing = -(direction[0] * cx + direction[1] * cy + direction[2] * cz) / area
        cosine = _cosine(n, direction, thin)
        if facing <= 0.0 or cosine <= 0.0:
            continue
        side = 1.0 if dot(n, direction) > 0 else -1.0
        start = _lifted(p, (side * n[0], side * n[1], side * n[2]))
        if blocked(mesh, start, direction, FAR_M, stack):
            continue
        weight = cosine * facing * area / (math.pi * max(gap2, 0.01) * side_rays * side_rays)
        r, g, b_ = sky_radiance(sky, direction)
        out[0] += weight * r
        out[1] += weight * g
        out[2] += weight * b_


@njit(cache=True)
def _lamp_light(i, p, n, thin, mesh, bulb, rays, stack, seed, out):
    """Add the light of one lamp: rays to points on the ball, which end before they reach it."""
    for k in range(rays):
        y = 2.0 * (k + hash_unit(i, k, 3, seed)) / rays - 1.0
        turn = 2.0 * math.pi * hash_unit(i, k, 4, seed)
        ring = LAMP_CORE * bulb[3] * math.sqrt(max(0.0, 1.0 - y * y))
        dx = bulb[0] + ring * math.sin(turn) - p[0]
        dy = bulb[1] + LAMP_CORE * bulb[3] * y - p[1]
        dz = bulb[2] + ring * math.cos(turn) - p[2]
        gap2 = dx * dx + dy * dy + dz * dz
        gap = math.sqrt(gap2)
        direction = (dx / gap, dy / gap, dz / gap)
        cosine = _cosine(n, direction, thin)
        if cosine <= 0.0:
            continue
        side = 1.0 if dot(n, direction) > 0 else -1.0
        start = _lifted(p, (side * n[0], side * n[1], side * n[2]))
        reach = gap - LAMP_CLEAR * bulb[3]
        if reach > 0.0 and blocked(mesh, start, direction, reach, stack):
            continue
        weight = cosine / (max(gap2, bulb[3] * bulb[3]) * rays)
        for c in range(3):
            out[c] += weight * bulb[4 + c]


@njit(cache=True, parallel=True)
def _direct(surface, mesh, sky, openings, bulbs, strata, seed, direct, sunny):
    vertices, normals, thin = surface
    sun, sun_color = sky[0], sky[1]
    toward = (sun[0], sun[1], sun[2])
    for i in prange(len(vertices)):
        stack = np.empty(STACK, np.int32)
        p = (vertices[i, 0], vertices[i, 1], vertices[i, 2])
        n = (normals[i, 0], normals[i, 1], normals[i, 2])
        for w in range(len(openings)):
            _window_light(
                i,
                p,
                n,
                thin[i],
                mesh,
                sky,
                openings[w],
                max(LEAST_STRATA, strata // 2),
                stack,
                seed + 17 * w,
                direct[i],
            )
        for b in range(len(bulbs)):
            _lamp_light(i, p, n, thin[i], mesh, bulbs[b], strata, stack, seed + 31 * b, direct[i])
        cosine = _cosine(n, toward, thin[i])
        if cosine > 0.0:
            side = 1.0 if dot(n, toward) > 0 else -1.0
            if not blocked(mesh, _lifted(p, (side * n[0], side * n[1], side * n[2])), toward, FAR_M, stack):
                for c in range(3):
                    sunny[i, c] = cosine * sun_color[c]


@njit(cache=True, inline="always")
def _hemisphere(n, s, t):
    """Cosine-weighted direction about `n` from two numbers in [0, 1)."""
    r, turn = math.sqrt(s), 2.0 * math.pi * t
    ax, ay, az = (0.0, 1.0, 0.0) if abs(n[0]) > 0.7 else (1.0, 0.0, 0.0)
    a = normalize((n[1] * az - n[2] * ay, n[2] * ax - n[0] * az, n[0] * ay - n[1] * ax))
    b = (n[1] * a[2] - n[2] * a[1], n[2] * a[0] - n[0] * a[2], n[0] * a[1] - n[1] * a[0])
    u, v, w = r * math.cos(turn), r * math.sin(turn), math.sqrt(max(0.0, 1.0 - s))
    return (u * a[0] + v * b[0] + w * n[0], u * a[1] + v * b[1] + w * n[1], u * a[2] + v * b[2] + w * n[2])


@njit(cache=True, parallel=True)
def _look_around(surface, mesh, sky, open_air, strata, seed, seen, open_light):
    """Face each ray of each vertex meets (-1: none), and the light of the sky where it meets none in the open air."""
    vertices, normals, thin = surface
    rays = strata * strata
    for i in prange(len(vertices)):
        stack = np.empty(STACK, np.int32)
        for k in range(rays):
            side = -1.0 if thin[i] > 0.0 and (k + k // strata) % 2 else 1.0
            n = (side * normals[i, 0], side * normals[i, 1], side * normals[i, 2])
            s = (k % strata + hash_unit(i, k, 5, seed)) / strata
            t = (k // strata + hash_unit(i, k, 6, seed)) / strata
            direction = _hemisphere(n, s, t)
            start = _lifted((vertices[i, 0], vertices[i, 1], vertices[i, 2]), n)
            seen[i, k], _, _, _ = hit(mesh, start, direction, FAR_M, stack)
            if open_air and seen[i, k] < 0:
                r, g, b = sky_radiance(sky, direction)
                open_light[i, 0] += r / rays
                open_light[i, 1] += g / rays
                open_light[i, 2] += b / rays


@njit(cache=True, parallel=True)
def _gather(seen, radiance, out):
    for i in prange(len(seen)):
        for c in range(3):
            total = 0.0
            for k in range(seen.shape[1]):
                if seen[i, k] >= 0:
                    total += radiance[seen[i, k], c]
            out[i, c] = total / seen.shape[1]


@njit(cache=True, parallel=True)
def _face_albedo(vertices, uvs, faces, materials, palette, out):
    """Mean reflectance around the middle of each face."""
    for f in prange(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        u, v = (uvs[a, 0] + uvs[b, 0] + uvs[c, 0]) / 3.0, (uvs[a, 1] + uvs[b, 1] + uvs[c, 1]) / 3.0
        size = math.sqrt((uvs[a, 0] - uvs[b, 0]) ** 2 + (uvs[a, 1] - uvs[b, 1]) ** 2)
        out[f, 0], out[f, 1], out[f, 2] = reflectance(palette, materials[f], u, v, size)
