"""Displacement fields: the tools with which identity and expression directions are modelled. Millimetres throughout."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from unseen.head.procedural.anatomy import LID_RIM, LIP_LINE, Anatomy
from unseen.head.procedural.rig import lower_lip_side, neck_weight

Vector = tuple[float, float, float]
# How much of the eyeball's own motion each ring round the eye takes up, from the block's outline to behind the lids.
_LID_FOLLOW = (0.0, 0.1, 0.3, 0.55, 0.8, 0.9, 0.95, 1.0, 1.0, 1.0, 1.0)
# How much of the lips' motion each ring inside the mouth takes up, from the lips' contact inwards.
_MOUTH_FOLLOW = (1.0, 0.9, 0.72, 0.48, 0.25, 0.1, 0.0)


@dataclass(frozen=True)
class Fields:
    """Weights and displacements over the vertices of a head."""

    head: Anatomy

    @property
    def points(self) -> np.ndarray:
        """Vertices, [V, 3]."""
        return self.head.vertices

    def near(self, center: Vector, radius: float | Vector) -> np.ndarray:
        """Gaussian of the distance to a point, one there; `radius` is its standard deviation (per axis), [V]."""
        offset = (self.points - center) / np.asarray(radius, float)
        return np.exp(-0.5 * (offset**2).sum(1))

    def pair(self, center: Vector, radius: float | Vector) -> np.ndarray:
        """`near` a point of the left side and its mirror image, [V]."""
        weight = self.near(center, radius)
        return weight + weight[self.head.mirror]

    def ramp(self, axis: int, start: float, end: float) -> np.ndarray:
        """Zero at `start`, one at `end` of an axis and beyond them, smooth between; either may be larger, [V]."""
        x = np.clip((self.points[:, axis] - start) / (end - start), 0.0, 1.0)
        return x * x * (3.0 - 2.0 * x)

    @cached_property
    def side(self) -> np.ndarray:
        """Sign of x, zero on the midline and smooth across it, [V]."""
        return np.tanh(self.points[:, 0] / 6.0)

    @cached_property
    def left(self) -> np.ndarray:
        """One on the left, zero on the right, smooth across the midline, [V]."""
        return 0.5 + 0.5 * np.tanh(self.points[:, 0] / 5.0)

    @cached_property
    def lower_lip(self) -> np.ndarray:
        """One on lower lip, jaw and lower teeth, zero on the upper lip and what is above, [V]."""
        weight = np.zeros(len(self.points))
        weight[self.head.part("skin")] = lower_lip_side(self.head)
        weight[self.head.part("lower_teeth")] = 1.0
        return weight

    @cached_property
    def neck(self) -> np.ndarray:
        """One on the head, zero on the torso, [V]."""
        return neck_weight(self.head)

    @cached_property
    def skin(self) -> np.ndarray:
        """One on the skin, [V]."""
        return (np.arange(len(self.points)) < self.head.spans["skin"][1]).astype(float)

    def along(self, weight: np.ndarray, *vector: float) -> np.ndarray:
        """A constant displacement times a weight, [V, 3]."""
        return weight[:, None] * np.asarray(vector)

    def spread(self, weight: np.ndarray, x: float, y: float = 0.0, z: float = 0.0) -> np.ndarray:
        """Like `along`, with x counted away from the midline, [V, 3]."""
        return np.stack([x * weight * self.side, y * weight, z * weight], -1)

    def swell(self, weight: np.ndarray, amount: float) -> np.ndarray:
        """A displacement along the surface normals, [V, 3]."""
        return amount * weight[:, None] * self.head.normals

    def scale(self, weight: np.ndarray, center: Vector, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> np.ndarray:
        """Stretch about a centre by these fractions, [V, 3]."""
        return weight[:, None] * (self.points - center) * np.array([x, y, z])

    def turn(self, weight: np.ndarray, center: Vector, axis: Vector, degrees: float) -> np.ndarray:
        """First-order rotation about an axis through a centre, [V, 3]."""
        return np.radians(degrees) * weight[:, None] * np.cross(np.asarray(axis), self.points - np.asarray(center))

    def mirrored(self, direction: np.ndarray) -> np.ndarray:
        """The same displacement on the other side, [V, 3]."""
        return direction[self.head.mirror] * [-1.0, 1.0, 1.0]

    def seat_eyes(self, direction: np.ndarray) -> np.ndarray:
        """Eyeballs move rigidly, lids with them, [V, 3]."""
        out = direction.copy()
        rings = self.head.skin.layout.rings["eye"]
        for name, ids in (("left_eyeball", rings), ("right_eyeball", self.head.mirror[rings])):
            motion = direction[self.head.part(name)].mean(0)
            out[self.head.part(name)] = motion
            for ring, follow in zip(ids, _LID_FOLLOW, strict=True):
                out[ring] = (1.0 - follow) * direction[ring] + follow * motion
        return out

    def seat_teeth(self, direction: np.ndarray) -> np.ndarray:
        """Each row of teeth moves rigidly and the mouth's inside goes from the lips' motion to theirs, [V, 3]."""
        out = direction.copy()
        upper, lower = self.head.part("upper_teeth"), self.head.part("lower_teeth")
        moves = [direction[upper].mean(0), direction[lower].mean(0)]
        out[upper], out[lower] = moves
        return self.follow_lips(out, (moves[0] + moves[1]) / 2.0)

    def follow_lips(self, direction: np.ndarray, rest: np.ndarray) -> np.ndarray:
        """Inside the mouth, fade from the motion of the lips to `rest`, [V, 3]."""
        out = direction.copy()
        layout, mirror = self.head.skin.layout, self.head.mirror
        for name in (lambda x: x, lambda x: mirror[x]):
            rings = name(layout.rings["mouth"])
            for ring, follow in zip(rings[LIP_LINE:], _MOUTH_FOLLOW, strict=True):
                out[ring] = follow * direction[rings[LIP_LINE]] + (1.0 - follow) * rest
            fill = name(layout.fills["mouth"])
            out[fill[1:-1, :-1]] = rest
        return out

    def lid(self, amounts: tuple[float, ...], upper: bool) -> np.ndarray:
        """Weight of the left upper or lower lid: `amounts` from the rim outwards, fading to the corners, [V]."""
        weight = np.zeros(len(self.points))
        rings = self.head.skin.layout.rings["eye"]
        position = np.arange(1, 16) if upper else np.arange(17, 32)
        fade = np.sin(np.pi * np.arange(1, 16) / 16.0) ** 0.7
        for k, amount in enumerate(amounts):
            weight[rings[LID_RIM - k, position]] = amount * fade
        for ring in rings[LID_RIM + 1 :]:
            weight[ring[position]] = amounts[0] * fade
        return weight
