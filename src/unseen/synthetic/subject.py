"""Who is filmed: a seeded recipe of face, skin, eyes, hair and clothes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unseen.head.model import HeadModel
from unseen.head.procedural import SHAPE_NAMES, procedural_head
from unseen.synthetic.garment import GarmentStyle
from unseen.synthetic.hairstyles import HAIR_COLORS, HAIR_STYLES, IRIS_COLORS, RGB, HairStyle
from unseen.synthetic.skin import Skin

_MASCULINE = {"side part": 3.0, "crop": 3.0, "curly": 2.0, "buzz": 2.0, "bald": 1.0}
_PALE_HAIR, _DARK_HAIR = (
    (0.22, 0.24, 0.2, 0.08, 0.05, 0.1, 0.07, 0.04),
    (0.75, 0.15, 0.03, 0.01, 0.01, 0.01, 0.01, 0.03),
)
_FEMININE = {"bob": 3.0, "long": 4.0, "tied": 3.0, "curly": 2.0, "crop": 0.5}


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
            hair: name of a haircut of `HAIR_STYLES`, random when None.
        """
        model = procedural_head() if model is None else model
        rng = np.random.default_rng([seed, 0x5EED])
        shape = np.clip(rng.normal(scale=0.8, size=model.num_shape), -2.0, 2.0)
        masculine = rng.uniform() < 0.5
        if model.num_shape == len(SHAPE_NAMES):
            shape[SHAPE_NAMES.index("sex")] = (1.0 if masculine else -1.0) * rng.uniform(0.3, 1.6)
        melanin = float(rng.beta(1.3, 1.5))
        names = list(HAIR_COLORS)
        odds = _PALE_HAIR if melanin < 0.45 else _DARK_HAIR
        color = HAIR_COLORS[names[int(rng.choice(len(names), p=odds))]]
        cuts = _MASCULINE if masculine else _FEMININE
        drawn = list(cuts)[int(rng.choice(len(cuts), p=np.array(list(cuts.values())) / sum(cuts.values())))]
        style = HAIR_STYLES[hair or drawn].varied(rng)
        dark = tuple(tuple(0.6 * c for c in end) for end in color)
        irises = list(IRIS_COLORS)[:2] if melanin > 0.5 else list(IRIS_COLORS)
        beard = float(rng.uniform(0.3, 1.0)) if masculine and rng.uniform() < 0.4 else 0.0
        return cls(
            seed=seed,
            shape=torch.from_numpy(shape).to(model.dtype),
            skin=_random_skin(rng, seed, melanin, masculine),
            hair=style,
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
