"""A paved courtyard between house fronts: windows, shutters, a fountain, a tree, benches, railings, hanging lights."""

from __future__ import annotations

import math

import numpy as np

from unseen.synthetic.color import Color
from unseen.synthetic.scenes import drawing, fixtures, outdoors, textures
from unseen.synthetic.scenes import furniture as things
from unseen.synthetic.scenes.fixtures import Side
from unseen.synthetic.scenes.furniture import BLACK, OAK, WALNUT, WHITE, Spot
from unseen.synthetic.scenes.materials import Material
from unseen.synthetic.scenes.scene import Scene, SceneBuilder
from unseen.synthetic.scenes.shapes import box, cushion, panel, wall
from unseen.synthetic.scenes.sky import daylight

WIDTH_M, DEPTH_M, HEIGHT_M = 11.0, 9.0, 5.2
STEP_M, TEXEL_M = 0.09, 0.0045
LOW_M = 0.9
SETTS: list[Color] = [(0.52, 0.5, 0.47), (0.45, 0.42, 0.4), (0.58, 0.53, 0.46), (0.4, 0.4, 0.42)]
WASHES: list[Color] = [(0.82, 0.7, 0.52), (0.76, 0.77, 0.72), (0.8, 0.6, 0.48), (0.68, 0.72, 0.74), (0.8, 0.76, 0.62)]
SHUTTERS: list[Color] = [(0.27, 0.4, 0.42), (0.32, 0.4, 0.26), (0.42, 0.24, 0.2), (0.3, 0.34, 0.46)]
WAY: list[tuple[float, float]] = [
    (1.6, 1.7), (3.4, 1.5), (5.4, 1.7), (7.6, 1.6), (9.3, 2.2), (9.3, 4.2), (9.0, 6.4), (7.4, 7.3), (5.3, 7.2),
    (3.3, 7.3), (1.7, 6.4), (1.6, 4.0),
]  # fmt: skip
"""Floor positions (x, z) of a walk around the fountain, in metres."""


def build_courtyard(seed: int, detail: float = 1.0) -> Scene:
    """A courtyard in the sun, open to the country on one side.

    Args:
        seed: of layout details, textures and daylight.
        detail: of textures, surfaces and light, see `SceneBuilder`.
    """
    b = SceneBuilder("courtyard", seed, STEP_M, TEXEL_M, detail)
    walls = fixtures.sides(WIDTH_M, DEPTH_M)
    paving = textures.cobbles((WIDTH_M, DEPTH_M), b.texel_m, b.draw_seed(), SETTS)
    b.add(panel((0, 0, DEPTH_M), (WIDTH_M, 0, 0), (0, 0, -DEPTH_M), 0.8 * b.step_m), Material(paving, b.texel_m))
    _fronts(b, walls)
    _open_side(b, walls["front"])
    _furnish(b)
    azimuth, elevation = math.radians(b.rng.uniform(-40, 30)), math.radians(b.rng.uniform(42, 54))
    return b.finish(daylight(azimuth, elevation, b.draw_seed()), open_air=True)


def _fronts(b: SceneBuilder, walls: dict[str, Side]) -> None:
    """Three house fronts of different make with windows, doors, cornice and plinth."""
    t = b.texel_m
    faces = {
        "back": textures.plaster((WIDTH_M, HEIGHT_M), t, b.draw_seed(), b.pick(WASHES), spread=0.2),
        "left": textures.brick((DEPTH_M, HEIGHT_M), t, b.draw_seed(), (0.62, 0.38, 0.29)),
        "right": textures.plaster((DEPTH_M, HEIGHT_M), t, b.draw_seed(), b.pick(WASHES), spread=0.2),
    }
    doors = {"back": 5.6, "left": 6.6, "right": 2.2}
    for name, texture in faces.items():
        side = walls[name]
        along = side.width * np.array(side.right)
        b.add(wall(side.corner, along, (0, HEIGHT_M, 0), [], b.step_m), Material(texture, t))
        stone = textures.stone((side.width, 0.6), t, b.draw_seed(), (0.6, 0.58, 0.54), (0.4, 0.38, 0.36))
        plinth, middle = b.material(Material(stone, t)), side.width / 2
        b.add(side.hang(box((side.width, 0.5, 0.06), 0.1), middle, 0.25, 0.03), plinth)
        b.add(side.hang(box((side.width, 0.14, 0.2), 0.1), middle, HEIGHT_M - 0.07, 0.1), plinth)
        b.add(side.hang(box((side.width, 0.09, 0.06), 0.1), middle, 2.75, 0.03), plinth)
        fixtures.door(b, side, doors[name])
        paint = things.painted(b, b.pick(SHUTTERS), mirror=0.02, spread=0.1)
        for x in np.arange(1.2, side.width - 0.8, 2.2):
            for y in (1.75, 3.85):
                if y > 2 or abs(x - doors[name]) > 1.3:
                    _window(b, side, x, y, paint)


def _window(b: SceneBuilder, side: Side, along: float, height: float, shutter: int) -> None:
    """Dark panes that mirror the sky, bars, sill, open shutters with slats, a box of flowers."""
    w, h = 0.85, 1.25
    dark = textures.plain((1, 1.4), 0.02, b.draw_seed(), (0.12, 0.13, 0.14), spread=0.4)
    glass = panel((-w / 2, -h / 2, 0.015), (w, 0, 0), (0, h, 0), 0.2)
    b.add(side.hang(glass, along, height), Material(dark, 0.02, mirror=0.09, roughness=0.03))
    white = things.painted(b, WHITE, mirror=0.02)
    for x in (-w / 2, 0.0, w / 2):
        b.add(side.hang(box((0.05, h + 0.05, 0.05), 0.1), along + x, height, 0.025), white)
    for y in (-h / 2, 0.2, h / 2):
        b.add(side.hang(box((w, 0.045, 0.05), 0.1), along, height + y, 0.025), white)
    b.add(side.hang(box((w + 0.2, 0.05, 0.16), 0.1), along, height - h / 2 - 0.04, 0.08), white)
    for s in (-1, 1):
        x = along + s * (w / 2 + 0.23)
        b.add(side.hang(box((0.42, h + 0.06, 0.03), 0.1), x, height, 0.03), shutter)
        for k in range(15):
            slat = box((0.34, 0.05, 0.012), 0.2).at((0, 0, 0), 0, 0.5)
            b.add(side.hang(slat, x, height - h / 2 + 0.06 + k * 0.081, 0.05), shutter)
    if b.rng.uniform() < 0.6:
        _flower_box(b, side, along, height - h / 2 + 0.06)


def _flower_box(b: SceneBuilder, side: Side, along: float, height: float) -> None:
    earthen = things.painted(b, (0.62, 0.34, 0.24), spread=0.15)
    b.add(side.hang(box((0.75, 0.16, 0.16), 0.08), along, height, 0.16), earthen)
    middle = side.hang(box((0.1, 0.1, 0.1), 1.0), along, height + 0.14, 0.17).vertices.mean(0)
    size = np.array([0.36, 0.1, 0.36]) * (np.abs(side.right) + 0.25)
    here = Spot(0, 0, 0)
    outdoors.cloud_of_leaves(b, here, middle, size, 160, 0.07, outdoors.green(b, (0.28, 0.44, 0.18)))
    blossom: Color = ((0.85, 0.25, 0.3), (0.9, 0.55, 0.7), (0.95, 0.8, 0.3))[int(b.rng.integers(3))]
    outdoors.cloud_of_leaves(b, here, middle + np.array([0, 0.05, 0]), size, 60, 0.045, outdoors.green(b, blossom))


def _open_side(b: SceneBuilder, side: Side) -> None:
    """A low wall with an iron railing, and meadows beyond."""
    t = b.texel_m
    stones = textures.cobbles((side.width, LOW_M), t, b.draw_seed(), [(0.6, 0.56, 0.5), (0.5, 0.47, 0.43)], side_m=0.2)
    low = box((side.width, LOW_M, 0.3), b.step_m)
    b.add(side.hang(low, side.width / 2, LOW_M / 2, -0.15), Material(stones, t))
    cap = things.painted(b, (0.6, 0.58, 0.54), spread=0.15)
    b.add(side.hang(box((side.width, 0.06, 0.38), b.step_m), side.width / 2, LOW_M + 0.03, -0.15), cap)
    iron = things.painted(b, BLACK, mirror=0.04)
    outdoors.railing(b, Spot(WIDTH_M / 2, LOW_M + 0.06, DEPTH_M + 0.15), side.width - 0.1, 0.75, iron)
    meadow = textures.foliage((16, 16), 0.016, b.draw_seed(), (0.37, 0.4, 0.22))
    b.add(panel((-30, -0.3, DEPTH_M + 70), (70, 0, 0), (0, 0, -70), 1.5), Material(meadow, 0.016), far=True)
    outdoors.tree(b, Spot(2.0, -0.3, DEPTH_M + 4.0, far=True), 5.0, leaves_count=3500)
    outdoors.tree(b, Spot(9.5, -0.3, DEPTH_M + 6.0, far=True), 6.0, leaves_count=3500)


def _furnish(b: SceneBuilder) -> None:
    """Fountain in the middle; a tree, benches, pots, a bicycle, a table with chairs and lights around it."""
    outdoors.fountain(b, Spot(5.4, 0, 4.4), 1.05)
    outdoors.tree(b, Spot(3.2, 0, 5.3), 4.4, leaves_count=6000)
    iron, slats = things.painted(b, BLACK, mirror=0.04), things.wooden(b, OAK, (2.0, 1.0))
    outdoors.bench(b, Spot(0.5, 0, 3.6, math.pi / 2), 1.6, slats, iron)
    outdoors.bench(b, Spot(8.1, 0, 0.5), 1.6, slats, iron)
    outdoors.bicycle(b, Spot(3.2, 0, 0.3))
    spot = Spot(7.7, 0, 5.9, 0.5)
    things.table(b, spot, (0.8, 0.72, 0.8), slats, iron)
    frame, seat = things.painted(b, (0.25, 0.38, 0.36), mirror=0.03), things.woven(b, [(0.8, 0.7, 0.5)])
    for k in range(3):
        turn = 2.1 * k + 0.4
        things.chair(b, spot.local(0.66 * math.sin(turn), 0, 0.66 * math.cos(turn), turn + math.pi), frame, seat)
    things.vessel(b, spot.local(0.05, 0.72, 0), things.vase_profile(b.rng, 0.26), things.glazed(b))
    things.book_pile(b, spot.local(-0.18, 0.72, 0.16), 2)
    for x, z, size in (
        (10.3, 0.6, 1.3),
        (10.4, 7.9, 1.1),
        (0.6, 7.6, 1.2),
        (4.4, 0.5, 0.8),
        (0.5, 5.2, 0.8),
        (10.5, 4.9, 0.9),
    ):
        things.plant(b, Spot(x, 0, z), size, things.glazed(b, matte=True), blades=150)
    crate = things.wooden(b, WALNUT, (1.5, 1.0))
    for x, y, turn in ((0, 0, 0.1), (0.05, 0.32, -0.2)):
        things.put(b, Spot(9.6 + x, y, 0.5, turn), cushion((0.5, 0.32, 0.4), 0.012, 0.05, middle=(0, 0.16, 0)), crate)
    sign = drawing.poster((0.6, 0.9), b.texel_m / 2, b.draw_seed())
    board = panel((-0.3, -0.45, 0.05), (0.6, 0, 0), (0, 0.9, 0), 0.1)
    b.add(fixtures.sides(WIDTH_M, DEPTH_M)["right"].hang(board, 4.3, 1.6), Material(sign, b.texel_m / 2))
    outdoors.string_lights(b, (0.1, 3.6, 6.5), (10.9, 3.7, 5.2), 0.75)
    outdoors.string_lights(b, (0.1, 3.6, 6.4), (7.5, 3.6, 0.1), 0.6)
