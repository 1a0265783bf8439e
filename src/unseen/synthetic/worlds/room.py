"""Little rooms: four walls, something to look out of, and a few pieces of furniture along the walls."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from unseen.synthetic.color import Color, linear
from unseen.synthetic.worlds import furniture
from unseen.synthetic.worlds.light import Lamp, Mood
from unseen.synthetic.worlds.palette import COLORS, toned
from unseen.synthetic.worlds.shapes import (
    CHECKS, PLAIN, PLANKS, STRIPES, TILES, Paint, Shape, bounds, box, placed,
)  # fmt: skip
from unseen.synthetic.worlds.things import Thing

HIGH_M, THICK_M = 2.6, 0.2
SUNK_M = 0.03  # how far frames reach into walls
WALL_COLORS = (
    "white", "beige", "mint", "pink", "blue", "yellow", "turquoise", "grey", "green", "orange", "purple", "red", "teal",
    "navy",
)  # fmt: skip
FLOORS = ("wooden", "tiled", "checkered", "")
"""What floors are made of; the last one is a carpet that is known by its colour."""
COLORFUL = ("red", "orange", "yellow", "green", "mint", "teal", "turquoise", "blue", "navy", "purple", "pink", "white",
            "grey")  # fmt: skip
WOODS = ("brown", "white", "beige", "black", "red", "blue", "green", "yellow")
PIECE_COLORS = {
    "bed": COLORFUL, "sofa": COLORFUL, "chair": (*WOODS, "orange", "teal"), "table": WOODS, "bookcase": WOODS,
    "cupboard": (*WOODS, "mint", "turquoise"), "lamp": ("yellow", "white", "orange", "red"),
    "plant": ("red", "orange", "white", "blue", "yellow", "pink"),
}  # fmt: skip
COLORLESS = ("lamp", "plant")
"""Pieces whose colour captions do not name."""
PIECE_ODDS = {"bed": 3, "sofa": 4, "table": 3, "chair": 3, "lamp": 2, "plant": 3, "bookcase": 3, "cupboard": 2}
DAY_SKY, NIGHT_SKY = ((0.45, 0.70, 0.95), (0.86, 0.94, 0.98)), ((0.05, 0.07, 0.17), (0.12, 0.16, 0.33))
NIGHT_ODDS = 0.15
TRIES = 30


class Plan(NamedTuple):
    """A world before it is lit: its things, light, the mood's name (a key of `captions.MOODS`, empty for a plain
    day), and the box that holds it."""

    things: list[Thing]
    mood: Mood
    time: str
    low: Float[np.ndarray, "3"]
    high: Float[np.ndarray, "3"]


class _Floor:
    """Keeps things apart: the boxes taken so far."""

    def __init__(self, half: tuple[float, float]) -> None:
        self.half = half
        self.taken: list[tuple[np.ndarray, np.ndarray]] = []

    def takes(self, shapes: list[Shape], gap: Float[np.ndarray, "3"]) -> bool:
        """Whether shapes find room, `gap` apart from others; then they have it."""
        low, high = bounds(shapes)
        if np.any(low[[0, 2]] < -np.array(self.half) - SUNK_M) or np.any(high[[0, 2]] > np.array(self.half) + SUNK_M):
            return False
        if any(np.all(low - gap < b) and np.all(a < high + gap) for a, b in self.taken):
            return False
        self.taken.append((low, high))
        return True


def plan_room(rng: np.random.Generator) -> Plan:
    """Invent a room."""
    wide, deep = float(rng.uniform(3.8, 5.4)), float(rng.uniform(4.0, 5.6))
    night = bool(rng.uniform() < NIGHT_ODDS)
    wall = _pick(rng, WALL_COLORS)
    floor = _Floor((wide / 2, deep / 2))
    things = _shell(rng, wide, deep, wall)
    openings = _windows(rng, floor, things, wall, night)
    if rng.uniform() < 0.35:
        _on_wall(rng, floor, things, "door", _other(rng, WOODS, wall), 0.0)
    if rng.uniform() < 0.7:
        color = _pick(rng, COLORFUL)
        spot = (float(rng.uniform(-0.5, 0.5)), 0.0, float(rng.uniform(-0.6, 0.3)))
        shapes = placed(furniture.rug(rng, COLORS[color]), spot, float(rng.normal(scale=0.08)))
        things.append(Thing("rug", color, shapes=tuple(shapes)))
    lamps = _furnish(rng, floor, things, wall, night)
    if rng.uniform() < 0.6:
        _on_wall(rng, floor, things, "picture", "", 1.35)
    size = np.array([wide / 2, HIGH_M, deep / 2])
    low = np.array([-wide / 2, 0.0, -deep / 2])
    mood = _mood(rng, night, lamps, openings, np.stack([low, size]))
    return Plan(things, mood, "night" if night else "", low, size)


def _pick(rng: np.random.Generator, names: tuple[str, ...]) -> str:
    return names[int(rng.integers(len(names)))]


def _other(rng: np.random.Generator, names: tuple[str, ...], than: str) -> str:
    """A colour that stands out from another."""
    return _pick(rng, tuple(name for name in names if name != than))


def _shell(rng: np.random.Generator, wide: float, deep: float, wall: str) -> list[Thing]:
    """Floor, walls with skirting boards, ceiling."""
    paint, t = Paint(COLORS[wall]), THICK_M
    if rng.uniform() < 0.2:
        paint = Paint(COLORS[wall], toned(COLORS[wall], 0.86), STRIPES, 0.25)
    board = Paint(COLORS["white"] if wall != "white" else COLORS["beige"])
    detail = _pick(rng, FLOORS)
    color, floor_paint = _floor_paint(rng, detail, wall)
    sides = [
        *(((x * (wide + t) / 2, 0, 0), (t, HIGH_M, deep + 2 * t)) for x in (-1, 1)),
        *(((0, 0, z * (deep + t) / 2), (wide, HIGH_M, t)) for z in (-1, 1)),
    ]
    boards = [
        *(((x * (wide / 2 - 0.01), 0, 0), (0.02, 0.09, deep)) for x in (-1, 1)),
        *(((0, 0, z * (deep / 2 - 0.01)), (wide, 0.09, 0.02)) for z in (-1, 1)),
    ]
    walls = [box(at, size, paint, shades=False) for at, size in sides]
    walls += [box(at, size, board, shades=False) for at, size in boards]
    ground = box((0, -t, 0), (wide + 2 * t, t, deep + 2 * t), floor_paint, shades=False)
    ceiling = box((0, HIGH_M, 0), (wide + 2 * t, t, deep + 2 * t), Paint(COLORS["white"]), shades=False)
    return [
        Thing("floor", color, detail, (ground,)), Thing("walls", wall, shapes=tuple(walls)),
        Thing("ceiling", shapes=(ceiling,)),
    ]  # fmt: skip


def _floor_paint(rng: np.random.Generator, detail: str, wall: str) -> tuple[str, Paint]:
    """The colour that a caption may name, and the paint."""
    if detail == "wooden":
        wood = ((0.62, 0.42, 0.26), (0.76, 0.58, 0.38), (0.45, 0.29, 0.19))[int(rng.integers(3))]
        return "", Paint(wood, toned(wood, 1.18), PLANKS, 0.22)
    if detail == "tiled":
        color = _other(rng, ("white", "grey", "beige", "mint", "blue", "teal"), wall)
        return color, Paint(COLORS[color], toned(COLORS[color], 0.72), TILES, 0.5)
    if detail == "checkered":
        color = _other(rng, ("black", "red", "blue", "green", "brown", "teal"), wall)
        return color, Paint(COLORS[color], COLORS["white"], CHECKS, 0.5)
    color = _other(rng, ("green", "blue", "red", "grey", "purple", "beige", "brown", "pink", "navy"), wall)
    return color, Paint(COLORS[color], pattern=PLAIN)


def _wall_place(
    rng: np.random.Generator, half: tuple[float, float], reach: float, walls: int
) -> tuple[tuple[float, float], float]:
    """Where along a wall (0 back, 1 left, 2 right) a thing's middle may be, its back at the wall: (x, z), yaw."""
    k = int(rng.integers(walls))
    along = (half[0] if k == 0 else half[1]) - reach
    s = float(rng.uniform(-along, along if k == 0 else 0.4 * along))  # not beside the camera
    if k == 0:
        return (s, -half[1]), 0.0
    return ((-half[0], s), math.pi / 2) if k == 1 else ((half[0], s), -math.pi / 2)


def _windows(
    rng: np.random.Generator, floor: _Floor, things: list[Thing], wall: str, night: bool
) -> Float[np.ndarray, "W 2 3"]:
    """One or two windows, sometimes with curtains; their openings."""
    wide, high = float(rng.uniform(1.0, 1.5)), float(rng.uniform(1.0, 1.25))
    hung = _other(rng, COLORFUL, wall) if rng.uniform() < 0.45 else ""
    openings = []
    for _ in range(1 + int(rng.uniform() < 0.4)):
        for _ in range(TRIES):
            (x, z), yaw = _wall_place(rng, floor.half, wide / 2 + 0.4, 3)
            pane = furniture.window(wide, high, NIGHT_SKY if night else DAY_SKY, 0.35 if night else 0.75)
            made = placed(pane, (x, 0.95, z), yaw)
            cloth = placed(furniture.curtains(wide, high, COLORS[hung]), (x, 0.95, z), yaw) if hung else []
            if floor.takes(made + cloth, np.array([0.15, 0.0, 0.15])):
                openings.append(np.stack(bounds(made[:1])))
                things.append(Thing("window", shapes=tuple(made)))
                if cloth:
                    things.append(Thing("curtains", hung, shapes=tuple(cloth)))
                break
    return np.array(openings).reshape(-1, 2, 3)


def _on_wall(
    rng: np.random.Generator, floor: _Floor, things: list[Thing], noun: str, color: str, height: float
) -> None:
    """A door or picture where a wall is free."""
    maker = {"door": furniture.door, "picture": furniture.picture}[noun]
    shapes = maker(rng, COLORS.get(color, (0.0, 0.0, 0.0)))
    for _ in range(TRIES):
        (x, z), yaw = _wall_place(rng, floor.half, 0.6, 3)
        made = placed(shapes, (x, height, z), yaw)
        if floor.takes(made, np.array([0.12, 0.05, 0.12])):
            things.append(Thing(noun, color, shapes=tuple(made)))
            return


def _furnish(rng: np.random.Generator, floor: _Floor, things: list[Thing], wall: str, night: bool) -> list[Lamp]:
    """Two to four pieces (at night a lamp among them), each where it finds room; the light of lamps."""
    odds = np.array(list(PIECE_ODDS.values()), float)
    count = int(rng.integers(2, 5))
    nouns = [list(PIECE_ODDS)[i] for i in rng.choice(len(odds), count, replace=False, p=odds / odds.sum())]
    if night and "lamp" not in nouns:
        nouns.append("lamp")
    order = ("bed", "sofa", "bookcase", "cupboard", "table", "chair", "lamp", "plant")
    lamps = []
    for noun in sorted(nouns, key=order.index):
        color = _other(rng, PIECE_COLORS[noun], wall)
        shapes = furniture.PIECES[noun](rng, COLORS[color])
        for _ in range(TRIES):
            made = placed(shapes, *_stand(rng, floor.half, noun, shapes))
            if floor.takes(made, np.array([0.12, 0.02, 0.12])):
                things.append(Thing(noun, "" if noun in COLORLESS else color, shapes=tuple(made)))
                if noun == "lamp":
                    x, y, z = made[-1].centre
                    lamps.append(Lamp((x, y, z), _rgb(linear((1.0, 0.86, 0.62)) * (1.3 if night else 0.45))))
                break
    return lamps


def _stand(
    rng: np.random.Generator, half: tuple[float, float], noun: str, shapes: list[Shape]
) -> tuple[tuple[float, float, float], float]:
    """Where a piece may stand: along a wall, tables and chairs also in the open."""
    low, high = bounds(shapes)
    if noun in ("table", "chair") and rng.uniform() < 0.7:
        x, z = rng.uniform(-0.5, 0.5) * half[0], rng.uniform(-0.55, 0.1) * half[1]
        return (float(x), 0.0, float(z)), float(rng.normal(scale=0.3 if noun == "table" else 0.9))
    (x, z), yaw = _wall_place(rng, half, float(high[0]) + 0.05, 3)
    off = -float(low[2]) + 0.03
    if noun in ("lamp", "plant", "chair"):
        off += 0.05
    return (x + off * math.sin(yaw), 0.0, z + off * math.cos(yaw)), yaw


def _mood(
    rng: np.random.Generator, night: bool, lamps: list[Lamp], openings: Float[np.ndarray, "W 2 3"],
    room: Float[np.ndarray, "2 3"],
) -> Mood:  # fmt: skip
    """Sun through the first window by day, little but lamps by night."""
    if night or not len(openings):
        return Mood(
            np.array([0.0, 1.0, 0.0]), np.zeros(3), np.array([0.30, 0.31, 0.40]), 0.5, lamps, openings[:0], room
        )
    low, high = openings[0]
    outward = np.zeros(3)
    axis = 0 if high[0] - low[0] < high[2] - low[2] else 2
    outward[axis] = np.sign(low[axis])
    aside = np.array([outward[2], 0.0, outward[0]]) * rng.uniform(-0.7, 0.7)
    toward = outward + aside + np.array([0.0, rng.uniform(0.6, 1.0), 0.0])
    warmth = float(rng.uniform(0, 1))
    ambient = float(rng.uniform(0.66, 0.8)) * (np.array([1.0, 1.0, 1.0]) + warmth * np.array([0.03, 0.0, -0.06]))
    sun = float(rng.uniform(0.45, 0.75)) * np.array([1.0, 0.94, 0.80])
    return Mood(toward / np.linalg.norm(toward), sun, ambient, 0.62, lamps, openings, room)


def _rgb(color: np.ndarray) -> Color:
    r, g, b = color.tolist()
    return r, g, b
