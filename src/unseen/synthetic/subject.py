"""Who is filmed: a seeded recipe of face, skin, eyes, hair and clothes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unseen.head.model import HeadModel
from unseen.head.procedural import SHAPE_NAMES, procedural_head
from unseen.synthetic.garment import GarmentStyle
from unseen.synthetic.skin import Skin
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


def hair_styles(rng: np.random.Generator) -> dict[str, HairStyle]:
    """One variant of each haircut."""
    side = 1.0 if rng.uniform() < 0.5 else -1.0
    part = side * float(rng.uniform(0.02, 0.04))
    amount = float(rng.uniform(0.85, 1.15))
    sides = Comb(0.016 * amount, 0.2, 0.25, (0.0, -0.9, -0.5), gravity=2.0, layer_m=0.003, clump=0.15, frizz=0.06)
    top = Comb(
        0.055 * amount,
        0.18,
        0.45,
        (-side * 0.6, 0.0, -0.45),
        gravity=14.0,
        layer_m=0.016,
        wave_m=0.0018,
        wave_length_m=0.06,
        clump=0.5,
    )
    crop = Comb(0.024 * amount, 0.2, 0.5, (0.0, -0.2, 0.5), gravity=3.0, layer_m=0.008, clump=0.4, frizz=0.12)
    curls = Comb(
        0.075 * amount,
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
    bob = Comb(
        0.24,
        0.1,
        0.4,
        (0.0, -0.35, -0.12),
        part_x_m=part,
        part_strength=0.9,
        gravity=9.0,
        layer_m=0.02,
        wave_m=0.003,
        wave_length_m=0.11,
        clump=0.45,
        turn_in=1.2,
        cut_y_m=-0.062,
    )
    long = Comb(
        0.38 * amount,
        0.14,
        0.12,
        (0.0, -0.5, -0.3),
        part_x_m=0.3 * part,
        part_strength=0.7,
        gravity=16.0,
        layer_m=0.016,
        wave_m=0.005,
        wave_length_m=0.10,
        clump=0.6,
    )
    tied = Comb(
        0.36 * amount,
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
    buzz = Comb(0.005, 0.3, 0.7, (0.0, -0.4, 0.3), gravity=0.0, layer_m=0.002, clump=0.0, frizz=0.2)
    styles = (
        HairStyle("side part", ((sides, 0.0, 0.45), (top, 0.03, 0.55)), 9000, 9, 0.0011),
        HairStyle("crop", ((sides, 0.0, 0.4), (crop, 0.025, 0.6)), 9000, 7, 0.0010),
        HairStyle("curly", ((curls, 0.0, 1.0),), 5200, 22, 0.0013),
        HairStyle("bob", ((bob, 0.0, 1.0),), 6500, 16, 0.0014),
        HairStyle("long", ((long, 0.0, 1.0),), 6500, 22, 0.0015),
        HairStyle("tied", ((tied, 0.0, 1.0),), 7000, 24, 0.0013),
        HairStyle("buzz", ((buzz, 0.0, 1.0),), 14000, 3, 0.0007, 0.55, float(rng.uniform(0.0, 0.012))),
        HairStyle("bald", (), 0, 2, 0.001, 0.06, 0.0),
    )
    return {style.name: style for style in styles}


@dataclass(frozen=True)
class SyntheticSubject:
    """One invented person; everything that is needed to build them is in these fields.

    Attributes:
        seed: of the fine randomness (roots of hairs, noise).
        shape: identity coefficients of the procedural head, [S].
        skin, hair, garment: recipes.
        hair_color: linear RGB of root and tip; brow_color likewise.
        brow_density, beard: 0..1; beard_length_m: of beard hairs.
        iris: linear RGB near the pupil and near the rim.
        pupil_share: radius of the pupil as part of the iris's.
        lashes_m: length of the upper lashes.
    """

    seed: int
    shape: Float[Tensor, "S"]
    skin: Skin
    hair: HairStyle
    hair_color: tuple[RGB, RGB]
    brow_color: tuple[RGB, RGB]
    brow_density: float
    beard: float
    beard_length_m: float
    iris: tuple[RGB, RGB]
    pupil_share: float
    lashes_m: float
    garment: GarmentStyle

    @classmethod
    def sample(cls, seed: int, model: HeadModel | None = None, *, hair: str | None = None) -> SyntheticSubject:
        """A random person; equal seeds give equal people.

        Args:
            seed: any non-negative integer.
            model: head model whose number of shape coefficients to fill; the procedural head when None.
            hair: name of a haircut of `hair_styles`, random when None.
        """
        model = procedural_head() if model is None else model
        rng = np.random.default_rng([seed, 0x5EED])
        shape = np.clip(rng.normal(scale=0.8, size=model.num_shape), -2.0, 2.0)
        masculine = rng.uniform() < 0.5
        if model.num_shape == len(SHAPE_NAMES):
            shape[SHAPE_NAMES.index("sex")] = (1.0 if masculine else -1.0) * rng.uniform(0.3, 1.6)
        melanin = float(rng.beta(1.3, 1.5))
        names = list(HAIR_COLORS)
        odds = (
            np.array([0.22, 0.24, 0.2, 0.08, 0.05, 0.1, 0.07, 0.04]) if melanin < 0.45 else np.eye(8)[0] * 0.75 + 0.03
        )
        color = HAIR_COLORS[names[int(rng.choice(len(names), p=odds / odds.sum()))]]
        styles = hair_styles(rng)
        likely = {"side part": 3, "crop": 3, "curly": 2, "buzz": 2, "bald": 1} if masculine else {}
        likely = likely or {"bob": 3, "long": 4, "tied": 3, "curly": 2, "crop": 0.5}
        weights = np.array(list(likely.values()), float)
        drawn = list(likely)[int(rng.choice(len(likely), p=weights / weights.sum()))]
        dark = tuple(tuple(0.6 * c for c in end) for end in color)
        irises = list(IRIS_COLORS)[:2] if melanin > 0.5 else list(IRIS_COLORS)
        beard = float(rng.uniform(0.3, 1.0)) if masculine and rng.uniform() < 0.4 else 0.0
        return cls(
            seed=seed,
            shape=torch.from_numpy(shape).to(model.dtype),
            skin=_random_skin(rng, seed, melanin, masculine),
            hair=styles[hair or drawn],
            hair_color=color,
            brow_color=dark,  # type: ignore[arg-type]
            brow_density=float(rng.uniform(0.6, 1.0) if masculine else rng.uniform(0.4, 0.8)),
            beard=beard,
            beard_length_m=float(rng.uniform(0.004, 0.022)),
            iris=IRIS_COLORS[irises[int(rng.integers(len(irises)))]],
            pupil_share=float(rng.uniform(0.3, 0.5)),
            lashes_m=0.005 if masculine else float(rng.uniform(0.0055, 0.0075)),
            garment=_random_garment(rng),
        )


def _random_skin(rng: np.random.Generator, seed: int, melanin: float, masculine: bool) -> Skin:
    lip = np.array([0.42, 0.09, 0.085]) * rng.uniform(0.5, 1.1) * np.exp(-0.9 * melanin)
    return Skin(
        melanin=melanin,
        blood=float(rng.uniform(0.6, 1.3)),
        freckles=float(max(0.0, rng.normal(0.0, 0.35))) * (1 - melanin),
        blemishes=float(rng.uniform(0.0, 0.6)),
        stubble=float(rng.uniform(0.1, 0.8)) if masculine else 0.0,
        lip_color=(float(lip[0]), float(lip[1]), float(lip[2])),
        lip_strength=0.0 if masculine else float(rng.uniform(0.0, 0.7)),
        roughness=float(rng.uniform(0.5, 0.6)),
        oiliness=float(rng.uniform(0.6, 1.2)),
        seed=seed,
    )


def _random_garment(rng: np.random.Generator) -> GarmentStyle:
    def color() -> RGB:
        hue, value = rng.uniform(0, 2 * np.pi), rng.uniform(0.02, 0.35)
        tint = 1 + rng.uniform(0, 0.55) * np.cos(hue + np.array([0.0, 2.1, 4.2]))
        return tuple(float(c) for c in np.clip(value * tint, 0.01, 0.8))  # type: ignore[return-value]

    kind = int(rng.integers(4))  # crew neck, V neck, turtleneck, wide neck
    return GarmentStyle(
        height=(0.55, 0.5, 1.55, 0.25)[kind] + float(rng.normal(scale=0.05)),
        front_drop_m=(0.022, 0.06, 0.004, 0.04)[kind],
        v_shape=(0.0, 0.9, 0.0, 0.0)[kind],
        thickness_m=float(rng.uniform(0.002, 0.004)),
        collar_m=(0.0018, 0.0012, 0.004, 0.001)[kind],
        collar_width_m=(0.016, 0.012, 0.05, 0.008)[kind],
        folds_m=float(rng.uniform(0.003, 0.007)),
        pattern=int(rng.choice(4, p=[0.5, 0.2, 0.12, 0.18])),
        size_m=float(rng.uniform(0.02, 0.045)),
        colors=(color(), color()),
    )
