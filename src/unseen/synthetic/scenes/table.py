"""A table of things on a terrace: pottery, books, fruit, plants, candles, cloth, tools of thin wire."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from unseen.synthetic.color import Color
from unseen.synthetic.scenes import drawing, outdoors, textures
from unseen.synthetic.scenes import furniture as things
from unseen.synthetic.scenes.furniture import BLACK, BRASS, OAK, WALNUT, Spot, put
from unseen.synthetic.scenes.materials import Material
from unseen.synthetic.scenes.scene import Scene, SceneBuilder
from unseen.synthetic.scenes.shapes import box, panel, revolve, sheet, tube
from unseen.synthetic.scenes.sky import daylight

STEP_M, TEXEL_M = 0.06, 0.0024
TOP_M = (1.7, 0.74, 1.05)
TARGET: tuple[float, float, float] = (0.0, 0.8, 0.0)
TERRACE_M = 7.5
TILES: list[Color] = [(0.72, 0.69, 0.62), (0.38, 0.44, 0.46), (0.56, 0.43, 0.36), (0.5, 0.51, 0.46), (0.66, 0.58, 0.46)]


def build_table(seed: int, detail: float = 1.0) -> Scene:
    """A laid table in the sun; the table and what is on it are the scene's subject.

    Args:
        seed: of layout details, textures and daylight.
        detail: of textures, surfaces and light, see `SceneBuilder`.
    """
    b = SceneBuilder("table", seed, STEP_M, TEXEL_M, detail)
    _terrace(b)
    top = things.wooden(b, WALNUT if b.rng.uniform() < 0.5 else OAK, (1.7, 1.2), mirror=0.04)
    spot = Spot(0, 0, 0, 0, subject=True)
    things.table(b, spot, TOP_M, top, things.painted(b, BLACK, mirror=0.04))
    _runner(b, spot.local(0, TOP_M[1], 0))
    _laid(b, spot.local(0, TOP_M[1], 0))
    seat, frame = things.woven(b, [(0.3, 0.36, 0.4)]), things.painted(b, (0.2, 0.12, 0.08), mirror=0.04)
    for x, z, turn in ((-0.4, 0.85, math.pi - 0.2), (0.45, -0.85, 0.15)):
        things.chair(b, Spot(x, 0, z, turn), frame, seat)
    azimuth, elevation = math.radians(b.rng.uniform(-160, 160)), math.radians(b.rng.uniform(35, 52))
    return b.finish(daylight(azimuth, elevation, b.draw_seed()), open_air=True)


def _terrace(b: SceneBuilder) -> None:
    """Cement tiles between hedges, with planters at the corners."""
    side = TERRACE_M
    floor = textures.tiles((side, side), 2 * b.texel_m, b.draw_seed(), TILES, 0.3)
    ground = panel((-side / 2, 0, side / 2), (side, 0, 0), (0, 0, -side), b.step_m)
    b.add(ground, Material(floor, 2 * b.texel_m, mirror=0.02, roughness=0.4))
    grass = textures.foliage((12, 12), 0.012, b.draw_seed(), (0.34, 0.38, 0.2))
    b.add(panel((-30, -0.03, 30), (60, 0, 0), (0, 0, -60), 1.0), Material(grass, 0.012), far=True)
    for k in range(4):
        turn = k * math.pi / 2
        at = Spot(0, 0, 0, turn)
        outdoors.hedge(b, at.local(-1.2, 0, -side / 2 + 0.2), 3.6, 0.55 + 0.25 * (k % 2), 0.4)
        pot = things.glazed(b, matte=True)
        things.plant(b, at.local(side / 2 - 0.9, 0, -side / 2 + 0.9), 1.0 + 0.3 * (k % 2), pot, blades=150)


def _runner(b: SceneBuilder, top: Spot) -> None:
    """A striped cloth along the table that hangs over its ends."""
    length, width, drop = TOP_M[0], 0.42, 0.26
    colors: list[Color] = [(0.84, 0.79, 0.68), (0.5, 0.2, 0.17), (0.2, 0.28, 0.36), (0.8, 0.62, 0.34)]
    cloth = textures.cloth((width, length + 2 * drop), b.texel_m / 1.5, b.draw_seed(), colors, stripe_m=0.03)
    run = np.linspace(-length / 2 - drop, length / 2 + drop, 61)
    x = np.clip(run, -length / 2 - 0.004, length / 2 + 0.004)
    y = 0.003 - np.maximum(np.abs(run) - length / 2, 0)
    z = np.linspace(width / 2, -width / 2, 13)
    ripple = 0.004 * np.sin(9 * run[:, None] + 21 * z[None])
    points = np.stack(np.broadcast_arrays(x[:, None], y[:, None] + 0.2 * np.abs(ripple), z[None]), -1)
    out = (np.abs(run) > length / 2)[:, None] * np.sign(run)[:, None] * (0.006 + np.abs(2 * ripple))
    points = points + np.stack([out, 0 * out, 0 * out], -1)
    put(b, top, sheet(points[:, ::-1], width, length + 2 * drop), Material(cloth, b.texel_m / 1.5))


def _laid(b: SceneBuilder, top: Spot) -> None:
    """Things at random places that do not touch."""
    menu: list[tuple[float, Callable[[SceneBuilder, Spot], None]]] = [
        (0.16, _tall_vase), (0.17, _fruit), (0.16, _books), (0.14, _plant), (0.13, _teapot), (0.09, _candles),
        (0.12, _vase), (0.12, _carton), (0.07, _cup), (0.1, _wire_globe), (0.07, _cup), (0.12, _standing_books),
        (0.09, _candles), (0.07, _cup), (0.1, _carton),
    ]  # fmt: skip
    taken: list[tuple[float, float, float]] = []
    for radius, add in menu:
        for _ in range(400):
            x = b.rng.uniform(-0.5, 0.5) * (TOP_M[0] - 2 * radius)
            z = b.rng.uniform(-0.5, 0.5) * (TOP_M[2] - 2 * radius)
            if all(math.hypot(x - u, z - v) > radius + r for u, v, r in taken):
                taken.append((x, z, radius))
                add(b, top.local(x, 0.004, z, b.rng.uniform(0, 2 * math.pi)))
                break


def _tall_vase(b: SceneBuilder, spot: Spot) -> None:
    things.vessel(b, spot, things.vase_profile(b.rng, 0.36), things.glazed(b))
    stems = np.random.default_rng(b.draw_seed())
    leaf, wood = outdoors.green(b, (0.34, 0.42, 0.22)), things.painted(b, (0.35, 0.3, 0.2))
    for _ in range(5):
        lean = stems.normal(scale=0.07, size=2)
        end = np.array([lean[0], stems.uniform(0.5, 0.62), lean[1]])
        put(b, spot, tube([(0, 0.3, 0), 0.6 * end + [0, 0.1, 0], end], 0.003, sides=5), wood)
        outdoors.cloud_of_leaves(b, spot, end, np.array([0.05, 0.07, 0.05]), 40, 0.05, leaf)


def _vase(b: SceneBuilder, spot: Spot) -> None:
    things.vessel(b, spot, things.vase_profile(b.rng, b.rng.uniform(0.2, 0.28)), things.glazed(b))


def _fruit(b: SceneBuilder, spot: Spot) -> None:
    """A bowl of apples, oranges and plums."""
    things.vessel(
        b,
        spot,
        [(0.06, 0.0), (0.07, 0.012), (0.14, 0.05), (0.16, 0.085), (0.152, 0.085), (0.06, 0.03)],
        things.glazed(b),
    )
    skins = [
        Material(textures.foliage((0.4, 0.3), 0.0015, b.draw_seed(), color), 0.0015, mirror=0.04, roughness=0.25)
        for color in ((0.75, 0.2, 0.14), (0.9, 0.55, 0.12), (0.55, 0.62, 0.2), (0.35, 0.14, 0.3))
    ]
    numbers = [b.material(skin) for skin in skins]
    for i in range(9):
        turn, ring, lift = i * 1.05, 0.085 if i < 6 else 0.035, 0.082 if i < 6 else 0.13
        r = b.rng.uniform(0.034, 0.041)
        ball = [(r * math.sin(t) + 1e-4, -r * math.cos(t) * 0.94) for t in np.linspace(0, math.pi, 13)]
        at = spot.local(ring * math.sin(turn), lift, ring * math.cos(turn))
        put(b, at, revolve(ball, 0.012, sides=20), numbers[int(b.rng.integers(4))])


def _books(b: SceneBuilder, spot: Spot) -> None:
    things.book_pile(b, spot, int(b.rng.integers(3, 6)))


def _standing_books(b: SceneBuilder, spot: Spot) -> None:
    things.book_row(b, spot, 0.19, 0.23, 0.15)


def _plant(b: SceneBuilder, spot: Spot) -> None:
    things.plant(b, spot, 0.38, things.glazed(b), blades=80)


def _teapot(b: SceneBuilder, spot: Spot) -> None:
    """Body, lid with a knob, spout and handle."""
    glaze = things.glazed(b)
    things.vessel(
        b,
        spot,
        [(0.05, 0.0), (0.085, 0.03), (0.095, 0.07), (0.08, 0.11), (0.045, 0.13), (0.05, 0.137), (0.02, 0.15)],
        glaze,
    )
    put(b, spot, revolve([(0.008, 0.15), (0.016, 0.165), (0.001, 0.178)], 0.008), glaze)
    put(b, spot, tube([(0.08, 0.05, 0), (0.13, 0.07, 0), (0.15, 0.11, 0), (0.17, 0.14, 0)], 0.012, step=0.02), glaze)
    turn = np.linspace(-1.3, 1.3, 14)
    handle = np.stack([-0.075 - 0.065 * np.cos(turn), 0.075 + 0.05 * np.sin(turn), 0 * turn], 1)
    put(b, spot, tube(handle, 0.007), glaze)


def _cup(b: SceneBuilder, spot: Spot) -> None:
    """A cup on its saucer."""
    glaze = things.glazed(b)
    things.vessel(b, spot, [(0.04, 0.0), (0.065, 0.012), (0.063, 0.014), (0.02, 0.008)], glaze)
    cup = [(0.02, 0.01), (0.03, 0.02), (0.037, 0.05), (0.04, 0.075), (0.037, 0.075), (0.03, 0.03), (0.001, 0.025)]
    put(b, spot, revolve(cup, 0.01, sides=24), glaze)
    turn = np.linspace(-1.4, 1.4, 10)
    put(b, spot, tube(np.stack([0.036 + 0.02 * np.cos(turn), 0.046 + 0.02 * np.sin(turn), 0 * turn], 1), 0.004), glaze)


def _candles(b: SceneBuilder, spot: Spot) -> None:
    """A brass candlestick."""
    brass, wax = things.painted(b, BRASS, mirror=0.4, roughness=0.2), things.painted(b, (0.92, 0.88, 0.78))
    stick = [
        (0.055, 0.0),
        (0.06, 0.008),
        (0.02, 0.02),
        (0.008, 0.04),
        (0.008, 0.16),
        (0.016, 0.17),
        (0.018, 0.19),
        (0.001, 0.19),
    ]
    things.vessel(b, spot, stick, brass)
    put(b, spot, revolve([(0.011, 0.19), (0.01, 0.36), (0.001, 0.365)], 0.03, sides=14), wax)
    put(b, spot, tube([(0, 0.36, 0), (0.002, 0.378, 0)], 0.0012, sides=5), things.painted(b, BLACK))


def _carton(b: SceneBuilder, spot: Spot) -> None:
    """A printed box."""
    size = (b.rng.uniform(0.1, 0.16), b.rng.uniform(0.07, 0.16), b.rng.uniform(0.08, 0.13))
    sheet_m = (2 * size[0] + 2 * size[2], size[1] + size[2])
    art = drawing.wallpaper if b.rng.uniform() < 0.4 else None
    inks: list[Color] = [(0.85, 0.7, 0.4), (0.75, 0.35, 0.3), (0.8, 0.8, 0.75)]
    fine = b.texel_m / 2
    paper = (
        art(sheet_m, fine, b.draw_seed(), (0.2, 0.28, 0.36), inks)
        if art
        else drawing.painting(sheet_m, fine, b.draw_seed())
    )
    put(b, spot, box(size, 0.03, middle=(0, size[1] / 2, 0)), Material(paper, fine, mirror=0.03, roughness=0.3))


def _wire_globe(b: SceneBuilder, spot: Spot) -> None:
    """Rings of thin wire about an axis: an armillary sphere on a foot."""
    brass = things.painted(b, BRASS, mirror=0.35, roughness=0.25)
    things.vessel(b, spot, [(0.05, 0.0), (0.05, 0.012), (0.01, 0.02), (0.008, 0.07), (0.001, 0.072)], brass)
    turn = np.linspace(0, 2 * math.pi, 41)
    circle = np.stack([np.cos(turn), np.sin(turn), 0 * turn], 1) * 0.09
    for k in range(5):
        ring = tube(circle, 0.0028, sides=6, step=1).at((0, 0, 0), k * math.pi / 5)
        put(b, spot, ring.at((0, 0.165, 0), 0, 0.4), brass)
    put(b, spot, tube(circle, 0.004, sides=6, step=1).at((0, 0.165, 0), 0, math.pi / 2 + 0.4), brass)
    ball = [(0.028 * math.sin(t) + 1e-4, -0.028 * math.cos(t)) for t in np.linspace(0, math.pi, 12)]
    put(
        b,
        spot.local(0, 0.165, 0),
        revolve(ball, 0.01, sides=18),
        things.painted(b, (0.2, 0.35, 0.5), mirror=0.06, roughness=0.1),
    )
