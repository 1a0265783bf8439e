"""Things that stand about: tables, chairs, sofas, lamps, shelves of books, plants, vessels.

Each function adds one thing to a scene. It stands on the floor of its `Spot` and faces the spot's +Z.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from unseen.synthetic.color import Color
from unseen.synthetic.scenes import drawing, textures
from unseen.synthetic.scenes.baking import Lamp
from unseen.synthetic.scenes.materials import Material
from unseen.synthetic.scenes.scene import SceneBuilder
from unseen.synthetic.scenes.shapes import Shape, box, cushion, join, leaves, panel, revolve, tube

OAK: Color = (0.74, 0.56, 0.36)
WALNUT: Color = (0.45, 0.29, 0.18)
WHITE: Color = (0.9, 0.89, 0.86)
BLACK: Color = (0.07, 0.07, 0.075)
BRASS: Color = (0.79, 0.62, 0.32)
FINE_M = 0.035  # edges of furniture
FLOOR_LAMP, PENDANT = 0.3, 0.35  # light at one metre, over pi


@dataclass(frozen=True)
class Spot:
    """A place on something level: position in metres, turn about the vertical (0 faces +Z, toward +X), and whether what
    stands there is the scene's subject or far background."""

    x: float
    y: float
    z: float
    turn_rad: float = 0.0
    subject: bool = False
    far: bool = False

    def local(self, x: float, y: float, z: float, turn_rad: float = 0.0) -> Spot:
        """A spot given in this one's own axes."""
        c, s = math.cos(self.turn_rad), math.sin(self.turn_rad)
        return Spot(
            self.x + c * x + s * z, self.y + y, self.z - s * x + c * z, self.turn_rad + turn_rad, self.subject, self.far
        )


def put(b: SceneBuilder, spot: Spot, shape: Shape, material: int | Material) -> None:
    """Add a shape given in the spot's own axes."""
    b.add(shape.at((spot.x, spot.y, spot.z), spot.turn_rad), material, subject=spot.subject, far=spot.far)


def wooden(b: SceneBuilder, color: Color, size_m: tuple[float, float] = (1.6, 1.2), *, mirror: float = 0.03) -> int:
    """Varnished wood with grain along the surface's first direction."""
    texture = textures.wood(size_m, b.texel_m, b.draw_seed(), color)
    return b.material(Material(texture, b.texel_m, mirror=mirror, roughness=0.35))


def painted(b: SceneBuilder, color: Color, *, mirror: float = 0.0, roughness: float = 0.3, spread: float = 0.05) -> int:
    """Paint, lacquer, metal or glaze of one colour."""
    texture = textures.plain((0.8, 0.8), 2 * b.texel_m, b.draw_seed(), color, spread=spread)
    return b.material(Material(texture, 2 * b.texel_m, mirror=mirror, roughness=roughness))


def woven(b: SceneBuilder, colors: list[Color], stripe_m: float = 0.0, size_m: tuple[float, float] = (1.6, 1.6)) -> int:
    """Cloth."""
    texture = textures.cloth(size_m, b.texel_m, b.draw_seed(), colors, stripe_m=stripe_m)
    return b.material(Material(texture, b.texel_m))


def table(b: SceneBuilder, spot: Spot, size: tuple[float, float, float], top: int, legs: int) -> None:
    """A table of width, height and depth with round tapering legs and an apron."""
    w, h, d = size
    put(b, spot, box((w, 0.032, d), FINE_M, middle=(0, h - 0.016, 0)), top)
    inset = 0.06
    for x in (-w / 2 + inset, w / 2 - inset):
        for z in (-d / 2 + inset, d / 2 - inset):
            leg = revolve([(0.014, 0.0), (0.026, h - 0.032)], 0.06, sides=12)
            put(b, spot, leg.at((x, 0, z)), legs)
    for z in (-d / 2 + inset, d / 2 - inset):
        put(b, spot, box((w - 2 * inset, 0.06, 0.018), FINE_M, middle=(0, h - 0.065, z)), legs)
    for x in (-w / 2 + inset, w / 2 - inset):
        put(b, spot, box((0.018, 0.06, d - 2 * inset), FINE_M, middle=(x, h - 0.065, 0)), legs)


def chair(b: SceneBuilder, spot: Spot, frame: int, seat: int) -> None:
    """A spindle-back chair: thin legs, rungs and rods."""
    put(b, spot, cushion((0.42, 0.045, 0.42), 0.02, 0.03, middle=(0, 0.455, 0), puff=0.01), seat)
    for x in (-0.17, 0.17):
        put(b, spot, tube([(x, 0.44, 0.17), (1.18 * x, 0, 0.2)], 0.013), frame)
        put(b, spot, tube([(x, 0.44, -0.17), (1.18 * x, 0, -0.22)], 0.013), frame)
        put(b, spot, tube([(x, 0.45, -0.18), (x, 0.68, -0.215), (1.05 * x, 0.9, -0.275)], 0.012), frame)
        put(b, spot, tube([(1.08 * x, 0.2, 0.187), (1.08 * x, 0.2, -0.197)], 0.008), frame)
    put(b, spot, tube([(-0.185, 0.2, 0), (0.185, 0.2, 0)], 0.008), frame)
    for x in np.linspace(-0.11, 0.11, 5):
        put(b, spot, tube([(x, 0.46, -0.185), (1.1 * x, 0.885, -0.27)], 0.006, sides=6), frame)
    rail = [
        (x, 0.895 + 0.02 * math.cos(8 * x), -0.272 - 0.03 * math.cos(7 * x) + 0.03) for x in np.linspace(-0.2, 0.2, 9)
    ]
    put(b, spot, tube(rail, 0.02), frame)


def sofa(b: SceneBuilder, spot: Spot, width: float, cover: int, pillows: list[int]) -> None:
    """A sofa with two seats, loose pillows and short wooden feet."""
    put(b, spot, cushion((width, 0.22, 0.84), 0.04, FINE_M, middle=(0, 0.25, 0)), cover)
    put(b, spot, cushion((width - 0.1, 0.55, 0.2), 0.07, FINE_M, middle=(0, 0.6, -0.36)).shifted(0.3, 0.2), cover)
    for side in (-1, 1):
        arm = cushion((0.18, 0.36, 0.86), 0.07, FINE_M, middle=(side * (width / 2 - 0.07), 0.42, 0))
        put(b, spot, arm.shifted(0.5 + 0.2 * side, 0.9), cover)
        half = (width - 0.36) / 2
        seat = cushion((half - 0.01, 0.17, 0.66), 0.05, FINE_M, middle=(side * half / 2, 0.43, 0.08), puff=0.02)
        put(b, spot, seat.shifted(0.8 + 0.3 * side, 0.4), cover)
        for z in (-0.34, 0.34):
            put(
                b,
                spot,
                revolve([(0.018, 0), (0.026, 0.14)], 0.05, sides=10).at((side * (width / 2 - 0.1), 0, z)),
                cover,
            )
    for i, material in enumerate(pillows):
        x = (i / max(1, len(pillows) - 1) - 0.5) * (width - 0.75)
        pillow = cushion((0.44, 0.12, 0.42), 0.05, 0.03, puff=0.03).at((0, 0, 0), 0, 1.22)
        put(b, spot.local(x, 0.7, -0.13, 0.25 * math.sin(5 * x)), pillow, material)


def floor_lamp(b: SceneBuilder, spot: Spot, metal: int) -> None:
    """A thin stand with a drum shade and its cable on the floor."""
    put(b, spot, revolve([(0.0, 0.0), (0.15, 0.0), (0.15, 0.015), (0.02, 0.03), (0.0, 0.03)], 0.05), metal)
    put(b, spot, tube([(0, 0.02, 0), (0, 1.5, 0)], 0.008), metal)
    shade(b, spot.local(0, 1.36, 0), 0.2, 0.27, FLOOR_LAMP)
    cable = [(0.13, 0.006, 0), (0.25, 0.006, 0.1), (0.42, 0.006, 0.05), (0.6, 0.006, -0.12), (0.72, 0.006, -0.3)]
    put(b, spot, tube(cable, 0.005, sides=6), painted(b, BLACK))


def shade(b: SceneBuilder, spot: Spot, radius: float, height: float, light: float) -> None:
    """A cloth lamp shade that glows, with a lamp inside."""
    texture = textures.cloth((1.4, 0.5), b.texel_m, b.draw_seed(), [(0.95, 0.86, 0.7)])
    drum = revolve([(radius, 0.0), (0.82 * radius, height)], 0.04)
    b.add(drum.at((spot.x, spot.y, spot.z)), Material(texture, b.texel_m, glow=2.2 * light, thin=True))
    color = (light * 1.0, light * 0.76, light * 0.5)
    b.lamps.append(Lamp((spot.x, spot.y + height / 2, spot.z), radius, color))


def pendant(b: SceneBuilder, spot: Spot, ceiling_m: float) -> None:
    """A lamp that hangs by its cable from the ceiling; the spot is its lower rim."""
    metal = painted(b, (0.18, 0.3, 0.28), mirror=0.05, roughness=0.3)
    put(b, spot, tube([(0, 0.24, 0), (0, ceiling_m - spot.y, 0)], 0.004, sides=6), painted(b, BLACK))
    dome = revolve([(0.2, 0.0), (0.185, 0.06), (0.13, 0.15), (0.05, 0.2), (0.02, 0.25)], 0.03)
    put(b, spot, dome, metal)
    bulb = revolve([(0.001, 0.03), (0.035, 0.05), (0.045, 0.08), (0.03, 0.12), (0.001, 0.13)], 0.02)
    texture = textures.plain((0.2, 0.2), 0.01, b.draw_seed(), (1.0, 0.9, 0.75))
    put(b, spot, bulb, Material(texture, 0.01, glow=9 * PENDANT))
    b.lamps.append(Lamp((spot.x, spot.y + 0.05, spot.z), 0.06, (PENDANT, 0.8 * PENDANT, 0.55 * PENDANT)))


def vessel(b: SceneBuilder, spot: Spot, profile: list[tuple[float, float]], material: int) -> None:
    """A vase, pot, cup or bowl from its outline (radius, height), bottom to rim."""
    put(b, spot, revolve([(0.001, 0.0), *profile], 0.02, sides=28), material)


def vase_profile(rng: np.random.Generator, height: float) -> list[tuple[float, float]]:
    """A drawn outline of a vase with foot, belly, neck and lip."""
    foot, belly, neck = rng.uniform(0.16, 0.24), rng.uniform(0.28, 0.42), rng.uniform(0.07, 0.14)
    middle = rng.uniform(0.3, 0.5)
    t = np.linspace(0, 1, 15)
    outline = np.interp(t, [0, middle, 0.85, 1], [foot, belly, neck, 1.5 * neck])
    soft = np.convolve(np.pad(outline, 2, mode="edge"), np.array([1, 3, 4, 3, 1]) / 12, mode="valid")
    return [(float(r * height), float(y * height)) for r, y in zip(soft, t, strict=True)]


def glazed(b: SceneBuilder, *, matte: bool = False) -> int:
    """A painted glaze."""
    texture = drawing.painting((0.9, 0.45), b.texel_m / 1.5, b.draw_seed())
    return b.material(Material(texture, b.texel_m / 1.5, mirror=0.0 if matte else 0.06, roughness=0.12))


def plant(b: SceneBuilder, spot: Spot, height: float, pot: int, *, blades: int = 140) -> None:
    """A pot with stems and leaves."""
    rng = np.random.default_rng(b.draw_seed())
    size = 0.26 * height
    vessel(b, spot, [(0.36 * size, 0.0), (0.5 * size, 0.5 * size), (0.55 * size, size), (0.5 * size, size)], pot)
    earth = revolve([(0.5 * size, 0.88 * size), (0.001, 0.92 * size)], 0.03)
    put(b, spot, earth, painted(b, (0.2, 0.14, 0.09), spread=0.4))
    bark = painted(b, (0.32, 0.36, 0.16))
    roots, tips = [], []
    for _ in range(max(4, blades // 16)):
        turn, lean = rng.uniform(0, 2 * math.pi), rng.uniform(0.1, 0.55)
        t = np.linspace(0, 1, 8)[:, None]
        reach = (height - size) * rng.uniform(0.55, 1.0)
        outward = np.array([math.sin(turn), 0, math.cos(turn)])
        stem = np.array([0, 0.9 * size, 0]) + t * reach * np.array([0, 1, 0]) + t**2 * lean * reach * outward
        put(b, spot, tube(stem, 0.006 * height, sides=6), bark)
        for _ in range(16):
            at = stem[int(rng.integers(2, 8))]
            out = rng.normal(size=3) * [1, 0.35, 1]
            roots.append(at)
            tips.append(at + (out / np.linalg.norm(out) + [0, 0.35, 0]) * height * rng.uniform(0.09, 0.19))
    widths = np.array([np.linalg.norm(t - r) for r, t in zip(roots, tips, strict=True)]) * rng.uniform(0.35, 0.6)
    green = (0.2 + 0.12 * rng.uniform(), 0.42 + 0.12 * rng.uniform(), 0.16)
    texture = textures.foliage((1.2, 1.2), b.texel_m, b.draw_seed(), green)
    material = Material(texture, b.texel_m, mirror=0.03, roughness=0.4, thin=True)
    put(b, spot, leaves(np.array(roots), np.array(tips), widths, b.draw_seed()), material)


def book_row(b: SceneBuilder, spot: Spot, width: float, height: float, depth: float) -> None:
    """Books side by side, of different sizes, their backs to the front."""
    rng = np.random.default_rng(b.draw_seed())
    widths = rng.uniform(0.014, 0.048, int(width / 0.02))
    widths = widths[np.cumsum(widths) < width]
    fine = b.texel_m / 2
    total = float(widths.sum())
    printed = b.material(
        Material(drawing.spines((total, height), fine, b.draw_seed(), widths.tolist()), fine, mirror=0.02)
    )
    x = 0.0
    for thickness in widths:
        tall, deep = height * rng.uniform(0.72, 1.0), depth * rng.uniform(0.75, 1.0)
        at = spot.local(x - width / 2 + thickness / 2, 0, 0)
        block = box((0.94 * thickness, tall, deep - 0.002), 0.08, middle=(0, tall / 2, (deep - depth) / 2))
        put(b, at, block.shifted(x + 0.002, 0.02), printed)
        front = panel((-thickness / 2, 0, deep - depth / 2), (thickness, 0, 0), (0, tall, 0), 0.08)
        put(b, at, front.shifted(x, 0), printed)
        x += thickness


def book_pile(b: SceneBuilder, spot: Spot, count: int) -> None:
    """Books lying on each other, a little turned."""
    rng, y = np.random.default_rng(b.draw_seed()), 0.0
    for _ in range(count):
        size = (rng.uniform(0.16, 0.3), rng.uniform(0.015, 0.045), rng.uniform(0.13, 0.22))
        texture = drawing.poster((0.42, 0.34), b.texel_m / 2, b.draw_seed())
        block = box(size, 0.05, middle=(0, size[1] / 2, 0))
        put(b, spot.local(0, y, 0, rng.normal(scale=0.25)), block, Material(texture, b.texel_m / 2, mirror=0.03))
        y += size[1]


def bookcase(b: SceneBuilder, spot: Spot, size: tuple[float, float, float], wood: int, shelves: int) -> None:
    """Open shelves filled with books and a few other things."""
    w, h, d = size
    rng = np.random.default_rng(b.draw_seed())
    board = 0.024
    for x in (-w / 2 + board / 2, w / 2 - board / 2):
        put(b, spot, box((board, h, d), 0.06, middle=(x, h / 2, 0)), wood)
    put(b, spot, box((w, h, 0.01), 0.06, middle=(0, h / 2, -d / 2 + 0.005)).shifted(0.4, 0.1), wood)
    gap = (h - board) / shelves
    for i in range(shelves + 1):
        put(b, spot, box((w - 2 * board, board, d), 0.05, middle=(0, i * gap + board / 2, 0)).shifted(0, 0.1 * i), wood)
    for i in range(shelves):
        floor, run = i * gap + board, w - 2 * board - 0.01
        share = rng.uniform(0.55, 0.8)
        side = 1 if rng.uniform() < 0.5 else -1
        book_row(b, spot.local(side * (1 - share) / 2 * run, floor, 0.02), share * run, min(0.3, gap - 0.06), d - 0.08)
        rest = spot.local(-side * share / 2 * run, floor, 0.03)
        if rng.uniform() < 0.5:
            vessel(b, rest, vase_profile(rng, min(0.24, gap - 0.07)), glazed(b))
        else:
            book_pile(b, rest, int(rng.integers(2, 5)))


def framed(b: SceneBuilder, width: float, height: float, *, print_only: bool = False) -> list[tuple[Shape, int]]:
    """A picture in its frame, middle at the origin, front to +Z: its parts, for a wall to hang."""
    fine = b.texel_m / 1.5
    paint = (drawing.poster if print_only else drawing.painting)((width, height), fine, b.draw_seed())
    picture = panel((-width / 2, -height / 2, 0.012), (width, 0, 0), (0, height, 0), 0.06)
    bar = 0.028
    rails = [box((width + 2 * bar, bar, 0.03), 0.06, middle=(0, s * (height + bar) / 2, 0.015)) for s in (-1, 1)]
    rails += [box((bar, height, 0.03), 0.06, middle=(s * (width + bar) / 2, 0, 0.015)) for s in (-1, 1)]
    rng = np.random.default_rng(b.draw_seed())
    color = (OAK, WALNUT, BLACK, WHITE, BRASS)[int(rng.integers(5))]
    canvas = b.material(Material(paint, fine, mirror=0.0))
    return [(picture, canvas), (join(rails), wooden(b, color, (0.8, 0.4)))]
