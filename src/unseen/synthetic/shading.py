"""Deferred shading of rasterised samples, compiled: skin, eyes, teeth, cloth and hair under one key light and a smooth
environment. Radiances are linear RGB; 1 is a white surface under irradiance pi."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numba import njit, prange

from unseen.synthetic.lighting import Lighting, ShadowMap
from unseen.synthetic.noise import gradient_noise, hash_unit
from unseen.synthetic.optics import dot, highlight, lit, mirror, normalize, shoulder, smooth

SKIN, EYE, TEETH, CLOTH, HAIR = range(5)
"""Kinds of faces."""


@dataclass(frozen=True)
class Geometry:
    """One posed frame, everything that is drawn in one list of triangles.

    Attributes:
        vertices: world positions, [V, 3].
        normals: unit normals; tangents from root to tip where the kind is HAIR, [V, 3].
        occlusion: ambient occlusion, 1 is open, [V].
        coords: what the kind needs: EYE the direction from the eye's centre in the eye's own axes; TEETH (height over
            the cutting edge, depth behind the front teeth, 0) in metres; HAIR (across -1..1, along 0..1, strand
            number); CLOTH position on the unposed garment, [V, 3].
        faces: [F, 3] int32.
        kinds: [F] uint8.
        groups: index into the materials of that kind, [F] uint8.
        uvs: texture coordinates of the corners of the first faces (those of the head), v down, [Fh, 3, 2].
    """

    vertices: Float[np.ndarray, "V 3"]
    normals: Float[np.ndarray, "V 3"]
    occlusion: Float[np.ndarray, "V"]
    coords: Float[np.ndarray, "V 3"]
    faces: Int[np.ndarray, "F 3"]
    kinds: Int[np.ndarray, "F"]
    groups: Int[np.ndarray, "F"]
    uvs: Float[np.ndarray, "Fh 3 2"]


@dataclass(frozen=True)
class Materials:
    """Appearance of one subject.

    Attributes:
        skin: texture of linear RGB, roughness and specular scale, v down, [R, R, 5].
        iris: linear RGB of the inner and the outer iris, [2, 3].
        iris_angle: half angle of the iris seen from the eye's centre, radians; pupil_share: pupil's part of it.
        hair: per group (head, brows, lashes, beard): linear RGB of root and tip, [G, 2, 3].
        cloth: per group: pattern (0 plain, 1 stripes, 2 dots, 3 knit), two linear RGB colours, size in metres, [G, 8].
        seed: of the fine noise.
    """

    skin: Float[np.ndarray, "R R 5"]
    iris: Float[np.ndarray, "2 3"]
    iris_angle: float
    pupil_share: float
    hair: Float[np.ndarray, "G 2 3"]
    cloth: Float[np.ndarray, "G 8"]
    seed: int


def shade(
    geometry: Geometry,
    materials: Materials,
    lighting: Lighting,
    shadow: ShadowMap,
    buffers: tuple[np.ndarray, np.ndarray, np.ndarray],
    eye: Float[np.ndarray, "3"],
    centre: Float[np.ndarray, "3"],
) -> Float[np.ndarray, "H W 3"]:
    """Tone-mapped linear radiance of every sample, zero where nothing was hit.

    Args:
        buffers: face ids, barycentrics and depth of `unseen.render.mesh.rasterize.draw`.
        eye: camera centre in the world.
        centre: a point inside the cranium in the world; hair is lit as if facing away from it.
    """
    out = np.zeros((*buffers[0].shape, 3), np.float32)
    light = (
        lighting.irradiance_matrix(),
        np.ascontiguousarray(lighting.key_direction, np.float64),
        np.ascontiguousarray(lighting.key_color, np.float64),
        shadow.matrix,
        shadow.depth,
    )
    g = geometry
    mesh = (g.vertices, g.normals, g.occlusion, g.coords, g.faces, g.kinds, g.groups, g.uvs)
    look = (
        materials.skin,
        materials.iris,
        materials.iris_angle,
        materials.pupil_share,
        materials.hair,
        materials.cloth,
        materials.seed,
    )
    _shade(buffers[0], buffers[1], mesh, look, light, np.asarray(eye, float), np.asarray(centre, float), out)
    return out


@njit(cache=True, inline="always")
def _irradiance(m, n, channel):
    """(n, 1) M (n, 1) of one channel."""
    x, y, z = n
    k = m[channel]
    return max(
        0.02,
        k[0, 0] * x * x
        + k[1, 1] * y * y
        + k[2, 2] * z * z
        + 2 * (k[0, 1] * x * y + k[0, 2] * x * z + k[1, 2] * y * z)
        + 2 * (k[0, 3] * x + k[1, 3] * y + k[2, 3] * z)
        + k[3, 3],
    )


@njit(cache=True, inline="always")
def _texel(texture, u, v, channel):
    size = texture.shape[0]
    x, y = min(max(u * size - 0.5, 0.0), size - 1.001), min(max(v * size - 0.5, 0.0), size - 1.001)
    i, j = int(x), int(y)
    a, b = x - i, y - j
    top = texture[j, i, channel] * (1 - a) + texture[j, i + 1, channel] * a
    low = texture[j + 1, i, channel] * (1 - a) + texture[j + 1, i + 1, channel] * a
    return top * (1 - b) + low * b


@njit(cache=True)
def _skin(texture, u, v, p, n, view, occlusion, light, out):
    """Diffuse light wrapped further for red than for blue (scattering under the skin), and two-lobed gloss."""
    matrix, key, key_color, shadow_matrix, shadow_depth = light
    seen = 0.15 + 0.85 * lit(shadow_matrix, shadow_depth, p, n, 0.002, 0.002, 4.5, 6)
    ndl = dot(n, key)
    roughness, specular = _texel(texture, u, v, 3), _texel(texture, u, v, 4)
    gloss = 0.7 * highlight(n, key, view, roughness, 0.028) + 0.3 * highlight(n, key, view, 0.65 * roughness, 0.028)
    mirrored = mirror(n, view)
    grazing = 0.025 + 0.35 * (1 - max(0.0, dot(n, view))) ** 5
    for c in range(3):
        albedo = _texel(texture, u, v, c)
        wrap = 0.30 if c == 0 else (0.14 if c == 1 else 0.08)
        reach = max(0.0, (ndl + wrap) / (1 + wrap))
        soft = seen ** (0.75 if c == 0 else 1.0)
        bleed = occlusion ** (0.85 if c == 0 else 1.05)
        diffuse = albedo * (_irradiance(matrix, n, c) * bleed + key_color[c] * reach * soft)
        shine = specular * (key_color[c] * gloss * seen + grazing * _irradiance(matrix, mirrored, c) * occlusion)
        out[c] = diffuse + shine


@njit(cache=True)
def _iris(look, d, out):
    """Albedo of the eyeball toward its own direction `d` (z is the optical axis); returns 1 on the cornea, 0 beyond."""
    iris, half_angle, pupil_share, seed = look[1], look[2], look[3], look[6]
    rim = math.hypot(d[0], d[1])
    radius = math.atan2(rim, d[2]) / half_angle
    a, b = d[0] / (rim + 1e-9), d[1] / (rim + 1e-9)
    fibre = gradient_noise(9 * a, 9 * b, 1.5 * radius, seed) + 0.6 * gradient_noise(
        23 * a, 23 * b, 2 * radius, seed + 1
    )
    veins = max(0.0, gradient_noise(7 * d[0] + 3, 7 * d[1], 7 * d[2], seed + 2)) * smooth(1.2, 2.6, radius)
    inside = 1 - smooth(0.94, 1.06, radius)
    pupil = 1 - smooth(pupil_share - 0.05, pupil_share + 0.05, radius)
    ring = smooth(0.7, 1.0, radius)
    mix = smooth(pupil_share, 0.95, radius + 0.12 * fibre)
    for c in range(3):
        white = (0.50 - 0.02 * c) - veins * (0.05 if c == 0 else 0.22)
        color = (iris[0, c] * (1 - mix) + iris[1, c] * mix) * (1 + 0.45 * fibre) * (1 - 0.75 * ring)
        out[c] = white * (1 - inside) + inside * max(0.004, color) * (1 - 0.96 * pupil)
    return inside


@njit(cache=True)
def _eye(look, d, p, n, view, occlusion, light, out):
    """Wet eyeball: albedo of `_iris`, a sharp highlight of the key light and a faint mirror of the surroundings."""
    matrix, key, key_color, shadow_matrix, shadow_depth = light
    cornea = _iris(look, d, out)
    seen = lit(shadow_matrix, shadow_depth, p, n, 0.003, 0.002, 2.0, 4)
    reach = max(0.0, (dot(n, key) + 0.2) / 1.2)
    mirrored = mirror(n, view)
    spark = smooth(0.955, 0.985, dot(mirrored, key)) * (0.35 + 0.65 * seen)
    fresnel = 0.03 + 0.5 * (1 - max(0.0, dot(n, view))) ** 5
    shade = occlusion**1.2
    for c in range(3):
        diffuse = out[c] * (_irradiance(matrix, n, c) * shade + key_color[c] * reach * seen)
        gleam = spark * (0.25 + 0.6 * cornea) + fresnel * _irradiance(matrix, mirrored, c) * shade
        out[c] = diffuse + key_color[c] * gleam


@njit(cache=True)
def _hair(look, group, coord, p, tangent, view, occlusion, light, centre, out):
    """Kajiya and Kay's diffuse term and two shifted highlights (after Marschner et al. 2003): white, then coloured."""
    matrix, key, key_color, shadow_matrix, shadow_depth = light
    hair, seed = look[4], look[6]
    strand = int(coord[2])
    across, along = coord[0], coord[1]
    fine = gradient_noise(across * 2.5, along * 9.0, strand * 1.37, seed)
    tone = (0.72 + 0.56 * hash_unit(strand, 3, 0, seed)) * (1 + 0.55 * fine) * (0.7 + 0.3 * smooth(0.0, 0.35, along))
    n = normalize((p[0] - centre[0], p[1] - centre[1], p[2] - centre[2]))
    seen = 0.12 + 0.88 * lit(shadow_matrix, shadow_depth, p, key, 0.003, 0.003, 2.0, 4)
    tl, tv = dot(tangent, key), dot(tangent, view)
    sin_l, sin_v = math.sqrt(max(0.0, 1 - tl * tl)), math.sqrt(max(0.0, 1 - tv * tv))
    facing = smooth(-0.5, 0.7, dot(n, key))
    jitter = 0.12 * fine + 0.1 * (hash_unit(strand, 5, 0, seed) - 0.5)
    first = max(0.0, sin_l * sin_v - (tl + 0.08 + jitter) * (tv + 0.08 + jitter)) ** 70
    second = max(0.0, sin_l * sin_v - (tl - 0.14 + jitter) * (tv - 0.14 + jitter)) ** 14
    for c in range(3):
        color = (hair[group, 0, c] * (1 - along) + hair[group, 1, c] * along) * tone
        diffuse = color * (_irradiance(matrix, n, c) * occlusion + key_color[c] * seen * facing * (0.25 + 0.55 * sin_l))
        shine = key_color[c] * seen * facing * (0.09 * first + 1.1 * color * second)
        out[c] = diffuse + shine * (0.4 + 0.6 * occlusion)


@njit(cache=True)
def _cloth(cloth, group, coord, p, n, view, occlusion, seed, light, out):
    """Woven surface: pattern, weave noise, a broad sheen toward grazing views."""
    matrix, key, key_color, shadow_matrix, shadow_depth = light
    pattern, size = int(cloth[group, 0]), cloth[group, 7]
    x, y, z = coord
    share = 0.0
    if pattern == 1:
        share = smooth(0.42, 0.5, abs((y / size) % 1.0 - 0.5) * 2)
    elif pattern == 2:
        share = smooth(0.02, 0.07, gradient_noise(x / size, y / size, z / size, seed + 4) - 0.12)
    elif pattern == 3:
        share = 0.5 + 0.5 * math.sin(2 * math.pi * math.atan2(x, z) * 0.16 / (0.25 * size))
    weave = (
        1 + 0.10 * gradient_noise(x * 900, y * 900, z * 900, seed) + 0.12 * gradient_noise(x * 60, y * 60, z * 60, seed)
    )
    seen = lit(shadow_matrix, shadow_depth, p, n, 0.003, 0.002, 2.0, 4)
    reach = max(0.0, (dot(n, key) + 0.1) / 1.1)
    sheen = 0.25 * (1 - max(0.0, dot(n, view))) ** 3
    for c in range(3):
        albedo = (cloth[group, 1 + c] * (1 - share) + cloth[group, 4 + c] * share) * weave
        albedo += sheen * (0.04 + 0.5 * albedo)
        out[c] = albedo * (_irradiance(matrix, n, c) * occlusion + key_color[c] * reach * seen)


@njit(cache=True)
def _teeth(coord, p, n, view, occlusion, light, out):
    """Enamel: warm white and glossy, darker toward the back of the mouth, and the gum above it."""
    matrix, key, key_color, shadow_matrix, shadow_depth = light
    seen = lit(shadow_matrix, shadow_depth, p, n, 0.003, 0.003, 2.5, 4)
    reach = max(0.0, (dot(n, key) + 0.3) / 1.3)
    gloss = highlight(n, key, view, 0.35, 0.04)
    gum = smooth(0.0078, 0.0092, coord[0])
    front = math.exp(-coord[1] / 0.011)
    for c in range(3):
        albedo = front * ((0.70 - 0.05 * c) * (1 - gum) + gum * (0.40 if c == 0 else 0.13))
        light_in = _irradiance(matrix, n, c) * (0.3 + 0.7 * occlusion) * 0.75 + key_color[c] * reach * seen
        out[c] = albedo * light_in + key_color[c] * gloss * seen * front


@njit(cache=True, inline="always")
def _mix(values, faces, f, w):
    i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
    return (
        w[0] * values[i, 0] + w[1] * values[j, 0] + w[2] * values[k, 0],
        w[0] * values[i, 1] + w[1] * values[j, 1] + w[2] * values[k, 1],
        w[0] * values[i, 2] + w[1] * values[j, 2] + w[2] * values[k, 2],
    )


@njit(cache=True, parallel=True)
def _shade(ids: Any, bary: Any, mesh: Any, look: Any, light: Any, eye: Any, centre: Any, image: Any):
    vertices, normals, occlusions, coords, faces, kinds, groups, uvs = mesh
    for row in prange(ids.shape[0]):
        out = np.empty(3)
        for column in range(ids.shape[1]):
            f = ids[row, column]
            if f < 0:
                continue
            w = bary[row, column]
            p = _mix(vertices, faces, f, w)
            n = normalize(_mix(normals, faces, f, w))
            view = normalize((eye[0] - p[0], eye[1] - p[1], eye[2] - p[2]))
            corners = faces[f]
            ao = w[0] * occlusions[corners[0]] + w[1] * occlusions[corners[1]] + w[2] * occlusions[corners[2]]
            coord = _mix(coords, faces, f, w)
            kind = kinds[f]
            if kind != HAIR and dot(n, view) < 0:
                n = (-n[0], -n[1], -n[2])
            if kind == SKIN:
                u = w[0] * uvs[f, 0, 0] + w[1] * uvs[f, 1, 0] + w[2] * uvs[f, 2, 0]
                v = w[0] * uvs[f, 0, 1] + w[1] * uvs[f, 1, 1] + w[2] * uvs[f, 2, 1]
                _skin(look[0], u, v, p, n, view, ao, light, out)
            elif kind == EYE:
                _eye(look, coord, p, n, view, ao, light, out)
            elif kind == TEETH:
                _teeth(coord, p, n, view, ao, light, out)
            elif kind == CLOTH:
                _cloth(look[5], groups[f], coord, p, n, view, ao, look[6], light, out)
            else:
                _hair(look, groups[f], coord, p, n, view, ao, light, centre, out)
            for c in range(3):
                image[row, column, c] = shoulder(out[c])
