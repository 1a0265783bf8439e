"""Named parts of the procedural head as vertex indices."""

from __future__ import annotations

import numpy as np

from unseen.head.procedural.anatomy import CORNER, LID_RIM, LIP_LINE, VERMILION, Anatomy
from unseen.head.procedural.parts import EYE_SEGMENTS, GUM_MM, IRIS_RING, PUPIL_RING, TOOTH_PROFILE
from unseen.head.procedural.topology import COLUMNS, ROWS


def _grid(head: Anatomy, rows: slice, columns: slice) -> np.ndarray:
    ids = head.skin.layout.grid[rows, columns]
    return ids[ids >= 0]


def _sides(head: Anatomy, name: str, left: np.ndarray) -> dict[str, np.ndarray]:
    left = np.unique(left)
    return {f"left_{name}": left, f"right_{name}": np.sort(head.mirror[left])}


def regions(head: Anatomy) -> dict[str, np.ndarray]:
    """Vertex indices of each named part, sorted. "left" is the person's left."""
    layout, both = head.skin.layout, head.both_sides
    eye, mouth, ear, nostril = (layout.rings[k] for k in ("eye", "mouth", "ear", "nostril"))
    lips = mouth[VERMILION : LIP_LINE + 2]
    inside = np.concatenate([mouth[LIP_LINE + 1 :].ravel(), layout.fills["mouth"].ravel()])
    nose = np.concatenate([_grid(head, slice(12, 24), slice(0, 6)), nostril.ravel(), layout.fills["nostril"].ravel()])
    face_grid = _grid(head, slice(7, 43), slice(0, 21))
    face = both(np.concatenate([face_grid, eye.ravel(), nose, mouth[: LIP_LINE + 1].ravel()]))
    scalp = both(np.concatenate([layout.cap.ravel(), _scalp(head)]))
    ears = both(np.concatenate([ear.ravel(), layout.fills["ear"].ravel()]))
    skin = head.part("skin")
    teeth = np.concatenate([head.part("upper_teeth"), head.part("lower_teeth")])
    gum = np.array([height > GUM_MM for _, height in TOOTH_PROFILE])
    out = {
        "skin": skin,
        "face": face,
        "forehead": both(_grid(head, slice(2, 8), slice(0, 17))),
        "scalp": scalp,
        "nose": both(nose),
        "lips": both(lips),
        "upper_lip": both(lips[:, CORNER:]),
        "lower_lip": both(lips[:, : CORNER + 1]),
        "mouth_interior": both(inside),
        "neck": np.setdiff1d(both(_grid(head, slice(23, 58), slice(None))), np.concatenate([face, scalp, ears])),
        "torso": both(_grid(head, slice(58, None), slice(None))),
        "boundary": both(layout.grid[ROWS]),
        "teeth": teeth,
        "gums": teeth[gum[(teeth - teeth[0]) % len(gum)]],
        "nostrils": both(np.concatenate([nostril[1:].ravel(), layout.fills["nostril"].ravel()])),
        "upper_teeth": head.part("upper_teeth"),
        "lower_teeth": head.part("lower_teeth"),
        "left_eyeball": head.part("left_eyeball"),
        "right_eyeball": head.part("right_eyeball"),
        **_sides(head, "ear", np.concatenate([ear[1:].ravel(), layout.fills["ear"].ravel()])),
        **_sides(head, "eye_region", eye.ravel()),
        **_sides(head, "upper_lid", eye[LID_RIM - 3 :, :17].ravel()),
        **_sides(head, "lower_lid", np.concatenate([eye[LID_RIM - 3 :, 16:].ravel(), eye[LID_RIM - 3 :, 0]])),
        **_sides(head, "brow", _brow(head)),
    }
    for side in ("left", "right"):
        ball = head.part(f"{side}_eyeball")
        out[f"{side}_pupil"] = ball[: 1 + (PUPIL_RING + 1) * EYE_SEGMENTS]
        out[f"{side}_iris"] = ball[: 1 + (IRIS_RING + 1) * EYE_SEGMENTS]
    return out


def _scalp(head: Anatomy) -> np.ndarray:
    """Where hair grows below the crown: behind a hairline from the forehead over the temples round the ears."""
    columns, rows = (0, 10, 14, 17, 20, 22, 25, 28, 30, 34, 40), (2, 2, 3, 6, 14, 12, 10, 12, 24, 34, 36)
    hairline = np.interp(np.arange(COLUMNS + 1), columns, rows)
    grid = head.skin.layout.grid
    return grid[(np.arange(len(grid))[:, None] <= hairline) & (grid >= 0)]


def _brow(head: Anatomy) -> np.ndarray:
    """Left brow: the skin within a few millimetres of its arch, seen from the front."""
    front = head.vertices[: head.skin.layout.size]
    x = np.array([11.0, 25.0, 38.0, 54.0])
    arch = np.interp(front[:, 0], x, [48.5, 52.5, 52.0, 45.5])
    half = np.interp(front[:, 0], x, [4.5, 4.5, 3.8, 2.8])
    return np.flatnonzero(
        (np.abs(front[:, 1] - arch) < half) & (front[:, 0] > 9) & (front[:, 0] < 56) & (front[:, 2] > 50)
    )
