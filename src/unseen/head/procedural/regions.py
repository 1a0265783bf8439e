"""Named parts of the procedural head as vertex indices."""

from __future__ import annotations

import numpy as np

from unseen.head.procedural.anatomy import CORNER, LID_RIM, LIP_LINE, VERMILION, Anatomy
from unseen.head.procedural.parts import EYE_SEGMENTS, IRIS_RING, PUPIL_RING
from unseen.head.procedural.topology import ROWS


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
    face_grid = _grid(head, slice(7, 43), slice(0, 20))
    skin = head.part("skin")
    teeth = np.concatenate([head.part("upper_teeth"), head.part("lower_teeth")])
    out = {
        "skin": skin,
        "face": both(np.concatenate([face_grid, eye.ravel(), nose, mouth[: LIP_LINE + 1].ravel()])),
        "forehead": both(_grid(head, slice(2, 8), slice(0, 17))),
        "scalp": both(np.concatenate([layout.cap.ravel(), _scalp(head)])),
        "nose": both(nose),
        "lips": both(lips),
        "upper_lip": both(lips[:, CORNER:]),
        "lower_lip": both(lips[:, : CORNER + 1]),
        "mouth_interior": both(inside),
        "neck": both(_grid(head, slice(44, 58), slice(None))),
        "torso": both(_grid(head, slice(58, None), slice(None))),
        "boundary": both(layout.grid[ROWS]),
        "teeth": teeth,
        "upper_teeth": head.part("upper_teeth"),
        "lower_teeth": head.part("lower_teeth"),
        "left_eyeball": head.part("left_eyeball"),
        "right_eyeball": head.part("right_eyeball"),
        **_sides(head, "ear", np.concatenate([ear[1:].ravel(), layout.fills["ear"].ravel()])),
        **_sides(head, "eye_region", eye.ravel()),
        **_sides(head, "upper_lid", eye[LID_RIM - 3 :, :17].ravel()),
        **_sides(head, "lower_lid", np.concatenate([eye[LID_RIM - 3 :, 16:].ravel(), eye[LID_RIM - 3 :, 0]])),
        **_sides(head, "brow", np.concatenate([eye[:3, 2:13].ravel(), _grid(head, slice(7, 9), slice(3, 13))])),
    }
    for side in ("left", "right"):
        ball = head.part(f"{side}_eyeball")
        out[f"{side}_pupil"] = ball[: 1 + (PUPIL_RING + 1) * EYE_SEGMENTS]
        out[f"{side}_iris"] = ball[: 1 + (IRIS_RING + 1) * EYE_SEGMENTS]
    return out


def _scalp(head: Anatomy) -> np.ndarray:
    """Where hair grows below the crown: behind a hairline from the forehead over the temples round the ears."""
    hairline = np.interp(
        np.arange(41), [0, 10, 14, 17, 20, 22, 25, 28, 30, 34, 40], [2, 2, 3, 6, 14, 12, 10, 12, 24, 34, 36]
    )
    grid = head.skin.layout.grid
    rows = np.arange(len(grid))[:, None]
    return grid[(rows <= hairline[None]) & (grid >= 0)]
