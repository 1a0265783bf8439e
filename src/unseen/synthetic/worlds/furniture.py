"""Simple pieces of furniture, each made around the origin: it stands on y = 0, its front looks toward +z."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from unseen.synthetic.color import Color
from unseen.synthetic.worlds.palette import COLORS, toned
from unseen.synthetic.worlds.shapes import (
    BOOKS, BORDER, GRADIENT, PICTURE, STRIPES, Paint, Shape, ball, box, placed, tilted, tube,
)  # fmt: skip

Maker = Callable[[np.random.Generator, Color], list[Shape]]
CREAM, DARK_WOOD, PALE_WOOD = (0.93, 0.90, 0.82), (0.36, 0.24, 0.16), (0.72, 0.55, 0.37)
LEAF, SHADE_GLOW = (0.30, 0.56, 0.27), 0.75


def _wood(rng: np.random.Generator) -> Paint:
    return Paint(DARK_WOOD if rng.uniform() < 0.5 else PALE_WOOD)


def _legs(x: float, z: float, height: float, paint: Paint, thick: float = 0.055) -> list[Shape]:
    return [box((sx * x, 0, sz * z), (thick, height, thick), paint) for sx in (-1, 1) for sz in (-1, 1)]


def bed(rng: np.random.Generator, color: Color) -> list[Shape]:
    """A bed with a coloured blanket, its head at the wall."""
    wide, wood = float(rng.uniform(1.25, 1.6)), _wood(rng)
    pillows = [ball((x, 0.58, -0.72), (0.27, 0.11, 0.19), Paint(COLORS["white"])) for x in (-wide / 4, wide / 4)]
    return [
        box((0, 0.06, 0), (wide, 0.24, 2.0), wood),
        box((0, 0.30, 0), (wide - 0.06, 0.20, 1.94), Paint(CREAM)),
        box((0, 0.30, 0.28), (wide + 0.03, 0.25, 1.40), Paint(color)),
        box((0, 0.545, -0.36), (wide + 0.03, 0.03, 0.18), Paint(CREAM)),
        box((0, 0, -1.0), (wide + 0.06, 0.95, 0.07), wood),
        *_legs(wide / 2 - 0.06, 0.9, 0.1, wood),
        *pillows,
    ]


def sofa(rng: np.random.Generator, color: Color) -> list[Shape]:
    """A sofa with cushions."""
    wide = float(rng.uniform(1.6, 2.1))
    cloth, seat = Paint(color), Paint(toned(color, 1.12))
    half = (wide - 0.36) / 2
    return [
        box((0, 0.10, 0), (wide, 0.24, 0.85), cloth),
        box((0, 0.30, -0.32), (wide, 0.55, 0.22), cloth, taper=(0.98, 0.7)),
        *(box((x * (wide / 2 - 0.09), 0.10, 0), (0.18, 0.50, 0.85), cloth) for x in (-1, 1)),
        *(box((x * half / 2, 0.34, 0.08), (half - 0.03, 0.14, 0.64), seat, taper=(0.96, 0.96)) for x in (-1, 1)),
        *_legs(wide / 2 - 0.1, 0.35, 0.1, Paint(DARK_WOOD)),
    ]


def table(rng: np.random.Generator, color: Color) -> list[Shape]:
    """A table with a bowl."""
    wide, deep = float(rng.uniform(1.0, 1.4)), float(rng.uniform(0.65, 0.85))
    paint = Paint(color)
    round_top = rng.uniform() < 0.3
    top = (
        [tube((0, 0.68, 0), 0.05, 0.52, paint), tube((0, 0, 0), 0.68, 0.07, paint), tube((0, 0, 0), 0.04, 0.3, paint)]
        if round_top
        else [box((0, 0.68, 0), (wide, 0.06, deep), paint), *_legs(wide / 2 - 0.06, deep / 2 - 0.06, 0.68, paint, 0.07)]
    )
    bowl = tube((0.1, 0.735, 0.02), 0.10, 0.10, Paint(COLORS["white"]), taper=1.5)
    return [*top, bowl, ball((0.1, 0.85, 0.02), (0.11, 0.06, 0.11), Paint(COLORS["orange"]))]


def chair(rng: np.random.Generator, color: Color) -> list[Shape]:
    """A chair."""
    paint = Paint(color)
    return [
        box((0, 0.42, 0), (0.46, 0.06, 0.46), paint),
        box((0, 0.62, -0.20), (0.46, 0.34, 0.05), paint),
        *(box((x * 0.19, 0.45, -0.20), (0.05, 0.25, 0.05), paint) for x in (-1, 1)),
        *_legs(0.19, 0.19, 0.42, paint),
    ]


def lamp(rng: np.random.Generator, color: Color) -> list[Shape]:
    """A standing lamp; its shade shines."""
    metal = Paint(DARK_WOOD)
    return [
        tube((0, 0, 0), 0.04, 0.17, metal),
        tube((0, 0, 0), 1.35, 0.028, metal),
        tube((0, 1.28, 0), 0.36, 0.27, Paint(color, glow=SHADE_GLOW), taper=0.55),
    ]


def plant(rng: np.random.Generator, color: Color) -> list[Shape]:
    """A plant in a coloured pot: a bush, or long leaves."""
    pot = [tube((0, 0, 0), 0.32, 0.15, Paint(color), taper=1.35), tube((0, 0.315, 0), 0.01, 0.19, Paint(DARK_WOOD))]
    green = Paint(LEAF, toned(LEAF, 0.7), GRADIENT)
    if rng.uniform() < 0.5:
        crowns = [((0, 0.72), 0.32), ((0.17, 0.58), 0.22), ((-0.17, 0.62), 0.22), ((0.02, 0.98), 0.20)]
        return [*pot, *(ball((x, y, 0.05 * x), (r, r, r), green) for (x, y), r in crowns)]
    leaf = tilted(ball((0, 0, 0), (0.07, 0.42, 0.035), green), "x", 0.5)
    around = [placed([leaf], (0.18 * math.sin(a), 0.66, 0.18 * math.cos(a)), a)[0] for a in np.arange(6) * math.pi / 3]
    return [*pot, *around, ball((0, 0.78, 0), (0.06, 0.46, 0.05), green)]


def bookcase(rng: np.random.Generator, color: Color) -> list[Shape]:
    """Shelves full of books; the colour is that of the wood."""
    wide, high, shelves, paint = float(rng.uniform(0.8, 1.2)), 1.8, 4, Paint(color)
    gap = (high - 0.12) / shelves
    spines = [("red", "navy"), ("teal", "yellow"), ("orange", "purple"), ("blue", "beige")]
    rows = []
    for k in range(shelves):
        a, b = spines[int(rng.integers(len(spines)))]
        books = Paint(COLORS[a], COLORS[b], BOOKS, 0.085)
        rows.append(box((0, 0.10 + k * gap, 0.0), (wide - 0.1, gap * rng.uniform(0.66, 0.8), 0.22), books))
    return [
        *(box((x * (wide / 2 - 0.025), 0, 0), (0.05, high, 0.34), paint) for x in (-1, 1)),
        box((0, 0, -0.15), (wide, high, 0.04), paint),
        *(box((0, 0.06 + k * gap, 0), (wide, 0.04, 0.33), paint) for k in range(shelves + 1)),
        *rows,
    ]


def cupboard(rng: np.random.Generator, color: Color) -> list[Shape]:
    """A cupboard with two doors, tall or low."""
    wide, high = float(rng.uniform(0.9, 1.25)), 1.8 if rng.uniform() < 0.5 else 0.95
    door, dark = Paint(toned(color, 1.15)), Paint(toned(color, 0.8))
    leaf = wide / 2 - 0.06
    return [
        box((0, 0.07, 0), (wide, high - 0.07, 0.46), Paint(color)),
        box((0, high, 0), (wide + 0.06, 0.05, 0.50), dark),
        *(box((x * (leaf / 2 + 0.015), 0.12, 0.235), (leaf, high - 0.2, 0.02), door) for x in (-1, 1)),
        *(ball((x * 0.07, high * 0.55, 0.26), (0.03, 0.03, 0.03), Paint(CREAM)) for x in (-1, 1)),
        *_legs(wide / 2 - 0.07, 0.17, 0.08, dark),
    ]


def rug(rng: np.random.Generator, color: Color) -> list[Shape]:
    """A rug with a border, angular or round, or striped."""
    border = Paint(color, toned(CREAM, 1.0), BORDER, 0.09)
    if rng.uniform() < 0.35:
        return [tube((0, 0, 0), 0.015, float(rng.uniform(0.8, 1.1)), border)]
    size = (float(rng.uniform(1.7, 2.3)), 0.015, float(rng.uniform(1.2, 1.6)))
    return [box((0, 0, 0), size, Paint(color, toned(color, 0.75), STRIPES, 0.22) if rng.uniform() < 0.35 else border)]


def picture(rng: np.random.Generator, color: Color) -> list[Shape]:
    """A framed picture, its back at z = 0."""
    wide, high = float(rng.uniform(0.5, 0.9)), float(rng.uniform(0.45, 0.65))
    names = sorted(set(COLORS) - {"black", "white", "grey", "brown"})
    a, b = (COLORS[names[i]] for i in rng.choice(len(names), 2, replace=False))
    return [
        box((0, 0, 0.015), (wide, high, 0.03), Paint(DARK_WOOD)),
        box((0, 0.05, 0.03), (wide - 0.1, high - 0.1, 0.03), Paint(a, b, PICTURE)),
    ]


def window(wide: float, high: float, sky: tuple[Color, Color], glow: float) -> list[Shape]:
    """A window with a view of the sky, its back at z = 0, the lower edge of the frame at y = 0."""
    white, edge = Paint(COLORS["white"]), 0.07
    bars = [
        box((0, -edge / 2, 0.03), (wide + edge, edge, 0.09), white),
        box((0, high - edge / 2, 0.03), (wide + edge, edge, 0.06), white),
        *(box((x * wide / 2, 0, 0.03), (edge, high, 0.06), white) for x in (-1, 1)),
        box((0, 0, 0.03), (0.04, high, 0.04), white),
        box((0, high / 2 - 0.02, 0.03), (wide, 0.04, 0.04), white),
        box((0, -edge, 0.06), (wide + 0.2, 0.04, 0.16), white),
    ]
    pane = box((0, 0, 0.005), (wide, high, 0.03), Paint(*sky, GRADIENT, glow=glow))
    return [replace(shape, shades=False) for shape in (pane, *bars)]


def curtains(wide: float, high: float, color: Color) -> list[Shape]:
    """A pair of curtains for a window of that size, at the same place, and their rod."""
    cloth = Paint(color, toned(color, 0.8), STRIPES, 0.06)
    sides = [box((x * (wide / 2 + 0.14), -0.25, 0.07), (0.30, high + 0.4, 0.07), cloth) for x in (-1, 1)]
    return [*sides, box((0, high + 0.15, 0.07), (wide + 0.75, 0.035, 0.035), Paint(DARK_WOOD))]


def door(rng: np.random.Generator, color: Color) -> list[Shape]:
    """A closed door, its back at z = 0."""
    panel = Paint(toned(color, 0.85))
    return [
        box((0, 0, 0.02), (0.9, 2.0, 0.05), Paint(color)),
        *(box((0, y, 0.04), (0.6, h, 0.03), panel) for y, h in ((0.2, 0.7), (1.1, 0.7))),
        *(box((x * 0.49, 0, 0.03), (0.09, 2.05, 0.07), Paint(CREAM)) for x in (-1, 1)),
        box((0, 2.0, 0.03), (1.07, 0.09, 0.07), Paint(CREAM)),
        ball((0.36, 1.0, 0.09), (0.04, 0.04, 0.04), Paint(COLORS["yellow"])),
    ]


PIECES: dict[str, Maker] = {
    "bed": bed,
    "sofa": sofa,
    "table": table,
    "chair": chair,
    "lamp": lamp,
    "plant": plant,
    "bookcase": bookcase,
    "cupboard": cupboard,
}
"""What stands on the floor."""
