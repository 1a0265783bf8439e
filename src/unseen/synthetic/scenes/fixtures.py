"""What hangs on walls or fills them: windows, curtains, radiators, doors, pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from unseen.synthetic.scenes import furniture as things
from unseen.synthetic.scenes import textures
from unseen.synthetic.scenes.baking import Window
from unseen.synthetic.scenes.furniture import BRASS, OAK, WALNUT, WHITE
from unseen.synthetic.scenes.materials import Material
from unseen.synthetic.scenes.scene import SceneBuilder
from unseen.synthetic.scenes.shapes import Shape, box, cushion, panel, revolve, sheet, tube

REVEAL_M = 0.16


@dataclass(frozen=True)
class Side:
    """One wall seen from inside: lower left corner, direction to the right, direction into the room, width."""

    corner: tuple[float, float, float]
    right: tuple[float, float, float]
    inward: tuple[float, float, float]
    width: float

    def hang(self, shape: Shape, along: float, height: float, out: float = 0.0) -> Shape:
        """A shape given with x to the right, y up, z into the room, moved to its place on the wall."""
        place = np.array(self.corner) + along * np.array(self.right) + out * np.array(self.inward) + [0, height, 0]
        return shape.at(place, math.atan2(self.inward[0], self.inward[2]))


def sides(width: float, depth: float) -> dict[str, Side]:
    """Walls of a room between (0, 0, 0) and (width, ., depth)."""
    return {
        "back": Side((0, 0, 0), (1, 0, 0), (0, 0, 1), width),
        "front": Side((width, 0, depth), (-1, 0, 0), (0, 0, -1), width),
        "left": Side((0, 0, depth), (0, 0, -1), (1, 0, 0), depth),
        "right": Side((width, 0, 0), (0, 0, 1), (-1, 0, 0), depth),
    }


def window(b: SceneBuilder, side: Side, opening: tuple[float, float, float, float]) -> None:
    """Reveal, sill, frame with bars, and the sky's light through it."""
    left, right, low, high = opening
    w, h, x, y = right - left, high - low, 0.5 * (left + right), 0.5 * (low + high)
    white = things.painted(b, WHITE, mirror=0.03)
    out = -REVEAL_M / 2
    for offset in (-w / 2 - 0.01, w / 2 + 0.01):
        b.add(side.hang(box((0.02, h + 0.04, REVEAL_M), 0.04), x + offset, y, out), white)
    for offset in (-h / 2 - 0.01, h / 2 + 0.01):
        b.add(side.hang(box((w, 0.02, REVEAL_M), 0.04), x, y + offset, out), white)
    b.add(side.hang(box((w + 0.14, 0.03, 0.2), 0.04), x, low - 0.015, 0.08), things.wooden(b, OAK, (1.5, 0.6)))
    depth = -0.11
    for offset in (-w / 2 + 0.03, 0.0, w / 2 - 0.03):
        b.add(side.hang(box((0.06 if offset else 0.045, h, 0.05), 0.05), x + offset, y, depth), white)
    for offset in (-h / 2 + 0.03, 0.18, h / 2 - 0.03):
        b.add(side.hang(box((w, 0.06 if abs(offset) > 0.2 else 0.035, 0.05), 0.05), x, y + offset, depth), white)
    corner = side.hang(panel((0, 0, 0), (w, 0, 0), (0, h, 0), 9.0), left, low, -REVEAL_M).vertices
    b.windows.append(Window(tuple(corner[0]), tuple(corner[1] - corner[0]), tuple(corner[2] - corner[0])))


def curtains(b: SceneBuilder, side: Side, opening: tuple[float, float, float, float]) -> None:
    """Two drawn-back curtains of thin cloth on a brass rod with rings."""
    left, right, _, high = opening
    top = high + 0.12
    tone = b.rng.uniform(0.75, 1.0)
    colors = [(0.86, 0.78 * tone, 0.6), (0.75, 0.42, 0.3 * tone), (0.9, 0.87, 0.8)]
    cloth = textures.cloth((1.0, top), b.texel_m, b.draw_seed(), colors, stripe_m=0.05)
    material = b.material(Material(cloth, b.texel_m, thin=True))
    for start, end in ((left - 0.26, left + 0.1), (right - 0.1, right + 0.26)):
        t, u = np.meshgrid(np.linspace(0, 1, 30), np.linspace(0, 1, 41), indexing="ij")
        wave = 0.04 * np.sin(2 * np.pi * 5.5 * u + 1.5 * np.sin(3 * t + start)) * (1.15 - 0.35 * t)
        pinch = 1 - 0.18 * np.exp(-(((t - 0.42) / 0.2) ** 2))
        x = 0.5 * (start + end) + (end - start) * (u - 0.5) * pinch
        points = np.stack([x, 0.03 + t * (top - 0.04), 0.11 + wave], -1)
        b.add(side.hang(sheet(points, 1.0, top), 0, 0), material)
    brass = things.painted(b, BRASS, mirror=0.35, roughness=0.3)
    b.add(side.hang(tube([(left - 0.4, top, 0.11), (right + 0.4, top, 0.11)], 0.011), 0, 0), brass)
    for end in (left - 0.4, right + 0.4):
        b.add(side.hang(revolve([(0.001, -0.03), (0.028, 0), (0.001, 0.03)], 0.02), end, top, 0.11), brass)


def radiator(b: SceneBuilder, side: Side, along: float) -> None:
    """Ribs and a pipe under a window."""
    white = things.painted(b, WHITE, mirror=0.03)
    for i in range(12):
        rib = cushion((0.045, 0.5, 0.09), 0.02, 0.03)
        b.add(side.hang(rib, along + (i - 5.5) * 0.062, 0.38, 0.09), white)
    for y in (0.18, 0.58):
        b.add(side.hang(tube([(-0.5, y, 0.09), (0.4, y, 0.09)], 0.014), along, 0), white)
    b.add(side.hang(tube([(-0.5, 0.18, 0.09), (-0.5, 0.0, 0.09)], 0.014), along, 0), white)


def door(b: SceneBuilder, side: Side, along: float) -> None:
    """A panelled door with its casing and a brass knob."""
    paint = things.painted(b, (0.82, 0.8, 0.74), mirror=0.03, spread=0.08)
    b.add(side.hang(box((0.86, 2.02, 0.03), 0.05), along, 1.01, 0.015), paint)
    for x in (-0.2, 0.2):
        for y, h in ((0.45, 0.55), (1.08, 0.45), (1.66, 0.45)):
            b.add(side.hang(cushion((0.28, h, 0.03), 0.012, 0.04), along + x, y, 0.03), paint)
    casing = things.wooden(b, WALNUT, (2.2, 0.6))
    for x in (-0.48, 0.48):
        b.add(side.hang(box((0.1, 2.1, 0.05), 0.06), along + x, 1.05, 0.025), casing)
    b.add(side.hang(box((1.06, 0.1, 0.05), 0.06), along, 2.1, 0.025), casing)
    knob = revolve([(0.001, 0.0), (0.026, 0.012), (0.03, 0.03), (0.001, 0.05)], 0.01).at((0, 0, 0), 0, math.pi / 2)
    b.add(side.hang(knob, along + 0.36, 1.0, 0.03), things.painted(b, BRASS, mirror=0.4, roughness=0.2))
