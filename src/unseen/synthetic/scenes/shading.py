"""Colours of rasterised samples: texture times baked light, sun with shadows, mirrored surroundings, sky."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float
from numba import njit, prange

from unseen.core.camera import Camera
from unseen.render.mesh.rays import STACK, hit
from unseen.synthetic.lighting import LIGHT_DISTANCE_M
from unseen.synthetic.noise import hash_unit
from unseen.synthetic.optics import dot, highlight, lit, mirror, normalize, shoulder
from unseen.synthetic.scenes.materials import reflectance
from unseen.synthetic.scenes.scene import Scene
from unseen.synthetic.scenes.sky import sky_radiance

SHADOW_TAPS = 3
SHADOW_REACH = 2.0  # texels
FAR_M = 1e4
LIFT_M = 1e-3
SOFT = 0.3  # roughness from which on a surface shows no mirrored image, only a sheen and the sun's gloss
SHEEN = 0.7  # mean of what a rough surface mirrors, as a share of the light it is in
BACKLIT = 0.55  # share of the sun that a thin surface lets through


def shade_samples(
    scene: Scene,
    camera: Camera,
    buffers: tuple[np.ndarray, np.ndarray, np.ndarray],
    exposure: np.ndarray,
    supersampling: int,
) -> Float[np.ndarray, "H W 3"]:
    """Tone-mapped linear RGB of each pixel: the mean of its samples.

    Args:
        scene: what is seen.
        camera: of the samples, `supersampling` times as large as the picture.
        buffers: face ids, barycentrics and depth of `unseen.render.mesh.rasterize.draw`.
        exposure: factor on radiance per channel, [3].
        supersampling: samples per pixel along each axis.
    """
    out = np.zeros((camera.height // supersampling, camera.width // supersampling, 3), np.float32)
    mesh = (scene.vertices, scene.normals, scene.uvs, scene.light, scene.faces, scene.face_materials)
    sky, rays, palette = tuple(scene.sky), tuple(scene.rays), tuple(scene.palette)  # compiled loops: plain tuples only
    texel_m = shadow_texel(scene)
    sun_map = (scene.shadow.matrix, scene.shadow.depth, texel_m)
    turn = camera.camera_to_world[:3, :3].double().numpy()
    view = (np.ascontiguousarray(turn @ np.linalg.inv(camera.K.double().numpy())), camera.center.double().numpy())
    pixel_rad = 1.0 / float(camera.K[0, 0])
    _shade(buffers[0], buffers[1], mesh, palette, sky, sun_map, rays, view, pixel_rad, exposure, supersampling, out)
    return out


def shadow_texel(scene: Scene) -> float:
    """Size in metres of a texel of the shadow map."""
    matrix = scene.shadow.matrix
    return (
        LIGHT_DISTANCE_M
        * float(np.linalg.norm(matrix[2, :3]))
        / float(np.linalg.norm(np.cross(matrix[0, :3], matrix[2, :3])))
    )


@njit(cache=True, inline="always")
def _mixed(values, a, b, c, w0, w1, w2):
    return (
        w0 * values[a, 0] + w1 * values[b, 0] + w2 * values[c, 0],
        w0 * values[a, 1] + w1 * values[b, 1] + w2 * values[c, 1],
        w0 * values[a, 2] + w1 * values[b, 2] + w2 * values[c, 2],
    )


@njit(cache=True)
def _diffuse(mesh, palette, light, f, w, view, pixel_m, taps):
    """Position, normal toward the viewer, diffuse radiance, baked light and share of the sun of a point of a face.

    `w` are its barycentrics, `view` the unit direction to the viewer, `pixel_m` the size of a sample there if it faced
    the viewer; `taps` sets how soft the shadow's edge is."""
    vertices, normals, uvs, baked, faces, materials = mesh
    sky, shadow_matrix, shadow_depth, texel = light
    sun = (sky[0][0], sky[0][1], sky[0][2])
    a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
    p = _mixed(vertices, a, b, c, w[0], w[1], w[2])
    n = normalize(_mixed(normals, a, b, c, w[0], w[1], w[2]))
    facing = dot(n, view)
    if facing < 0:
        n, facing = (-n[0], -n[1], -n[2]), -facing
    material = materials[f]
    u = w[0] * uvs[a, 0] + w[1] * uvs[b, 0] + w[2] * uvs[c, 0]
    v = w[0] * uvs[a, 1] + w[1] * uvs[b, 1] + w[2] * uvs[c, 1]
    footprint = pixel_m / math.sqrt(max(facing, 0.05))
    color = reflectance(palette, material, u, v, footprint)
    soft = _mixed(baked, a, b, c, w[0], w[1], w[2])
    glow, thin = palette[2][material, 3], palette[2][material, 4]
    ndl = dot(n, sun)
    reach = BACKLIT * abs(ndl) if thin > 0 and ndl < 0 else max(0.0, ndl)
    seen = 0.0
    if reach > 0:
        lift = n if ndl > 0 else (-n[0], -n[1], -n[2])
        seen = lit(shadow_matrix, shadow_depth, p, lift, 1.5 * SHADOW_REACH * texel, texel, SHADOW_REACH, taps)
    out = (
        color[0] * (soft[0] + reach * seen * sky[1][0] + glow),
        color[1] * (soft[1] + reach * seen * sky[1][1] + glow),
        color[2] * (soft[2] + reach * seen * sky[1][2] + glow),
    )
    return p, n, out, soft, seen


@njit(cache=True)
def _mirrored(mesh, palette, light, rays, p, n, view, roughness, pixel_m, pixel_rad, grain, stack):
    """Radiance that arrives along the mirrored direction, scattered a little by roughness."""
    d = mirror(n, view)
    spread = 0.5 * roughness * roughness
    d = normalize((d[0] + spread * grain[0], d[1] + spread * grain[1], d[2] + spread * grain[2]))
    start = (p[0] + LIFT_M * n[0], p[1] + LIFT_M * n[1], p[2] + LIFT_M * n[2])
    f, gap, u, v = hit(rays, start, d, FAR_M, stack)
    if f < 0:
        return sky_radiance(light[0], d)
    back = (-d[0], -d[1], -d[2])
    _, _, color, _, _ = _diffuse(
        mesh, palette, light, f, (1 - u - v, u, v), back, pixel_m + gap * (pixel_rad + spread), 1
    )
    return color


@njit(cache=True)
def _radiance(mesh, palette, light, rays, f, w, view, depth_m, pixel_rad, grain, stack):
    """What a sample on a face sends to the viewer."""
    pixel_m = depth_m * pixel_rad
    p, n, color, soft, seen = _diffuse(mesh, palette, light, f, w, view, pixel_m, SHADOW_TAPS)
    traits = palette[2][mesh[5][f]]
    base, roughness = traits[1], traits[2]
    if base <= 0:
        return color
    sky = light[0]
    sun = (sky[0][0], sky[0][1], sky[0][2])
    shine = base + (1 - base) * (1 - max(0.0, dot(n, view))) ** 5 * (1 - roughness)
    spark = highlight(n, sun, view, max(roughness, 0.12), base) * seen if seen > 0 else 0.0
    if roughness >= SOFT:
        return (
            color[0] * (1 - shine) + shine * SHEEN * soft[0] + spark * sky[1][0],
            color[1] * (1 - shine) + shine * SHEEN * soft[1] + spark * sky[1][1],
            color[2] * (1 - shine) + shine * SHEEN * soft[2] + spark * sky[1][2],
        )
    r, g, b = _mirrored(mesh, palette, light, rays, p, n, view, roughness, pixel_m, pixel_rad, grain, stack)
    return (
        color[0] * (1 - shine) + shine * r + spark * sky[1][0],
        color[1] * (1 - shine) + shine * g + spark * sky[1][1],
        color[2] * (1 - shine) + shine * b + spark * sky[1][2],
    )


@njit(cache=True, parallel=True)
def _shade(
    ids: Any, bary: Any, mesh: Any, palette: Any, sky: Any, sun_map: Any, rays: Any, view: Any, pixel_rad: Any,
    exposure: Any, factor: Any, image: Any,
):  # fmt: skip
    unproject, eye = view
    for row in prange(image.shape[0]):
        stack = np.empty(STACK, np.int32)
        light = (sky, sun_map[0], sun_map[1], sun_map[2])
        for column in range(image.shape[1]):
            for k in range(factor * factor):
                y, x = row * factor + k // factor, column * factor + k % factor
                px, py = x + 0.5, y + 0.5
                d = (
                    unproject[0, 0] * px + unproject[0, 1] * py + unproject[0, 2],
                    unproject[1, 0] * px + unproject[1, 1] * py + unproject[1, 2],
                    unproject[2, 0] * px + unproject[2, 1] * py + unproject[2, 2],
                )
                f = ids[y, x]
                if f < 0:
                    color = sky_radiance(light[0], normalize(d))
                else:
                    w = (float(bary[y, x, 0]), float(bary[y, x, 1]), float(bary[y, x, 2]))
                    faces = mesh[4]
                    p = _mixed(mesh[0], faces[f, 0], faces[f, 1], faces[f, 2], w[0], w[1], w[2])
                    away = (eye[0] - p[0], eye[1] - p[1], eye[2] - p[2])
                    distance = math.sqrt(dot(away, away))
                    grain = (
                        hash_unit(x, y, 1, f) + hash_unit(x, y, 4, f) - 1.0,
                        hash_unit(x, y, 2, f) + hash_unit(x, y, 5, f) - 1.0,
                        hash_unit(x, y, 3, f) + hash_unit(x, y, 6, f) - 1.0,
                    )
                    toward = normalize(away)
                    color = _radiance(mesh, palette, light, rays, f, w, toward, distance, pixel_rad, grain, stack)
                for c in range(3):
                    image[row, column, c] += shoulder(exposure[c] * color[c]) / (factor * factor)
