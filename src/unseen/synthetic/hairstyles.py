"""Haircuts and the colours of hair and eyes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from unseen.synthetic.strands import Comb

RGB = tuple[float, float, float]

HAIR_COLORS: Mapping[str, tuple[RGB, RGB]] = MappingProxyType(
    {
        "black": ((0.009, 0.008, 0.008), (0.014, 0.012, 0.011)),
        "dark brown": ((0.022, 0.013, 0.009), (0.042, 0.024, 0.015)),
        "brown": ((0.045, 0.025, 0.014), (0.085, 0.047, 0.026)),
        "auburn": ((0.075, 0.026, 0.012), (0.14, 0.05, 0.022)),
        "copper": ((0.16, 0.055, 0.018), (0.27, 0.105, 0.035)),
        "dark blond": ((0.115, 0.076, 0.042), (0.22, 0.15, 0.085)),
        "blond": ((0.24, 0.165, 0.088), (0.42, 0.31, 0.18)),
        "grey": ((0.16, 0.155, 0.15), (0.30, 0.295, 0.29)),
    }
)
"""Linear RGB at root and tip."""

IRIS_COLORS: Mapping[str, tuple[RGB, RGB]] = MappingProxyType(
    {
        "brown": ((0.13, 0.055, 0.02), (0.055, 0.022, 0.009)),
        "dark brown": ((0.05, 0.022, 0.011), (0.022, 0.01, 0.006)),
        "hazel": ((0.16, 0.085, 0.025), (0.075, 0.085, 0.035)),
        "green": ((0.15, 0.13, 0.045), (0.06, 0.12, 0.06)),
        "blue": ((0.17, 0.2, 0.2), (0.06, 0.13, 0.23)),
        "grey": ((0.18, 0.19, 0.18), (0.1, 0.125, 0.145)),
    }
)
"""Linear RGB near the pupil and near the rim."""


@dataclass(frozen=True)
class HairStyle:
    """A haircut.

    Attributes:
        name: for people.
        zones: (comb, lowest signed distance to the hairline in metres, share of the strands); later zones lie on top.
        strands: how many strands in all.
        points: per strand.
        width_m: of a strand's ribbon.
        cover: how far roots darken the scalp, 0..1.
        recede_m: how far the hairline is drawn back.
    """

    name: str
    zones: tuple[tuple[Comb, float, float], ...]
    strands: int
    points: int
    width_m: float
    cover: float = 0.85
    recede_m: float = 0.0

    def varied(self, rng: np.random.Generator) -> HairStyle:
        """The same cut on somebody else: mirrored or not, a little longer or shorter."""
        side = 1.0 if rng.uniform() < 0.5 else -1.0
        amount = float(rng.uniform(0.85, 1.15))
        zones = []
        for comb, lowest, share in self.zones:
            x, y, z = comb.flow
            length = comb.length_m * (1.0 if comb.cut_y_m else amount)
            changed = replace(comb, flow=(side * x, y, z), part_x_m=side * comb.part_x_m, length_m=length)
            zones.append((changed, lowest, share))
        return replace(self, zones=tuple(zones))


_SIDES = Comb(0.016, 0.2, 0.25, (0.0, -0.9, -0.5), gravity=2.0, layer_m=0.003, clump=0.15, frizz=0.06)
_TOP = Comb(
    0.055, 0.18, 0.45, (-0.6, 0.0, -0.45), gravity=14.0, layer_m=0.016, wave_m=0.0018, wave_length_m=0.06, clump=0.5
)
_CROP = Comb(0.024, 0.2, 0.5, (0.0, -0.2, 0.5), gravity=3.0, layer_m=0.008, frizz=0.12)
_CURLS = Comb(
    0.075,
    0.2,
    0.8,
    (0.0, 0.1, 0.0),
    gravity=5.0,
    stiffness=0.7,
    layer_m=0.035,
    wave_m=0.0065,
    wave_length_m=0.024,
    clump=0.55,
    frizz=0.25,
)
_BOB = Comb(
    0.24,
    0.1,
    0.4,
    (0.0, -0.35, -0.45),
    part_x_m=0.03,
    part_strength=0.8,
    gravity=9.0,
    layer_m=0.02,
    wave_m=0.003,
    wave_length_m=0.11,
    clump=0.45,
    turn_in=1.2,
    cut_y_m=-0.062,
)
_LONG = Comb(
    0.38,
    0.14,
    0.12,
    (0.0, -0.5, -0.3),
    part_x_m=0.01,
    part_strength=0.7,
    gravity=16.0,
    layer_m=0.016,
    wave_m=0.005,
    wave_length_m=0.10,
    clump=0.6,
)
_TIED = Comb(
    0.36,
    0.1,
    0.1,
    (0.0, 0.0, 0.0),
    gravity=0.0,
    stiffness=0.35,
    layer_m=0.006,
    clump=0.25,
    frizz=0.03,
    tie=(0.0, 0.045, -0.135),
)
_BUZZ = Comb(0.005, 0.3, 0.7, (0.0, -0.4, 0.3), gravity=0.0, layer_m=0.002, clump=0.0, frizz=0.2)

HAIR_STYLES: Mapping[str, HairStyle] = MappingProxyType(
    {
        style.name: style
        for style in (
            HairStyle("side part", ((_SIDES, 0.0, 0.45), (_TOP, 0.03, 0.55)), 9000, 9, 0.0011),
            HairStyle("crop", ((_SIDES, 0.0, 0.4), (_CROP, 0.025, 0.6)), 9000, 7, 0.0010),
            HairStyle("curly", ((_CURLS, 0.0, 1.0),), 5200, 22, 0.0013),
            HairStyle("bob", ((_BOB, 0.0, 1.0),), 6500, 16, 0.0014),
            HairStyle("long", ((_LONG, 0.0, 1.0),), 6500, 22, 0.0015),
            HairStyle("tied", ((_TIED, 0.0, 1.0),), 7000, 24, 0.0013),
            HairStyle("buzz", ((_BUZZ, 0.0, 1.0),), 14000, 3, 0.0007, 0.55, 0.006),
            HairStyle("bald", (), 0, 2, 0.001, 0.06),
        )
    }
)
"""Haircuts by name."""
