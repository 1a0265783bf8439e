"""Hair as geometry: growing strands over a head, and turning them into ribbons that face the viewer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numba import njit, prange
from scipy.spatial import cKDTree

from unseen.synthetic.noise import fractal_noise

TIE_RADIUS_M = 0.022


@dataclass(frozen=True)
class Strands:
    """S strands of P points each, in the unposed space of one identity, metres.

    Attributes:
        points: from root to tip, [S, P, 3].
        width_m: full width at the root, [S].
        faces: head face each strand grows from, [S].
        bary: position of its root in that face, [S, 3].
        shade: brightness factor of each strand's colour, [S].
    """

    points: Float[np.ndarray, "S P 3"]
    width_m: Float[np.ndarray, "S"]
    faces: Int[np.ndarray, "S"]
    bary: Float[np.ndarray, "S 3"]
    shade: Float[np.ndarray, "S"]

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True)
class Comb:
    """How strands leave the scalp and where they go.

    Attributes:
        length_m: mean length of a strand.
        length_spread: relative standard deviation of the length.
        lift: share of the surface normal in the direction a strand leaves in, 0 lies flat, 1 stands up.
        flow: direction the hair is combed in (world axes, projected to the surface), [3].
        part_x_m: where the parting lies; strands flow away from it sideways with `part_strength`.
        part_strength: weight of that sideways flow.
        gravity: pull per metre of length already grown.
        stiffness: share of the previous direction kept in each step, 0..1.
        layer_m: distance from the scalp that the outermost strands keep, gives the hair its volume.
        wave_m, wave_length_m: amplitude and length of waves (curls when of similar size).
        clump: how far strands gather to locks toward the tip, 0..1.
        frizz: directional noise per step.
        turn_in: how strongly the tips bend toward the neck.
        cut_y_m: height at which everything is cut straight, or None.
        tie: point where the hair is gathered, or None, [3].
    """

    length_m: float
    length_spread: float = 0.12
    lift: float = 0.35
    flow: tuple[float, float, float] = (0.0, -0.3, 0.0)
    part_x_m: float = 0.0
    part_strength: float = 0.0
    gravity: float = 6.0
    stiffness: float = 0.55
    layer_m: float = 0.012
    wave_m: float = 0.0
    wave_length_m: float = 0.05
    clump: float = 0.4
    frizz: float = 0.08
    turn_in: float = 0.0
    cut_y_m: float | None = None
    tie: tuple[float, float, float] | None = None


class Obstacle:
    """A closed-ish surface that strands must stay outside of, as oriented points."""

    def __init__(self, vertices: Float[np.ndarray, "V 3"], normals: Float[np.ndarray, "V 3"]) -> None:
        self._tree = cKDTree(vertices)
        self._vertices, self._normals = vertices, normals

    def push_out(self, points: Float[np.ndarray, "N 3"], margin: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N 3"]:
        """Points moved along the surface normal to at least `margin` metres outside."""
        _, near = self._tree.query(points, workers=1)
        normal = self._normals[near]
        distance = ((points - self._vertices[near]) * normal).sum(1)
        return points + np.maximum(margin - distance, 0.0)[:, None] * normal

    def touching(self, points: Float[np.ndarray, "N 3"], reach_m: float = 0.025) -> Float[np.ndarray, "N 3"]:
        """Normal of the nearest surface point, fading to zero at a distance of `reach_m`."""
        distance, near = self._tree.query(points, workers=1)
        return self._normals[near] * np.clip(2 - 2 * distance / reach_m, 0, 1)[:, None]


def sample_roots(
    vertices: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    density: Float[np.ndarray, "V"],
    count: int,
    rng: np.random.Generator,
) -> tuple[Int[np.ndarray, "S"], Float[np.ndarray, "S 3"]]:
    """`count` random surface points with probability proportional to area times the per-vertex density."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) * density[faces].mean(1)
    cumulative = np.cumsum(area)
    ticks = (np.arange(count) + rng.uniform(size=count)) / count * cumulative[-1]  # stratified: even coverage
    face = np.minimum(np.searchsorted(cumulative, ticks), len(faces) - 1)
    u, v = rng.uniform(size=(2, count))
    flip = u + v > 1
    u, v = np.where(flip, 1 - u, u), np.where(flip, 1 - v, v)
    bary = np.stack([1 - u - v, u, v], 1)
    keep = (density[faces[face]] * bary).sum(1) >= rng.uniform(size=count) * density[faces[face]].mean(1)
    return face[keep], bary[keep]


def grow(
    roots: Float[np.ndarray, "S 3"],
    normals: Float[np.ndarray, "S 3"],
    comb: Comb,
    obstacle: Obstacle,
    num_points: int,
    rng: np.random.Generator,
    centre: Float[np.ndarray, "3"],
) -> Float[np.ndarray, "S P 3"]:
    """Integrate strands from their roots, keeping outside of `obstacle`.

    Args:
        roots, normals: where strands start and the surface normals there.
        comb: style.
        obstacle: head and shoulders.
        num_points: points per strand.
        rng: source of all randomness.
        centre: a point inside the cranium; vertical planes through it tell left from right and front from back.
    """
    count = len(roots)
    length = comb.length_m * np.clip(1 + comb.length_spread * rng.normal(size=count), 0.4, 1.8)
    step = (length / (num_points - 1))[:, None]
    layer = comb.layer_m * rng.uniform(size=count) ** 1.5
    seed = int(rng.integers(2**31))
    points = np.empty((count, num_points, 3))
    points[:, 0] = position = roots
    tied = np.zeros(count, bool)
    target = _flow(position, normals, comb, centre, np.zeros((count, 1)), tied)
    direction = _unit(target * (1 - comb.lift) + normals * comb.lift)
    for k in range(1, num_points):
        travelled = step * k
        target = _flow(position, obstacle.touching(position), comb, centre, travelled, tied)
        target = target + np.array([0.0, -comb.gravity, 0.0]) * travelled
        inward = (centre - position) * [1.0, 0.0, 1.0]
        target = target + comb.turn_in * (k / num_points) ** 3 * _unit(inward)
        wobble = np.stack([fractal_noise(position, 45.0, 2, seed=seed + axis) for axis in range(3)], 1)
        target = _unit(target) + comb.frizz * (3 * wobble + 0.5 * rng.normal(size=(count, 3)))
        direction = _unit(comb.stiffness * direction + (1 - comb.stiffness) * _unit(target))
        position = position + step * direction
        rise = np.minimum(travelled[:, 0] / 0.02, 1.0)
        position = obstacle.push_out(position, 0.001 + layer * rise)
        points[:, k] = position
    return _finish(points, comb, obstacle, rng)


def _flow(
    position: np.ndarray,
    normal: np.ndarray,
    comb: Comb,
    centre: np.ndarray,
    travelled: np.ndarray,
    tied: np.ndarray,
) -> np.ndarray:
    """Combing direction at points: flow and, near the root, away from the parting; or the way to the tie and down
    from there (`tied` notes which strands have arrived). Where the surface is touched (normal not zero) it is
    followed."""
    flow = np.broadcast_to(np.array(comb.flow), position.shape).copy()
    side = np.tanh((position[:, 0] - centre[0] - comb.part_x_m) / 0.006)
    behind = np.clip((centre[2] - position[:, 2]) / 0.06, 0, 1)
    beside = np.clip((np.abs(position[:, 0] - centre[0]) - 0.045) / 0.03, 0, 1)
    flow[:, 1] -= np.maximum(behind, beside)  # sideways and behind, hair hangs
    flow[:, 0] += comb.part_strength * side * np.exp(-((travelled[:, 0] / 0.09) ** 2))
    if comb.tie is not None:
        flow = np.array(comb.tie) - position
        tied |= (flow**2).sum(1) < TIE_RADIUS_M**2
        flow[tied] = (0.0, -0.1, -0.02)
    flow = _unit(flow + 1e-9)
    flow -= (flow * normal).sum(1, keepdims=True) * normal
    return _unit(flow + 1e-6)


def _finish(points: np.ndarray, comb: Comb, obstacle: Obstacle, rng: np.random.Generator) -> np.ndarray:
    """Locks, waves and the cut, in this order."""
    count, num = points.shape[:2]
    t = np.linspace(0, 1, num)[None, :, None]
    guides = rng.choice(count, max(1, count // 18), replace=False)
    guide = guides[cKDTree(points[guides, 0]).query(points[:, 0], workers=1)[1]]
    lock = points[guide] + 0.25 * (points[:, :1] - points[guide, :1])
    points = points + comb.clump * t**1.3 * (lock - points)
    if comb.wave_m > 0:
        tangent = _unit(np.gradient(points, axis=1))
        across = _unit(np.cross(tangent, [0.0, 0.3, 1.0]))
        up = np.cross(tangent, across)
        arc = np.concatenate([np.zeros((count, 1)), np.cumsum(np.linalg.norm(np.diff(points, axis=1), axis=2), 1)], 1)
        phase = rng.uniform(0, 2 * np.pi, (count,))[guide] + 0.5 * rng.normal(size=count)
        angle: np.ndarray = 2 * np.pi * arc / comb.wave_length_m + phase[:, None]
        cosine, sine = np.cos(angle)[..., None], np.sin(angle)[..., None]
        points = points + comb.wave_m * np.minimum(4 * t, 1) * (cosine * across + sine * up)
    if comb.cut_y_m is not None:
        ragged = comb.cut_y_m + 0.006 * rng.normal(size=(count, 1))
        points = _cut(points, ragged)
    flat = points.reshape(-1, 3)
    return obstacle.push_out(flat, np.full(len(flat), 0.0008)).reshape(points.shape)


def _cut(points: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Shorten strands to their part above `height`, resampled to as many points."""
    above = points[..., 1] >= height
    last = np.where(above.all(1), points.shape[1] - 1, np.maximum(1, np.argmin(above, 1) - 1))
    place = np.linspace(0, 1, points.shape[1])[None] * last[:, None]
    low = np.minimum(place.astype(int), points.shape[1] - 2)
    part = (place - low)[..., None]
    row = np.arange(len(points))[:, None]
    return points[row, low] * (1 - part) + points[row, low + 1] * part


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)


@njit(cache=True, parallel=True)
def _ribbons(points, width, eye, vertices, tangents):
    count, num = points.shape[:2]
    for s in prange(count):
        for k in range(num):
            a, b = max(k - 1, 0), min(k + 1, num - 1)
            tx, ty, tz = (
                points[s, b, 0] - points[s, a, 0],
                points[s, b, 1] - points[s, a, 1],
                points[s, b, 2] - points[s, a, 2],
            )
            length = np.sqrt(tx * tx + ty * ty + tz * tz) + 1e-12
            tx, ty, tz = tx / length, ty / length, tz / length
            vx, vy, vz = eye[0] - points[s, k, 0], eye[1] - points[s, k, 1], eye[2] - points[s, k, 2]
            cx, cy, cz = ty * vz - tz * vy, tz * vx - tx * vz, tx * vy - ty * vx
            norm = np.sqrt(cx * cx + cy * cy + cz * cz) + 1e-12
            t = k / (num - 1)
            half = 0.5 * width[s] * (1 - 0.75 * t * t) / norm
            base = (s * num + k) * 2
            for side in range(2):
                sign = half if side else -half
                vertices[base + side, 0] = points[s, k, 0] + sign * cx
                vertices[base + side, 1] = points[s, k, 1] + sign * cy
                vertices[base + side, 2] = points[s, k, 2] + sign * cz
                tangents[base + side, 0] = tx
                tangents[base + side, 1] = ty
                tangents[base + side, 2] = tz


def ribbons(
    points: Float[np.ndarray, "S P 3"], width_m: Float[np.ndarray, "S"], eye: Float[np.ndarray, "3"]
) -> tuple[Float[np.ndarray, "N 3"], Float[np.ndarray, "N 3"]]:
    """Vertices and unit tangents of flat ribbons turned toward `eye`, N = 2 S P; two vertices per strand point."""
    size = 2 * points.shape[0] * points.shape[1]
    vertices, tangents = np.empty((size, 3)), np.empty((size, 3))
    _ribbons(np.ascontiguousarray(points), width_m, eye, vertices, tangents)
    return vertices, tangents


def ribbon_faces(count: int, num_points: int) -> Int[np.ndarray, "F 3"]:
    """Triangles of `ribbons`, [2 S (P - 1), 3]."""
    base = 2 * (np.arange(count)[:, None] * num_points + np.arange(num_points - 1)[None]).reshape(-1, 1)
    both = [base + np.array(corners) for corners in ((0, 1, 3), (0, 3, 2))]
    return np.concatenate(both, 1).reshape(-1, 3).astype(np.int32)
