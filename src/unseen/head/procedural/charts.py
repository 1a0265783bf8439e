"""Texture coordinates of the procedural head: the skin unrolled like a cylinder, crown, eyeballs and teeth beside it.

The unrolled skin takes the lower part of the square, its seam down the back; rings inside the blocks of the grid shrink
towards their block's middle, so nothing overlaps. The crown's square patch, the eyeballs (azimuthal, pupil in the
middle) and the rows of teeth (unrolled) lie above it.
"""

from __future__ import annotations

import numpy as np

from unseen.head.procedural import topology
from unseen.head.procedural.anatomy import LIP_LINE, Anatomy

_SKIN = (0.01, 0.01, 0.98, 0.70)  # x, y, width, height of each chart in the unit square
_CROWN = (0.02, 0.74, 0.24, 0.24)
_EYES = ((0.30, 0.75, 0.22, 0.22), (0.54, 0.75, 0.22, 0.22))
_TEETH = ((0.79, 0.87, 0.19, 0.09), (0.79, 0.75, 0.19, 0.09))


def _steps(lengths: np.ndarray) -> np.ndarray:
    """Cumulative positions in [0, 1] of steps in proportion to these lengths."""
    total = np.concatenate([[0.0], np.cumsum(lengths)])
    return total / total[-1]


def _spacing(head: Anatomy) -> tuple[np.ndarray, np.ndarray]:
    """Positions of columns and rows in [0, 1], in proportion to their mean distance on the head."""
    grid = head.skin.layout.grid
    corners = np.where((grid >= 0)[..., None], head.vertices[np.maximum(grid, 0)], np.nan)
    across = np.nanmedian(np.linalg.norm(np.diff(corners[:50], axis=1), axis=-1), axis=0)
    down = np.nanmedian(np.linalg.norm(np.diff(corners, axis=0), axis=-1), axis=1)
    return _steps(np.sqrt(across * np.median(across))), _steps(np.sqrt(down * np.median(down)))


def _half_skin(head: Anatomy) -> np.ndarray:
    """Left half of the unrolled skin: u from the front midline (0) to the back (1), v up, [half, 2]."""
    layout = head.skin.layout
    u, v = _spacing(head)
    at = np.stack(np.meshgrid(u, 1.0 - v, indexing="xy"), -1)
    out = np.full((layout.size, 2), np.nan)
    present = layout.grid >= 0
    out[layout.grid[present]] = at[present]
    for name, block in (
        ("eye", topology.EYE),
        ("nostril", topology.NOSTRIL),
        ("ear", topology.EAR),
        ("mouth", topology.MOUTH),
    ):
        r0, r1, c0, c1 = block
        middle = np.array([0.0 if c0 == 0 else (u[c0] + u[c1]) / 2, 1.0 - (v[r0] + v[r1]) / 2])
        rings = layout.rings[name]
        shrink = np.linspace(1.0, 0.25, len(rings))
        if name == "mouth":  # the lips deserve more room than what they hide
            shrink = np.concatenate(
                [np.linspace(1, 0.4, LIP_LINE + 1), np.linspace(0.4, 0.12, len(rings) - LIP_LINE)[1:]]
            )
        for ring, scale in zip(rings, shrink, strict=True):
            out[ring] = middle + scale * (out[rings[0]] - middle)
        if name in layout.fills:
            patch = layout.fills[name]
            inside = np.isnan(out[patch]).any(-1)
            block_at = at[r0 : r1 + 1, c0 : c1 + 1]
            out[patch[inside]] = (middle + shrink[-1] * (block_at - middle))[inside]
    return out


def _crown(head: Anatomy) -> np.ndarray:
    """The crown's patch, left half: [CAP + 1, rows, 2] with u from the midline (0) to the side (1), v to the back."""
    x = np.linspace(0.0, 1.0, topology.CAP + 1)
    y = np.linspace(0.0, 1.0, topology.COLUMNS - 2 * topology.CAP + 1)
    return np.stack(np.meshgrid(x, y, indexing="ij"), -1)


def _place(chart: tuple[float, float, float, float], uv: np.ndarray) -> np.ndarray:
    return np.array(chart[:2]) + np.array(chart[2:]) * uv


def texture_coordinates(head: Anatomy) -> tuple[np.ndarray, np.ndarray]:
    """Texture coordinates [U, 2] and their index per face corner, [F, 3], faces as in `Anatomy.triangles`."""
    layout = head.skin.layout
    half = _half_skin(head)
    half[np.isnan(half)] = 0.0  # the crown's inside, which has its own chart
    crown = _crown(head)
    sides = []
    for sign in (1.0, -1.0):
        skin = np.stack([0.5 + sign * 0.5 * half[:, 0], half[:, 1]], -1)
        cap = np.stack([0.5 + sign * 0.5 * crown[..., 0], crown[..., 1]], -1).reshape(-1, 2)
        sides.append(np.concatenate([_place(_SKIN, skin), _place(_CROWN, cap)]))
    stride = len(sides[0])
    left_quads = head.skin.quads[: len(head.skin.quads) // 2]
    on_crown = np.asarray(np.isin(left_quads, layout.cap).all(1))
    cap_index = np.full(layout.size, -1)
    cap_index[layout.cap] = layout.size + np.arange(layout.cap.size).reshape(layout.cap.shape)
    left = np.where(on_crown[:, None], cap_index[left_quads], left_quads)
    corners = topology.Skin(np.concatenate([left, left[:, ::-1] + stride]), head.mirror, layout).triangles()
    uvs, faces = [*sides], [corners]
    start = 2 * stride
    for part, chart in zip(head.pieces, (*_EYES, *_TEETH), strict=True):
        uvs.append(_place(chart, part.uv))
        split = np.stack([part.uv_quads[:, [0, 1, 2]], part.uv_quads[:, [0, 2, 3]]], 1).reshape(-1, 3)
        same = np.stack([part.quads[:, [0, 1, 2]], part.quads[:, [0, 2, 3]]], 1).reshape(-1, 3)
        keep = (same[:, 1] != same[:, 2]) & (same[:, 0] != same[:, 2]) & (same[:, 0] != same[:, 1])
        faces.append(split[keep] + start)
        start += len(part.uv)
    return np.concatenate(uvs), np.concatenate(faces)
