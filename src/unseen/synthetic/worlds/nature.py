"""Trees, rocks and houses of landscapes, each made around the origin: it stands on y = 0, its front toward +z."""

from __future__ import annotations

import math

import numpy as np

from unseen.synthetic.color import Color
from unseen.synthetic.worlds.palette import COLORS, toned
from unseen.synthetic.worlds.shapes import BLOTCHES, GRADIENT, Paint, Shape, ball, box, placed, tilted, tube

BARK, PINE, PALM, CACTUS = (0.40, 0.27, 0.18), (0.16, 0.38, 0.26), (0.34, 0.58, 0.26), (0.30, 0.52, 0.30)
ROCK, SNOW = (0.52, 0.50, 0.49), (0.93, 0.95, 0.98)
SUNK_M = 0.25  # how deep things stand in the ground, which may slope


def pine(rng: np.random.Generator, color: Color, snowy: bool) -> list[Shape]:
    """A pine tree: a trunk and three cones."""
    high, wide = float(rng.uniform(2.2, 4.0)), float(rng.uniform(0.7, 1.0))
    green = toned(PINE, float(rng.uniform(0.85, 1.25)))
    needles = Paint(SNOW, green, GRADIENT) if snowy else Paint(green, toned(green, 0.75), GRADIENT)
    tiers = [(0.16, 0.42, 1.0), (0.38, 0.36, 0.78), (0.60, 0.40, 0.54)]
    return [
        tube((0, -SUNK_M, 0), 0.25 * high + SUNK_M, 0.13, Paint(BARK)),
        *(tube((0, a * high, 0), h * high, r * wide, needles, taper=0.0) for a, h, r in tiers),
    ]


def tree(rng: np.random.Generator, color: Color, snowy: bool) -> list[Shape]:
    """A tree with a round crown of the colour."""
    high, wide = float(rng.uniform(1.9, 2.9)), float(rng.uniform(0.75, 1.1))
    crown = Paint(toned(color, 1.12), toned(color, 0.72), GRADIENT)
    turn = float(rng.uniform(0, 6))
    side = [
        ball(
            (0.55 * wide * math.sin(turn + a), high * 0.86, 0.55 * wide * math.cos(turn + a)),
            (0.62 * wide, 0.52 * wide, 0.62 * wide), crown,
        )
        for a in (0.0, 2.1, 4.2)
    ]  # fmt: skip
    trunk = tube((0, -SUNK_M, 0), 0.8 * high + SUNK_M, 0.15, Paint(BARK), taper=0.6)
    return [trunk, *side, ball((0, high * 1.12, 0), (0.72 * wide, 0.62 * wide, 0.72 * wide), crown)]


def palm(rng: np.random.Generator, color: Color, snowy: bool) -> list[Shape]:
    """A palm tree: a leaning trunk in three pieces and hanging leaves."""
    high, lean = float(rng.uniform(2.4, 3.6)), float(rng.uniform(0.05, 0.2))
    trunk, x, y = [], 0.0, -SUNK_M
    for k in range(3):
        angle, length = -lean * (k + 0.5), (high + SUNK_M) / 3
        middle = (x + 0.5 * length * math.sin(-angle), y + 0.5 * length * math.cos(angle), 0.0)
        piece = tube((middle[0], middle[1] - 0.53 * length, 0.0), 1.06 * length, 0.13 - 0.02 * k, Paint(BARK))
        trunk.append(tilted(piece, "z", angle))
        x, y = x + length * math.sin(-angle), y + length * math.cos(angle)
    leaf = tilted(ball((0, 0, 0), (0.20, 0.055, 0.72), Paint(PALM, toned(PALM, 0.75), GRADIENT)), "x", 0.42)
    around = np.arange(7) * 2 * math.pi / 7 + rng.uniform(0, 1)
    crown = [placed([leaf], (x + 0.6 * math.sin(a), y - 0.12, 0.6 * math.cos(a)), a)[0] for a in around]
    return [*trunk, *crown, ball((x, y, 0), (0.2, 0.15, 0.2), Paint(toned(BARK, 0.9)))]


def cactus(rng: np.random.Generator, color: Color, snowy: bool) -> list[Shape]:
    """A cactus with two arms."""
    high, thick = float(rng.uniform(1.3, 2.3)), float(rng.uniform(0.16, 0.22))
    paint = Paint(toned(CACTUS, 1.1), toned(CACTUS, 0.75), GRADIENT)
    out = [tube((0, -SUNK_M, 0), high + SUNK_M, thick, paint), ball((0, high, 0), (thick, thick, thick), paint)]
    for side, at, up in ((-1, rng.uniform(0.35, 0.5), 0.45), (1, rng.uniform(0.5, 0.65), 0.35)):
        y, arm, r = float(at) * high, thick + 0.26, 0.65 * thick
        out += [
            tilted(tube((side * arm / 2, y - arm / 2, 0), arm, r, paint), "z", math.pi / 2),
            tube((side * arm, y, 0), up * high * 0.8, r, paint),
            ball((side * arm, y, 0), (r, r, r), paint),
            ball((side * arm, y + up * high * 0.8, 0), (r, r, r), paint),
        ]
    return out


def rock(rng: np.random.Generator, color: Color, snowy: bool) -> list[Shape]:
    """A rock of two lumps."""
    grey = toned(ROCK, float(rng.uniform(0.8, 1.15)))
    paint = Paint(SNOW, grey, GRADIENT) if snowy else Paint(grey, toned(grey, 0.75), BLOTCHES, 0.5)
    size = float(rng.uniform(0.35, 0.85))
    spin = float(rng.uniform(0, 6))
    lumps = [
        ball((0, 0.15 * size, 0), (size, 0.62 * size, 0.75 * size), paint),
        ball((0.6 * size, 0.05 * size, 0.35 * size), (0.55 * size, 0.4 * size, 0.5 * size), paint),
    ]
    return placed(lumps, (0, 0, 0), spin)


def bush(rng: np.random.Generator, color: Color, snowy: bool) -> list[Shape]:
    """A low bush."""
    green = toned(COLORS["green"], float(rng.uniform(0.75, 0.95)))
    paint = Paint(SNOW if snowy else toned(green, 1.1), toned(green, 0.75), GRADIENT)
    size = float(rng.uniform(0.3, 0.5))
    spots = ((0, 0.55, 0, 1.0), (0.75, 0.35, 0.1, 0.75), (-0.7, 0.35, 0.2, 0.7))
    return [ball((x * size, y * size, z * size), (r * size, 0.85 * r * size, r * size), paint) for x, y, z, r in spots]


def house(rng: np.random.Generator, wall: Color, roof: Color, snowy: bool, night: bool) -> list[Shape]:
    """A small house: a gable roof (white in snow at its ridge), a door, windows that shine at night, a chimney."""
    wide, deep, high = float(rng.uniform(2.6, 3.4)), float(rng.uniform(2.2, 2.8)), float(rng.uniform(1.6, 2.0))
    pane = Paint((1.0, 0.80, 0.42), glow=0.9) if night else Paint((0.45, 0.62, 0.78))
    frame, wood, up = Paint(COLORS["white"]), Paint(BARK), float(rng.uniform(1.1, 1.5))
    tiles = Paint(SNOW, roof, GRADIENT) if snowy else Paint(roof, toned(roof, 0.85), GRADIENT)
    out = [
        box((0, -SUNK_M, 0), (wide, high + SUNK_M, deep), Paint(wall)),
        box((0, high, 0), (wide - 0.02, up * 0.93, deep - 0.02), Paint(wall), taper=(1.0, 0.0)),
        box((0, high - 0.08, 0), (wide + 0.5, up + 0.1, deep + 0.55), tiles, taper=(0.98, 0.0)),
        box((0.3 * wide, high + 0.3 * up, -0.2 * deep), (0.36, up * 0.85, 0.36), Paint((0.55, 0.33, 0.27))),
        box((-0.05 * wide, -SUNK_M, deep / 2 + 0.02), (0.62, 1.25 + SUNK_M, 0.07), wood),
    ]
    for x, z, yaw in ((-0.33, 0.5, 0.0), (0.30, 0.5, 0.0), (0.5, 0.0, math.pi / 2), (-0.5, 0.0, -math.pi / 2)):
        glass = [box((0, 0, 0), (0.62, 0.62, 0.06), frame), box((0, 0.06, 0.02), (0.5, 0.5, 0.06), pane)]
        bars = [box((0, 0.06, 0.03), (0.05, 0.5, 0.06), frame), box((0, 0.29, 0.03), (0.5, 0.05, 0.06), frame)]
        out += placed(glass + bars, (x * wide, 0.42 * high, z * deep), yaw)
    return out


MAKERS = {"pine": pine, "tree": tree, "palm": palm, "cactus": cactus, "rock": rock, "bush": bush}
"""What grows and lies about."""
