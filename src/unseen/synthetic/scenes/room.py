"""A living room: windows with curtains, sofa, dining table, shelves, lamps, pictures, plants."""

from __future__ import annotations

import math

import numpy as np

from unseen.synthetic.color import Color
from unseen.synthetic.scenes import drawing, fixtures, textures
from unseen.synthetic.scenes import furniture as things
from unseen.synthetic.scenes.fixtures import REVEAL_M, Side
from unseen.synthetic.scenes.furniture import BLACK, BRASS, OAK, WALNUT, WHITE, Spot
from unseen.synthetic.scenes.materials import Material
from unseen.synthetic.scenes.scene import Scene, SceneBuilder
from unseen.synthetic.scenes.shapes import box, cushion, panel, revolve, tube, wall
from unseen.synthetic.scenes.sky import daylight

WIDTH_M, HEIGHT_M, DEPTH_M = 6.0, 2.7, 4.6
STEP_M = 0.055
TEXEL_M = 0.003
WAY: list[tuple[float, float]] = [
    (0.75, 1.25), (2.2, 1.35), (3.3, 1.1), (4.75, 1.0), (4.75, 2.0), (4.8, 3.3), (4.0, 3.75), (3.25, 2.9),
    (2.75, 3.75), (1.3, 3.85), (0.65, 3.3), (0.65, 2.2),
]  # fmt: skip
"""Floor positions (x, z) of a walk between the furniture, in metres."""


def build_room(seed: int, detail: float = 1.0) -> Scene:
    """A furnished living room with daylight through two windows.

    Args:
        seed: of layout details, textures and daylight.
        detail: of textures, surfaces and light, see `SceneBuilder`.
    """
    b = SceneBuilder("room", seed, STEP_M, TEXEL_M, detail)
    walls = fixtures.sides(WIDTH_M, DEPTH_M)
    openings = [(0.7, 1.9, 0.75, 2.3), (2.7, 3.9, 0.75, 2.3)]
    _shell(b, walls, openings)
    for opening in openings:
        fixtures.window(b, walls["left"], opening)
        fixtures.curtains(b, walls["left"], opening)
        fixtures.radiator(b, walls["left"], 0.5 * (opening[0] + opening[1]))
    _pictures(b, walls)
    fixtures.door(b, walls["front"], 4.9)
    _living(b)
    _dining(b)
    sun_azimuth = math.radians(b.rng.uniform(-75, -60))
    return b.finish(daylight(sun_azimuth, math.radians(b.rng.uniform(26, 34)), b.draw_seed()), open_air=False)


def _shell(b: SceneBuilder, walls: dict[str, Side], openings: list[tuple[float, float, float, float]]) -> None:
    """Floor, ceiling, four different walls, skirting."""
    w, h, d, t = WIDTH_M, HEIGHT_M, DEPTH_M, b.texel_m
    floor = textures.boards((w, d), t, b.draw_seed(), b.pick(FLOORS))
    b.add(panel((0, 0, d), (w, 0, 0), (0, 0, -d), 0.8 * b.step_m), Material(floor, t, mirror=0.035, roughness=0.16))
    ceiling = textures.plaster((w, d), 2 * t, b.draw_seed(), (0.93, 0.92, 0.9), spread=0.035)
    b.add(panel((0, h, 0), (w, 0, 0), (0, 0, d), 1.6 * b.step_m), Material(ceiling, 2 * t))
    green = [(0.35, 0.5, 0.36), (0.25, 0.42, 0.44), (0.62, 0.55, 0.3), (0.66, 0.4, 0.34)]
    paper = drawing.wallpaper((w, h), t, b.draw_seed(), b.pick(PAPERS), green)
    lime = textures.plaster((d, h), t, b.draw_seed(), (0.86, 0.82, 0.74))
    blue = textures.plaster((w, h), t, b.draw_seed(), b.pick(PAINTS))
    red = textures.brick((d, h), t, b.draw_seed(), (0.64, 0.4, 0.31))
    for name, texture, holes in (
        ("back", paper, []),
        ("front", blue, []),
        ("left", lime, openings),
        ("right", red, []),
    ):
        side = walls[name]
        along = side.width * np.array(side.right)
        b.add(wall(side.corner, along, (0, h, 0), holes, b.step_m), Material(texture, t))
    _outside(b, walls, openings)
    white = things.painted(b, WHITE, mirror=0.03)
    for side in walls.values():
        b.add(side.hang(box((side.width, 0.09, 0.016), 0.06, middle=(0, 0, 0)), side.width / 2, 0.045, 0.008), white)


def _outside(b: SceneBuilder, walls: dict[str, Side], openings: list[tuple[float, float, float, float]]) -> None:
    """The far faces of the walls and the roof, which overlap so that no sun comes in at the edges."""
    grey, over = things.painted(b, (0.6, 0.58, 0.55)), REVEAL_M
    for name, side in walls.items():
        along, up = np.array([side.width + 2 * over, 0, 0]), np.array([0, HEIGHT_M + 2 * over, 0])
        holes = [(x0 + over, x1 + over, y0 + over, y1 + over) for x0, x1, y0, y1 in openings] if name == "left" else []
        b.add(side.hang(wall((-over, -over, 0), along, up, holes, 0.4), 0, 0, -over), grey)
    roof = box((WIDTH_M + 2 * over, 0.02, DEPTH_M + 2 * over), 0.5)
    for y in (-over, HEIGHT_M + over):
        b.add(roof.at((WIDTH_M / 2, y, DEPTH_M / 2)), grey)


def _pictures(b: SceneBuilder, walls: dict[str, Side]) -> None:
    """Paintings and posters: wall, place along it and height of its middle, width, height, whether printed."""
    plan = [
        ("back", 2.75, 1.6, 0.62, 0.82, False), ("back", 3.55, 1.75, 0.4, 0.5, True),
        ("back", 3.55, 1.15, 0.34, 0.34, False), ("back", 4.45, 1.75, 0.7, 0.5, False),
        ("front", 0.75, 1.55, 0.5, 0.7, True), ("front", 1.5, 1.7, 0.45, 0.45, False),
        ("front", 1.5, 1.12, 0.42, 0.3, True), ("front", 2.5, 1.6, 0.9, 0.65, False),
        ("front", 3.75, 1.6, 0.5, 0.7, True), ("right", 1.4, 1.6, 0.42, 0.56, True),
        ("right", 2.2, 1.65, 0.95, 0.68, False), ("right", 3.0, 1.6, 0.46, 0.46, False),
        ("right", 3.65, 1.55, 0.5, 0.72, True), ("left", 2.3, 1.6, 0.42, 0.6, True),
    ]  # fmt: skip
    for name, along, height, w, h, printed in plan:
        for shape, material in things.framed(b, w, h, print_only=printed):
            b.add(walls[name].hang(shape, along, height), material)


def _living(b: SceneBuilder) -> None:
    """The sofa corner: sofa before the bricks, rug, low table, lamp, plants, bookcases."""
    rug = textures.rug((2.3, 1.6), b.texel_m, b.draw_seed(), RUG)
    b.add(box((1.6, 0.012, 2.3), 0.05).at((4.25, 0.006, 2.3)), Material(np.rot90(rug).copy(), b.texel_m))
    cover = things.woven(b, [b.pick(COVERS)])
    pillows = [
        things.woven(b, [(0.8, 0.5, 0.25), (0.9, 0.85, 0.7), (0.3, 0.3, 0.35)], 0.03),
        things.woven(b, [(0.85, 0.8, 0.7)]),
        b.material(
            Material(drawing.wallpaper((0.9, 0.9), b.texel_m / 1.5, b.draw_seed(), (0.2, 0.28, 0.36), PRINT), 0.002)
        ),
    ]
    things.sofa(b, Spot(5.42, 0, 2.2, -math.pi / 2), 2.1, cover, pillows)
    low = Spot(4.2, 0, 2.25, math.pi / 2 + 0.1)
    things.table(
        b, low, (1.05, 0.42, 0.58), things.wooden(b, WALNUT, mirror=0.05), things.painted(b, BLACK, mirror=0.04)
    )
    things.book_pile(b, low.local(-0.28, 0.42, 0.05, 0.3), 3)
    things.vessel(b, low.local(0.28, 0.42, -0.08), things.vase_profile(b.rng, 0.24), things.glazed(b))
    bowl = [(0.06, 0.0), (0.12, 0.04), (0.15, 0.085)]
    things.vessel(b, low.local(0.02, 0.42, 0.1), bowl, things.glazed(b))
    things.floor_lamp(b, Spot(5.6, 0, 0.5), things.painted(b, BRASS, mirror=0.3, roughness=0.25))
    things.plant(b, Spot(5.5, 0, 3.85), 1.35, things.glazed(b, matte=True))
    things.plant(b, Spot(0.45, 0, 0.45), 1.1, things.glazed(b), blades=110)
    shelf = things.wooden(b, OAK, (2.2, 1.2))
    things.bookcase(b, Spot(1.45, 0, 0.17), (1.5, 2.05, 0.32), shelf, 6)
    things.bookcase(b, Spot(4.45, 0, 0.16), (0.8, 1.0, 0.3), shelf, 3)
    things.plant(b, Spot(4.3, 1.0, 0.16), 0.42, things.glazed(b), blades=60)


def _dining(b: SceneBuilder) -> None:
    """The dining corner by the windows: table, four chairs, pendant lamp, and a sideboard."""
    spot = Spot(1.75, 0, 2.7, 0.08)
    oak = things.wooden(b, OAK, mirror=0.04)
    things.table(b, spot, (1.45, 0.74, 0.85), oak, oak)
    seat, frame = things.woven(b, [b.pick(COVERS)]), things.painted(b, (0.13, 0.16, 0.17), mirror=0.04)
    for x, z, turn in ((-0.35, 0.62, math.pi), (0.38, 0.66, math.pi + 0.2), (-0.36, -0.62, 0.1), (0.4, -0.6, -0.1)):
        things.chair(b, spot.local(x, 0, z, turn), frame, seat)
    things.vessel(b, spot.local(0.05, 0.74, 0.0), things.vase_profile(b.rng, 0.28), things.glazed(b))
    things.plant(b, spot.local(-0.45, 0.74, 0.12), 0.34, things.glazed(b), blades=60)
    things.book_pile(b, spot.local(0.5, 0.74, -0.15), 2)
    for x, z in ((0.3, 0.22), (-0.15, -0.25)):
        things.vessel(b, spot.local(x, 0.74, z), [(0.028, 0), (0.038, 0.05), (0.04, 0.09)], things.glazed(b))
    things.pendant(b, Spot(1.75, 1.72, 2.7), HEIGHT_M)
    board = Spot(2.4, 0, DEPTH_M - 0.24, math.pi)
    wood = things.wooden(b, WALNUT, (2.0, 1.2), mirror=0.04)
    things.put(b, board, box((1.7, 0.55, 0.42), 0.045, middle=(0, 0.45, 0)), wood)
    for x in (-0.56, 0.0, 0.56):
        things.put(
            b, board, cushion((0.54, 0.49, 0.02), 0.006, 0.05, middle=(x, 0.45, 0.215)).shifted(0.2 + x, 0.5), wood
        )
        knob = revolve([(0.001, 0.0), (0.012, 0.008), (0.001, 0.022)], 0.01).at((0, 0, 0), 0, math.pi / 2)
        things.put(b, board.local(x + 0.2, 0.5, 0.225), knob, things.painted(b, BRASS, mirror=0.4))
    for x in (-0.75, 0.75):
        for z in (-0.15, 0.15):
            things.put(b, board, tube([(x, 0.18, z), (1.04 * x, 0, 1.1 * z)], 0.014), wood)
    things.vessel(b, board.local(-0.6, 0.725, 0), things.vase_profile(b.rng, 0.34), things.glazed(b))
    things.book_row(b, board.local(0.1, 0.725, 0), 0.5, 0.24, 0.18)
    things.plant(b, board.local(0.62, 0.725, 0), 0.4, things.glazed(b), blades=70)


FLOORS: list[Color] = [(0.66, 0.46, 0.28), (0.56, 0.36, 0.22), (0.72, 0.58, 0.42)]
PAINTS: list[Color] = [(0.56, 0.66, 0.68), (0.62, 0.68, 0.56), (0.74, 0.6, 0.52), (0.6, 0.6, 0.7)]
PAPERS: list[Color] = [(0.87, 0.84, 0.76), (0.8, 0.86, 0.84), (0.88, 0.8, 0.76)]
COVERS: list[Color] = [(0.36, 0.44, 0.42), (0.55, 0.3, 0.24), (0.3, 0.36, 0.5), (0.62, 0.55, 0.4)]
RUG = [
    (0.55, 0.16, 0.14),
    (0.16, 0.2, 0.34),
    (0.84, 0.76, 0.6),
    (0.68, 0.45, 0.22),
    (0.28, 0.35, 0.3),
    (0.1, 0.09, 0.1),
]
PRINT = [(0.85, 0.7, 0.4), (0.75, 0.35, 0.3), (0.8, 0.8, 0.75)]
