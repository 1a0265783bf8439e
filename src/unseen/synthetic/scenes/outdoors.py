"""Things of the open air: trees, hedges, benches, railings, a bicycle, strings of lamps, a fountain."""

from __future__ import annotations

import math

import numpy as np

from unseen.synthetic.scenes import furniture as things
from unseen.synthetic.scenes import textures
from unseen.synthetic.scenes.furniture import BLACK, Spot, put
from unseen.synthetic.scenes.materials import Material
from unseen.synthetic.scenes.scene import SceneBuilder
from unseen.synthetic.scenes.shapes import Shape, box, join, leaves, revolve, tube

WHEEL_M = 0.33


def green(b: SceneBuilder, color: tuple[float, float, float]) -> int:
    """Leaves that let light through."""
    texture = textures.foliage((1.5, 1.5), b.texel_m, b.draw_seed(), color)
    return b.material(Material(texture, b.texel_m, mirror=0.03, roughness=0.45, thin=True))


def cloud_of_leaves(
    b: SceneBuilder, spot: Spot, middle: np.ndarray, size: np.ndarray, count: int, length_m: float, material: int
) -> None:
    """Leaves on the shell of a lumpy ellipsoid, pointing outward and up."""
    rng = np.random.default_rng(b.draw_seed())
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    lumps = 1 + 0.22 * textures.noise(3 * direction[:, :1], 3 * direction[:, 1:2], 0.6, b.draw_seed(), 2)
    roots = middle + direction * size * rng.uniform(0.6, 1.0, (count, 1)) * lumps
    out = direction + rng.normal(scale=0.5, size=(count, 3)) + [0, 0.15, 0]
    tips = roots + out / np.linalg.norm(out, axis=1, keepdims=True) * length_m * rng.uniform(0.6, 1.3, (count, 1))
    put(b, spot, leaves(roots, tips, length_m * rng.uniform(0.35, 0.6, count), b.draw_seed()), material)


def tree(b: SceneBuilder, spot: Spot, height: float, *, leaves_count: int = 5000) -> None:
    """A trunk that forks, with a crown of leaves in several clouds."""
    rng = np.random.default_rng(b.draw_seed())
    bark = things.wooden(b, (0.36, 0.29, 0.23), (1.2, 1.2), mirror=0.0)
    fork = 0.45 * height
    t = np.linspace(0, 1, 9)[:, None]
    bend = 0.12 * np.sin(3 * t) * [1, 0, 0.6]
    put(b, spot, tube(t * [0, fork, 0] + bend, 0.021 * height, sides=12), bark)
    leaf = green(b, (0.3, 0.46, 0.17))
    for k in range(5):
        turn = 2 * math.pi * k / 5 + rng.uniform(-0.4, 0.4)
        out = np.array([math.sin(turn), 0, math.cos(turn)]) * height * rng.uniform(0.14, 0.26)
        end = bend[-1] + [0, height * rng.uniform(0.72, 0.92), 0] + out
        branch = bend[-1] + [0, fork * 0.97, 0] + (end - bend[-1] - [0, fork, 0]) * t + 0.1 * np.sin(math.pi * t) * out
        put(b, spot, tube(branch, 0.012 * height, sides=8), bark)
        size = height * np.array([0.2, 0.15, 0.2]) * rng.uniform(0.85, 1.2)
        cloud_of_leaves(b, spot, end, size, leaves_count // 5, 0.13, leaf)


def hedge(b: SceneBuilder, spot: Spot, length: float, height: float, depth: float) -> None:
    """Clipped leaves over a dark inside."""
    rng = np.random.default_rng(b.draw_seed())
    core = box((length - 0.1, height - 0.06, depth - 0.1), 0.15, middle=(0, height / 2, 0))
    put(b, spot, core, things.painted(b, (0.12, 0.18, 0.08), spread=0.4))
    count = int(900 * length * height)
    roots = rng.uniform(-0.5, 0.5, (count, 3))
    face = rng.integers(0, 5, count)
    roots[face < 2, 2] = np.where(face[face < 2] == 0, 0.5, -0.5)
    roots[face > 2, 1] = 0.5
    outward = np.stack([0 * face, 1.0 * (face > 2), np.where(face == 0, 1.0, np.where(face == 1, -1.0, 0.0))], 1)
    roots = roots * [length, height, depth] + [0, height / 2, 0] - 0.05 * outward
    out = outward + rng.normal(scale=0.6, size=(count, 3)) + [0, 0.3, 0]
    tips = roots + 0.075 * out / np.linalg.norm(out, axis=1, keepdims=True) * rng.uniform(0.6, 1.2, (count, 1))
    put(b, spot, leaves(roots, tips, rng.uniform(0.025, 0.045, count), b.draw_seed()), green(b, (0.26, 0.42, 0.15)))


def bench(b: SceneBuilder, spot: Spot, width: float, wood: int, metal: int) -> None:
    """Slats on two iron frames."""
    for i in range(5):
        put(
            b, spot, box((width, 0.022, 0.07), 0.05, middle=(0, 0.45, -0.18 + 0.09 * i)).shifted(0.3 * i, 0.1 * i), wood
        )
    for i in range(4):
        slat = (
            box((width, 0.07, 0.022), 0.05)
            .shifted(0.2 * i, 0.12 * i)
            .at((0, 0.56 + 0.095 * i, -0.235 - 0.03 * i), 0, -0.3)
        )
        put(b, spot, slat, wood)
    for x in (-width / 2 + 0.12, width / 2 - 0.12):
        put(b, spot, tube([(x, 0, 0.2), (x, 0.43, 0.18), (x, 0.43, -0.2), (x, 0.9, -0.37)], 0.016, step=0.05), metal)
        put(b, spot, tube([(x, 0, -0.26), (x, 0.43, -0.2)], 0.016), metal)
        put(b, spot, tube([(x, 0.43, 0.17), (x, 0.64, 0.2), (x, 0.66, -0.28)], 0.014, step=0.05), metal)


def railing(b: SceneBuilder, spot: Spot, length: float, height: float, metal: int) -> None:
    """Thin iron bars under a hand rail, with rings between them."""
    put(b, spot, tube([(-length / 2, height, 0), (length / 2, height, 0)], 0.018), metal)
    put(b, spot, tube([(-length / 2, 0.08, 0), (length / 2, 0.08, 0)], 0.01), metal)
    turn = np.linspace(0, 2 * math.pi, 17)
    for x in np.arange(-length / 2, length / 2 + 1e-6, 0.12):
        put(b, spot, tube([(x, 0, 0), (x, height, 0)], 0.007, sides=6, step=0.2), metal)
    for x in np.arange(-length / 2 + 0.06, length / 2 - 0.06, 0.24):
        ring = np.stack([x + 0.05 * np.cos(turn), height - 0.07 + 0.05 * np.sin(turn), 0 * turn], 1)
        put(b, spot, tube(ring, 0.005, sides=6), metal)


def bicycle(b: SceneBuilder, spot: Spot) -> None:
    """A bicycle that leans a little: wheels with spokes, frame, bars, saddle."""
    paint = things.painted(b, (0.7, 0.16, 0.13), mirror=0.05, roughness=0.2)
    rubber, steel = things.painted(b, BLACK), things.painted(b, (0.7, 0.7, 0.72), mirror=0.4, roughness=0.25)
    turn = np.linspace(0, 2 * math.pi, 41)
    parts: list[tuple[Shape, int]] = []
    for x in (-0.52, 0.52):
        for radius, thick, material in ((WHEEL_M, 0.016, rubber), (WHEEL_M - 0.022, 0.008, steel)):
            ring = np.stack([x + radius * np.cos(turn), WHEEL_M + 0.016 + radius * np.sin(turn), 0 * turn], 1)
            parts.append((tube(ring, thick, sides=8), material))
        hub = WHEEL_M + 0.016
        rims = [(x + 0.31 * math.cos(a), hub + 0.31 * math.sin(a), 0) for a in turn[:-1:2]]
        spokes = [tube([(x, hub, 0.02 * (-1) ** k), rim], 0.002, sides=4, step=1) for k, rim in enumerate(rims)]
        parts.append((join(spokes), steel))
    crank, saddle, head, rear, front = (-0.06, 0.3), (-0.2, 0.8), (0.36, 0.82), (-0.52, 0.346), (0.52, 0.346)
    bars = [
        (crank, saddle),
        (saddle, head),
        (crank, (0.39, 0.72)),
        (crank, rear),
        (rear, (-0.17, 0.7)),
        ((0.34, 0.9), front),
    ]
    for start, end in bars:
        parts.append((tube([(*start, 0), (*end, 0)], 0.015), paint))
    grip = [(0.22, 0.98, -0.27), (0.36, 1.0, -0.22), (0.36, 0.97, 0), (0.36, 1.0, 0.22), (0.22, 0.98, 0.27)]
    parts.append((tube(grip, 0.012, step=0.05), steel))
    parts.append((tube([(0.34, 0.88, 0), (0.36, 0.97, 0)], 0.012), steel))
    parts.append((tube([(*saddle, 0), (-0.22, 0.9, 0)], 0.012), steel))
    parts.append(
        (revolve([(0.001, -0.03), (0.1, 0.0), (0.07, 0.03), (0.001, 0.035)], 0.03).at((-0.22, 0.93, 0)), rubber)
    )
    for shape, material in parts:
        put(b, spot, shape.at((0, 0, 0), 0, -0.12), material)


def string_lights(
    b: SceneBuilder, start: tuple[float, float, float], end: tuple[float, float, float], sag: float
) -> None:
    """A cable that hangs between two points, with small bulbs."""
    t = np.linspace(0, 1, 40)[:, None]
    line = np.asarray(start) + t * (np.asarray(end) - np.asarray(start)) - [0, 1, 0] * (4 * sag * t * (1 - t))
    cable = things.painted(b, BLACK)
    b.add(tube(line, 0.006, sides=6, step=1), cable)
    bulb = revolve([(0.001, -0.1), (0.03, -0.075), (0.034, -0.05), (0.012, -0.01), (0.001, 0)], 0.02, sides=12)
    glass = Material(textures.plain((0.2, 0.2), 0.01, b.draw_seed(), (1.0, 0.86, 0.6)), 0.01, mirror=0.05, glow=1.6)
    material = b.material(glass)
    for place in line[2:-2:3]:
        b.add(bulb.at(place), material)


def fountain(b: SceneBuilder, spot: Spot, radius: float) -> None:
    """A stone basin with water and a column that carries a bowl."""
    texture = textures.stone(
        (2 * math.pi * radius, 1.6), b.texel_m, b.draw_seed(), (0.66, 0.62, 0.55), (0.44, 0.41, 0.36)
    )
    stone = b.material(Material(texture, b.texel_m))
    basin = [(radius, 0.0), (radius, 0.05), (0.93 * radius, 0.1), (0.93 * radius, 0.4), (radius, 0.44), (radius, 0.5),
             (0.86 * radius, 0.5), (0.86 * radius, 0.25)]  # fmt: skip
    put(b, spot, revolve(basin, 0.05), stone)
    column = [(0.2, 0.2), (0.2, 0.42), (0.1, 0.55), (0.08, 0.85), (0.14, 1.0), (0.42, 1.12), (0.45, 1.16), (0.36, 1.14)]
    put(b, spot, revolve(column, 0.04), stone)
    put(
        b,
        spot,
        revolve([(0.38, 1.13), (0.05, 1.12), (0.07, 1.3), (0.03, 1.4), (0.06, 1.46), (0.001, 1.52)], 0.03),
        stone,
    )
    water = Material(
        textures.plain((3, 3), 0.02, b.draw_seed(), (0.1, 0.2, 0.2), spread=0.3), 0.02, mirror=0.06, roughness=0.05
    )
    put(b, spot, revolve([(0.87 * radius, 0.4), (0.001, 0.4)], 0.08), water)
