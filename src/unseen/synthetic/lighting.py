"""Light: a smooth environment, a key light with a shadow map, and ambient occlusion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numba import njit, prange

from unseen.core.camera import Camera
from unseen.render.mesh.rasterize import draw

LIGHT_DISTANCE_M = 20.0  # far enough for parallel rays, near enough for float32 depths to resolve 0.01 mm


@dataclass(frozen=True)
class Lighting:
    """Everything that lights one subject.

    Attributes:
        lobe_directions, lobe_colors: soft area lights toward unit world directions, linear radiance times pi, [L, 3].
        ambient: uniform environment, linear RGB, [3].
        key_direction: unit world direction toward the key light, [3].
        key_color: its irradiance at normal incidence, linear RGB, [3].
        background: linear RGB behind the subject, [3].
    """

    lobe_directions: Float[np.ndarray, "L 3"]
    lobe_colors: Float[np.ndarray, "L 3"]
    ambient: Float[np.ndarray, "3"]
    key_direction: Float[np.ndarray, "3"]
    key_color: Float[np.ndarray, "3"]
    background: Float[np.ndarray, "3"]

    def irradiance_matrix(self) -> Float[np.ndarray, "3 4 4"]:
        """M per channel with E(n) = (n, 1) M (n, 1): the order-2 spherical-harmonic irradiance (Ramamoorthi and
        Hanrahan 2001). A light of direction l contributes 1/4 + x/2 + 5/32 (3 x^2 - 1) with x = l . n."""
        m = np.zeros((3, 4, 4))
        m[:, 3, 3] = self.ambient
        for direction, color in zip(self.lobe_directions, self.lobe_colors, strict=True):
            one = np.zeros((4, 4))
            one[:3, :3] = 15 / 32 * np.outer(direction, direction)
            one[3, :3] = one[:3, 3] = direction / 4
            one[3, 3] = 1 / 4 - 5 / 32
            m += color[:, None, None] * one
        return m

    @classmethod
    def studio(cls, background: tuple[float, float, float] = (0.93, 0.93, 0.93)) -> Lighting:
        """Key light from the upper left of the image, broad fill from the right, hair light from behind."""
        key = np.array([0.42, 0.55, 0.75])
        lobes = np.array([[-0.75, 0.15, 0.6], [0.3, 0.5, 0.8], [0.0, 0.75, -0.7], [0.0, -1.0, 0.25]])
        colors = np.array([[0.42, 0.44, 0.47], [0.55, 0.53, 0.5], [0.5, 0.52, 0.55], [0.16, 0.14, 0.13]])
        return cls(
            lobe_directions=_unit(lobes),
            lobe_colors=colors,
            ambient=np.array([0.2, 0.205, 0.215]),
            key_direction=_unit(key),
            key_color=np.array([1.02, 0.97, 0.9]),
            background=np.array(background),
        )

    @classmethod
    def sample(cls, seed: int) -> Lighting:
        """A random set-up: warm or cold key from the front half-space, two to four fills, grey to tinted background."""
        rng = np.random.default_rng([seed, 0x11687])
        azimuth, elevation = rng.uniform(-1.2, 1.2), rng.uniform(0.1, 1.0)
        key = np.array([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])
        warmth = rng.uniform(-0.12, 0.12)
        tint = np.array([1 + warmth, 1.0, 1 - warmth])
        lobes = _unit(rng.normal(size=(int(rng.integers(2, 5)), 3)) * [1.0, 0.7, 1.0] + [0.0, 0.3, 0.4])
        ambient = rng.uniform(0.15, 0.4)
        background = np.clip(rng.uniform(0.05, 0.95) + rng.normal(scale=0.06, size=3), 0.0, 1.0)
        return cls(
            lobe_directions=lobes,
            lobe_colors=rng.uniform(0.2, 0.65, (len(lobes), 1)) * (1 + rng.normal(scale=0.08, size=(len(lobes), 3))),
            ambient=ambient * (2 - tint),
            key_direction=key,
            key_color=rng.uniform(0.4, 1.2) * tint,
            background=background,
        )


@dataclass(frozen=True)
class ShadowMap:
    """Depth seen from a far light: `matrix` [3, 4] takes world points to (x d, y d, d) in map pixels."""

    matrix: Float[np.ndarray, "3 4"]
    depth: Float[np.ndarray, "R R"]


def far_camera(
    direction: Float[np.ndarray, "3"], vertices: Float[np.ndarray, "V 3"], resolution: int
) -> Float[np.ndarray, "3 4"]:
    """Projection [3, 4] of a square image that sees all vertices from far away along -direction."""
    centre = 0.5 * (vertices.min(0) + vertices.max(0))
    radius = float(np.sqrt(((vertices - centre) ** 2).sum(1).max())) + 1e-6
    focal = 0.49 * resolution * (LIGHT_DISTANCE_M - radius) / radius
    eye = centre + LIGHT_DISTANCE_M * direction
    camera = Camera.look_at(eye.tolist(), centre.tolist(), resolution, resolution, focal_px=focal)
    return (camera.K @ camera.world_to_camera[:3]).double().numpy()


def transform(matrix: Float[np.ndarray, "3 4"], points: Float[np.ndarray, "V 3"]) -> Float[np.ndarray, "V 3"]:
    """Homogeneous image coordinates of world points."""
    out = np.empty((len(points), 3))
    _transform(np.asarray(matrix, np.float64), np.asarray(points, np.float64), out)
    return out


@njit(cache=True, parallel=True)
def _transform(m, points, out):
    for i in prange(len(points)):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        for k in range(3):
            out[i, k] = m[k, 0] * x + m[k, 1] * y + m[k, 2] * z + m[k, 3]


def shadow_map(
    direction: Float[np.ndarray, "3"],
    vertices: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    resolution: int = 512,
    region: Float[np.ndarray, "N 3"] | None = None,
) -> ShadowMap:
    """Depth map of the mesh from a light infinitely far toward `direction`, wide enough for the points of `region`, by
    default all vertices."""
    matrix = far_camera(direction, vertices if region is None else region, resolution)
    _, _, depth = draw(transform(matrix, vertices), faces, resolution, resolution, 0.01, False)
    return ShadowMap(matrix, depth)


def ambient_occlusion(
    vertices: Float[np.ndarray, "V 3"],
    normals: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    *,
    directions: int = 40,
    resolution: int = 224,
    bias_m: float = 0.0015,
) -> Float[np.ndarray, "V"]:
    """Cosine-weighted visible share of the hemisphere over each vertex, [V] in [0, 1], from depth maps all around."""
    seen = np.zeros(len(vertices))
    weight = np.full(len(vertices), 1e-9)
    vertices, normals = np.ascontiguousarray(vertices), np.ascontiguousarray(normals)
    for direction in fibonacci_sphere(directions):
        light = shadow_map(direction, vertices, faces, resolution)
        _gather(light.matrix, light.depth, vertices, normals, direction, bias_m, seen, weight)
    return seen / weight


@njit(cache=True, parallel=True)
def _gather(matrix, depth, vertices, normals, direction, bias, seen, weight):
    size = depth.shape[0]
    for i in prange(len(vertices)):
        n = normals[i]
        cosine = n[0] * direction[0] + n[1] * direction[1] + n[2] * direction[2]
        if cosine <= 0.0:
            continue
        p = vertices[i]
        w = matrix[2, 0] * p[0] + matrix[2, 1] * p[1] + matrix[2, 2] * p[2] + matrix[2, 3]
        u = (matrix[0, 0] * p[0] + matrix[0, 1] * p[1] + matrix[0, 2] * p[2] + matrix[0, 3]) / w
        v = (matrix[1, 0] * p[0] + matrix[1, 1] * p[1] + matrix[1, 2] * p[2] + matrix[1, 3]) / w
        column, row = min(size - 1, max(0, int(u))), min(size - 1, max(0, int(v)))
        weight[i] += cosine
        if w <= depth[row, column] + bias * (3.0 - 2.0 * cosine):
            seen[i] += cosine


def fibonacci_sphere(count: int) -> Float[np.ndarray, "N 3"]:
    """Evenly spread unit vectors (golden-angle spiral)."""
    i = np.arange(count) + 0.5
    y = 1 - 2 * i / count
    turn = np.pi * (1 + 5**0.5) * i
    r = np.sqrt(1 - y * y)
    return np.stack([r * np.cos(turn), y, r * np.sin(turn)], 1)


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v, axis=-1, keepdims=True)
