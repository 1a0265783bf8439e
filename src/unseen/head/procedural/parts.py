"""Eyeballs and teeth of the procedural head: closed components of their own, in millimetres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

EYE_RADIUS = 12.0
EYE_SEGMENTS = 24
# Distance of each ring of an eyeball from its optical axis' front pole, as an angle in degrees.
EYE_RING_ANGLES = (9.0, 19.0, 29.0, 36.0, 46.0, 60.0, 78.0, 98.0, 120.0, 142.0, 162.0)
PUPIL_RING, IRIS_RING = 0, 2
IRIS_RADIUS = EYE_RADIUS * float(np.sin(np.radians(EYE_RING_ANGLES[IRIS_RING])))
TOOTH_STATIONS = 57  # cross-sections along an arch
# Cross-section of a row of teeth: outwards (in thicknesses) and away from the cutting edge (mm), from the gum over the
# lip side to the edge and back on the tongue side.
TOOTH_PROFILE = ((0.9, 13.0), (1.0, 8.5), (0.85, 5.0), (0.45, 0.8), (0.0, 0.0), (-0.5, 0.9), (-1.0, 5.0), (-1.3, 12.0))
GUM_MM = 8.0  # points of the cross-section farther than this from the edge are gum


@dataclass(frozen=True)
class Part:
    """A closed component.

    Attributes:
        vertices: [V, 3], millimetres.
        quads: [Q, 4], counter-clockwise from outside; a triangle repeats its last index.
        uv, uv_quads: texture coordinates within the unit square, [U, 2], and their index per face corner, [Q, 4].
        mirror: index of each vertex's mirror image in the mirrored part, [V].
    """

    vertices: np.ndarray
    quads: np.ndarray
    uv: np.ndarray
    uv_quads: np.ndarray
    mirror: np.ndarray


def eyeball(center: np.ndarray) -> Part:
    """A sphere looking to +Z: vertex 0 is the pupil's centre, then the rings, then the rear pole."""
    angle = np.radians(EYE_RING_ANGLES)[:, None]
    turn = 2 * np.pi * np.arange(EYE_SEGMENTS) / EYE_SEGMENTS
    rings = np.stack([np.sin(angle) * np.cos(turn), np.sin(angle) * np.sin(turn), np.cos(angle) + 0 * turn], -1)
    unit = np.concatenate([[[0.0, 0.0, 1.0]], rings.reshape(-1, 3), [[0.0, 0.0, -1.0]]])
    count = len(EYE_RING_ANGLES)
    ids = 1 + np.arange(count * EYE_SEGMENTS).reshape(count, -1)
    step = np.roll(ids, -1, 1)
    body = np.stack([ids[:-1], ids[1:], step[1:], step[:-1]], -1).reshape(-1, 4)
    front = np.stack([0 * turn.astype(int), ids[0], step[0], step[0]], -1)
    last = len(unit) - 1
    rear = np.stack([0 * ids[-1] + last, step[-1], ids[-1], ids[-1]], -1)
    radius = np.concatenate([[0.0], np.repeat(EYE_RING_ANGLES, EYE_SEGMENTS), np.full(EYE_SEGMENTS, 180.0)]) / 360.0
    heading = np.concatenate([[0.0], np.tile(turn, count), turn + np.pi / EYE_SEGMENTS])
    uv = 0.5 + 0.98 * radius[:, None] * np.stack([np.cos(heading), np.sin(heading)], -1)
    rear_uv = rear.copy()  # the rear pole is torn open: one texture point a segment
    rear_uv[:, 0] += np.arange(EYE_SEGMENTS)
    quads = np.concatenate([front, body, rear])
    flip = (EYE_SEGMENTS // 2 - np.arange(EYE_SEGMENTS)) % EYE_SEGMENTS
    mirror = np.concatenate([[0], ids[:, flip].ravel(), [last]])
    return Part(center + EYE_RADIUS * unit, quads, uv, np.concatenate([front, body, rear_uv]), mirror)


def _arch(half_width: float, depth: float, front: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Points and outward normals of a dental arch in the x-z plane, evenly spaced along it, from right to left."""
    t = np.linspace(-1.0, 1.0, 801)
    angle = 0.48 * np.pi * t
    curve = np.stack([half_width * np.sin(angle), front - depth * (1 - np.cos(angle)) ** 1.05], -1)
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    at = np.interp(np.linspace(0, length[-1], count), length, t)
    points = np.stack([np.interp(at, t, curve[:, k]) for k in range(2)], -1)
    tangent = np.gradient(points, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    return points, np.stack([-tangent[:, 1], tangent[:, 0]], -1)


def teeth(upper: bool, bite: np.ndarray, half_width: float = 26.0) -> Part:
    """A row of teeth and its gum as one closed band along the dental arch.

    Args:
        upper: crowns hang down from the gum; otherwise they stand up.
        bite: point between the central incisors' cutting edges, [3], millimetres.
        half_width: of the arch at its last molars.
    """
    points, normals = _arch(half_width, 36.0 if upper else 35.0, 0.0, TOOTH_STATIONS)
    station = np.arange(TOOTH_STATIONS)
    phase = ((station - TOOTH_STATIONS // 2) % 4) / 4.0
    gap = np.exp(-(np.minimum(phase, 1 - phase) ** 2) / (2 * 0.11**2))  # 1 between two teeth
    along = np.abs(station / (TOOTH_STATIONS // 2) - 1.0)
    thickness = 2.0 + 3.0 * along
    profile = np.array(TOOTH_PROFILE)
    out = profile[None, :, :1] * thickness[:, None, None] - 0.55 * gap[:, None, None] * (profile[None, :, 1:] < GUM_MM)
    rise = profile[None, :, 1:] + 0.9 * gap[:, None, None] * (profile[None, :, 1:] < 1.0) + 0.8 * along[:, None, None]
    sign = 1.0 if upper else -1.0
    vertices = np.stack(
        [
            points[:, None, 0] + normals[:, None, 0] * out[..., 0],
            sign * rise[..., 0],
            points[:, None, 1] + normals[:, None, 1] * out[..., 0],
        ],
        -1,
    )
    quads, uv, uv_quads = _band(*vertices.shape[:2])
    if upper:
        uv[:, 0] = 1.0 - uv[:, 0]
    else:
        quads, uv_quads = quads[:, ::-1], uv_quads[:, ::-1]
    flip = np.arange(len(vertices) * vertices.shape[1]).reshape(vertices.shape[:2])[::-1].ravel()
    return Part(bite + vertices.reshape(-1, 3), quads, uv, uv_quads, flip)


def _band(rows: int, around: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Faces, texture coordinates and their faces of a closed tube of `rows` cross-sections of 8 points, capped."""
    ids = np.arange(rows * around).reshape(rows, around)
    caps = np.array([[0, 7, 6, 1], [1, 6, 5, 2], [2, 5, 4, 3]])
    caps = np.concatenate([caps, (caps + (rows - 1) * around)[:, ::-1]])
    step = np.roll(ids, -1, 1)
    body = np.stack([ids[:-1], step[:-1], step[1:], ids[1:]], -1).reshape(-1, 4)
    wide = np.arange(rows * (around + 1)).reshape(rows, around + 1)
    u, v = np.meshgrid(0.05 + 0.9 * np.arange(rows) / (rows - 1), np.arange(around + 1) / around, indexing="ij")
    ring = 2 * np.pi * np.arange(around) / around
    end = np.stack([0.02 * np.cos(ring), 0.5 + 0.4 * np.sin(ring)], -1)
    near, far = np.array([0.022, 0.0]), np.array([0.978, 0.0])
    uv = np.concatenate([np.stack([u, v], -1).reshape(-1, 2), near + end, far + end * [-1.0, 1.0]])
    uv_body = np.stack([wide[:-1, :-1], wide[:-1, 1:], wide[1:, 1:], wide[1:, :-1]], -1).reshape(-1, 4)
    first, last = np.split(caps, 2)
    uv_caps = np.concatenate([first, last - (rows - 1) * around + around]) + wide.size
    return np.concatenate([body, caps]), uv, np.concatenate([uv_body, uv_caps])
