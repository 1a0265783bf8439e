"""Joints and skinning weights of the procedural head."""

from __future__ import annotations

import numpy as np

from unseen.head.procedural.anatomy import CORNER, VERMILION, Anatomy
from unseen.head.procedural.topology import ROWS

# Millimetres, on the midline: base of the neck, between the seventh and fifth vertebra, middle of the jaw's condyles.
ROOT, NECK, JAW = (0.0, -128.0, -48.0), (0.0, -88.0, -42.0), (0.0, -4.0, 14.0)
NECK_ROWS = (46, 62)  # the skin turns with the neck joint above the first and rests with the root below the second


def _smoothstep(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def neck_weight(head: Anatomy) -> np.ndarray:
    """How far each vertex follows the neck joint rather than the root, [V]."""
    weight = np.ones(len(head.vertices))
    grid = head.skin.layout.grid
    first, last = NECK_ROWS
    for row in range(first, ROWS + 1):
        weight[grid[row]] = 1.0 - _smoothstep(np.array((row - first) / (last - first)))
    return np.minimum(weight, weight[head.mirror])


def lower_lip_side(head: Anatomy) -> np.ndarray:
    """One on the lower lip and jaw, zero on the upper lip, smooth across corners and cheeks, [V_skin]."""
    layout = head.skin.layout
    mouth, grid, fill = layout.rings["mouth"], layout.grid, layout.fills["mouth"]
    chin = grid[35:42, :9]
    ones = [mouth[VERMILION:, : CORNER - 1].ravel(), chin[chin >= 0], fill[5:].ravel()]
    zeros = [
        mouth[VERMILION:, CORNER + 2 :].ravel(),
        fill[:4].ravel(),
        grid[:21][grid[:21] >= 0],
        layout.rings["eye"].ravel(),
        layout.rings["nostril"].ravel(),
        layout.rings["ear"].ravel(),
        layout.fills["ear"].ravel(),
        layout.fills["nostril"].ravel(),
        layout.cap.ravel(),
        grid[21:, 23:][grid[21:, 23:] >= 0],
        grid[52:].ravel(),
        grid[21:26, :9][grid[21:26, :9] >= 0],
    ]
    return head.harmonic(head.both_sides(np.concatenate(ones)), head.both_sides(np.concatenate(zeros)))


def lbs_weights(head: Anatomy) -> np.ndarray:
    """Skinning weights of root, neck, jaw, left eye, right eye, rows sum to 1, [V, 5]."""
    weights = np.zeros((len(head.vertices), 5))
    neck = neck_weight(head)
    jaw = np.zeros(len(neck))
    jaw[head.part("skin")] = lower_lip_side(head)
    jaw[head.part("lower_teeth")] = 1.0
    weights[:, 0], weights[:, 1], weights[:, 2] = 1.0 - neck, neck * (1.0 - jaw), neck * jaw
    for joint, name in ((3, "left_eyeball"), (4, "right_eyeball")):
        weights[head.part(name)] = np.eye(5)[joint]
    return weights


def _regress(head: Anatomy, ids: np.ndarray, target: tuple[float, float, float]) -> np.ndarray:
    """Smallest weights of these vertices that sum to 1 and average to the target, [V]."""
    points = head.vertices[ids]
    system = np.concatenate([points.T, np.ones((1, len(ids)))])
    start = np.full(len(ids), 1.0 / len(ids))
    correction = np.linalg.lstsq(system, np.concatenate([target, [1.0]]) - system @ start, rcond=None)[0]
    row = np.zeros(len(head.vertices))
    row[ids] = start + correction
    return row


def j_regressor(head: Anatomy) -> np.ndarray:
    """Joints as weighted sums of vertices near them, [5, V]."""
    grid = head.skin.layout.grid
    eyes = [np.isin(np.arange(len(head.vertices)), head.part(n)) for n in ("left_eyeball", "right_eyeball")]
    rows = [
        _regress(head, head.both_sides(grid[57:62]), ROOT),
        _regress(head, head.both_sides(grid[50:55]), NECK),
        _regress(head, head.both_sides(grid[14:24, 17:23][grid[14:24, 17:23] >= 0]), JAW),
    ]
    spheres = [_sphere_center(head, np.flatnonzero(eye)) for eye in eyes]
    return np.stack([*rows, *spheres])


def _sphere_center(head: Anatomy, ids: np.ndarray) -> np.ndarray:
    center = (head.vertices[ids].min(0) + head.vertices[ids].max(0)) / 2.0
    return _regress(head, ids, (float(center[0]), float(center[1]), float(center[2])))


def pose_correctives(head: Anatomy) -> tuple[list[int], np.ndarray]:
    """Entries of (R - I) of the four joints that displace the skin, and their displacements, [V, 3, K], millimetres.

    Entry 9 j + 3 r + c is row r and column c of joint j after the root. The jaw's opening shows in its entry (2, 1),
    the sine of its angle: cheeks hollow a little and the corners of the mouth draw in.
    """
    corner = _bump(head, (25.0, -31.0, 76.0), (9.0, 11.0, 13.0))
    cheek = _bump(head, (42.0, -24.0, 64.0), (13.0, 17.0, 20.0))
    side = np.sign(head.vertices[:, :1])
    opening = corner[:, None] * side * [-9.0, 0.0, 0.0] + corner[:, None] * [0.0, 0.0, -4.0]
    opening = opening + cheek[:, None] * side * [-7.0, 0.0, 0.0]
    opening[head.spans["skin"][1] :] = 0.0
    return [9 + 3 * 2 + 1], opening[..., None]


def _bump(head: Anatomy, center: tuple[float, float, float], radius: tuple[float, float, float]) -> np.ndarray:
    weight = np.exp(-0.5 * (((head.vertices - center) / np.array(radius)) ** 2).sum(1))
    return weight + weight[head.mirror]
