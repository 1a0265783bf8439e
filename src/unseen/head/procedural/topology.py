"""Connectivity of the procedural head's skin: a polar grid with concentric rings round eyes, mouth, nostrils and ears.

One half of the head (x >= 0, the person's left) is laid out and mirrored. Rows run from the crown down over face and
neck to the chest, columns from the front midline over the ear to the back midline. Blocks cut out of that grid are
filled with rings of as many vertices as the block's outline, so that edge loops follow lids and lips. All faces are
quadrilaterals; `triangles` splits them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

COLUMNS = 40  # from the front midline (0) to the back midline (40)
ROWS = 68  # last row, the rim of the torso
CAP = 10  # half width of the grid that closes the crown; CAP + 20 + CAP columns surround it
EYE = (8, 14, 4, 14)  # blocks as (first row, last row, first column, last column)
NOSTRIL = (21, 23, 1, 4)
MOUTH = (27, 35, 0, 8)
EAR = (10, 22, 22, 28)
EYE_RINGS, MOUTH_RINGS, NOSTRIL_RINGS, EAR_RINGS = 11, 13, 4, 10


@dataclass
class Layout:
    """Half of the skin, before mirroring.

    Attributes:
        quads: vertex indices of the half's faces, counter-clockwise seen from outside.
        grid: index at [row, column], -1 inside the blocks, [ROWS + 1, COLUMNS + 1].
        cap: index at [column from the midline, row from the front], [CAP + 1, COLUMNS - 2 CAP + 1].
        rings: "eye", "mouth", "nostril", "ear" -> indices [ring, position]; ring 0 is the block's outline. Closed
            rings start at the lateral (eye), rear (ear) or lateral (nostril) side and run counter-clockwise seen from
            outside; the mouth's run from the lower midline over the corner to the upper midline.
        fills: indices of the grids that close "mouth", "nostril" and "ear" innermost, [row, column] of the block.
        midline: indices on the plane of symmetry.
        size: number of vertices of the half.
    """

    quads: list[tuple[int, int, int, int]] = field(default_factory=list)
    grid: np.ndarray = field(default_factory=lambda: np.full((ROWS + 1, COLUMNS + 1), -1))
    cap: np.ndarray = field(default_factory=lambda: np.full((CAP + 1, COLUMNS - 2 * CAP + 1), -1))
    rings: dict[str, np.ndarray] = field(default_factory=dict)
    fills: dict[str, np.ndarray] = field(default_factory=dict)
    midline: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    size: int = 0

    def new(self, *shape: int) -> np.ndarray:
        """Indices of that many new vertices."""
        ids = np.arange(self.size, self.size + int(np.prod(shape))).reshape(shape)
        self.size += ids.size
        return ids

    def add_quads(self, patch: np.ndarray) -> None:
        """Faces of a [rows down, columns to the person's left] patch of vertices."""
        a, b, c, d = patch[:-1, :-1], patch[1:, :-1], patch[1:, 1:], patch[:-1, 1:]
        self.quads.extend(map(tuple, np.stack([a, b, c, d], -1).reshape(-1, 4).tolist()))


def _outline(block: tuple[int, int, int, int], half: bool) -> list[tuple[int, int]]:
    """Grid positions round a block, counter-clockwise from the middle of its left side (or from the lower midline)."""
    r0, r1, c0, c1 = block
    bottom = [(r1, c) for c in range(c0, c1)]
    side = [(r, c1) for r in range(r1, r0, -1)]
    top = [(r0, c) for c in range(c1, c0, -1)]
    if half:
        return [*bottom, *side, *top, (r0, c0)]
    loop = bottom + side + top + [(r, c0) for r in range(r0, r1)]
    start = loop.index(((r0 + r1) // 2, c1))
    return loop[start:] + loop[:start]


def _add_rings(layout: Layout, name: str, block: tuple[int, int, int, int], count: int, fill: bool) -> None:
    half = block[2] == 0
    outline = _outline(block, half)
    first = np.array([layout.grid[p] for p in outline])
    rings = np.vstack([first[None], layout.new(count - 1, len(first))])
    layout.rings[name] = rings
    closed = rings if half else np.hstack([rings, rings[:, :1]])
    layout.add_quads(closed[::-1])
    if not fill:
        return
    r0, r1, c0, c1 = block
    patch = np.full((r1 - r0 + 1, c1 - c0 + 1), -1)
    for (r, c), index in zip(outline, rings[-1], strict=True):
        patch[r - r0, c - c0] = index
    patch[patch < 0] = layout.new(int((patch < 0).sum()))
    layout.fills[name] = patch
    layout.add_quads(patch)


def half_layout() -> Layout:
    """Lay out the left half."""
    layout = Layout()
    inside = np.zeros_like(layout.grid, bool)
    for r0, r1, c0, c1 in (EYE, NOSTRIL, EAR):
        inside[r0 + 1 : r1, c0 + 1 : c1] = True
    inside[MOUTH[0] + 1 : MOUTH[1], : MOUTH[3]] = True
    layout.grid[~inside] = layout.new(int((~inside).sum()))
    cells = np.ones((ROWS, COLUMNS), bool)
    for r0, r1, c0, c1 in (EYE, NOSTRIL, EAR, MOUTH):
        cells[r0:r1, c0:c1] = False
    for r, c in np.argwhere(cells):
        layout.add_quads(layout.grid[r : r + 2, c : c + 2])
    _add_cap(layout)
    _add_rings(layout, "eye", EYE, EYE_RINGS, False)
    _add_rings(layout, "nostril", NOSTRIL, NOSTRIL_RINGS, True)
    _add_rings(layout, "ear", EAR, EAR_RINGS, True)
    _add_rings(layout, "mouth", MOUTH, MOUTH_RINGS, True)
    middle = layout.grid[:, [0, -1]]
    parts = [middle[middle >= 0], layout.cap[0], layout.rings["mouth"][:, [0, -1]].ravel(), layout.fills["mouth"][:, 0]]
    layout.midline = np.unique(np.concatenate(parts))
    return layout


def _add_cap(layout: Layout) -> None:
    top = layout.grid[0]
    cap = layout.cap
    cap[:, 0] = top[: CAP + 1]
    cap[CAP, :] = top[CAP : COLUMNS - CAP + 1]
    cap[:, -1] = top[::-1][: CAP + 1]
    cap[cap < 0] = layout.new(int((cap < 0).sum()))
    layout.add_quads(cap.T[::-1])


@dataclass(frozen=True)
class Skin:
    """Both halves joined.

    Attributes:
        quads: [Q, 4]; the first half of them is the person's left.
        mirror: index of each vertex's mirror image, [V]; its own on the midline.
        layout: the left half; its indices are the first ones of the whole.
    """

    quads: np.ndarray
    mirror: np.ndarray
    layout: Layout

    def triangles(self) -> np.ndarray:
        """Two triangles a quad, [2 Q, 3]; the diagonals are mirror images too."""
        left, right = np.split(self.quads, 2)
        first = np.concatenate([left[:, [0, 1, 2]], right[:, [0, 1, 3]]])
        second = np.concatenate([left[:, [0, 2, 3]], right[:, [1, 2, 3]]])
        return np.stack([first, second], 1).reshape(-1, 3)


def skin() -> Skin:
    """The whole skin."""
    layout = half_layout()
    mirror = np.full(layout.size, -1)
    mirror[layout.midline] = layout.midline
    right = np.flatnonzero(mirror < 0)
    mirror[right] = layout.size + np.arange(len(right))
    mirror = np.concatenate([mirror, right])
    quads = np.array(layout.quads)
    return Skin(np.concatenate([quads, mirror[quads][:, ::-1]]), mirror, layout)
