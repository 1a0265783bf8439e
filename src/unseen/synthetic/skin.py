"""Skin as a texture: pigment and blood, lips, freckles, stubble, painted in the space of the template."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.ndimage import distance_transform_edt

from unseen.core.errors import InputError
from unseen.head.model import HeadModel
from unseen.render.mesh.rasterize import draw
from unseen.synthetic.features import CHEEKS, CHIN, NOSE_TIP, UNDER_EYES, FaceFeatures, smoothstep
from unseen.synthetic.noise import fractal_noise, spots

_LIGHTEST, _TANNED, _DARKEST = (np.array(c) for c in ([0.62, 0.40, 0.30], [0.38, 0.205, 0.125], [0.085, 0.042, 0.026]))


@dataclass(frozen=True)
class Skin:
    """How a subject's skin looks.

    Attributes:
        melanin: 0 palest to 1 darkest.
        blood: strength of the reddish parts (cheeks, nose, ears, lips), about 1.
        freckles, blemishes, stubble: 0 none to 1 many.
        lip_color: linear RGB mixed into the lips, [3]; lip_strength how much of it (make-up), 0..1.
        roughness: of the surface, about 0.45; oiliness: strength of the gloss, about 1.
        seed: of the noise.
    """

    melanin: float
    blood: float
    freckles: float
    blemishes: float
    stubble: float
    lip_color: tuple[float, float, float]
    lip_strength: float
    roughness: float
    oiliness: float
    seed: int

    @property
    def base(self) -> Float[np.ndarray, "3"]:
        """Linear RGB of the forehead."""
        t = self.melanin * 2
        return _LIGHTEST ** (1 - t) * _TANNED**t if t < 1 else _TANNED ** (2 - t) * _DARKEST ** (t - 1)


@dataclass(frozen=True)
class Atlas:
    """Where each texel of a head's texture lies on its template; empty texels repeat their nearest filled one.

    Attributes:
        points: template positions, [R, R, 3].
        faces: face of each texel, [R, R]; bary: its place there, [R, R, 3].
    """

    points: Float[np.ndarray, "R R 3"]
    faces: Int[np.ndarray, "R R"]
    bary: Float[np.ndarray, "R R 3"]

    @classmethod
    def of(cls, model: HeadModel, resolution: int) -> Atlas:
        """Atlas of a model.

        Raises:
            InputError: the model has no texture coordinates.
        """
        if model.uvs is None or model.uv_faces is None:
            raise InputError(f"head model {model.variant!r} has no texture coordinates: synthetic subjects need them")
        uv = model.uvs.double().numpy()
        q = np.stack([uv[:, 0] * resolution, (1 - uv[:, 1]) * resolution, np.ones(len(uv))], 1)
        charts = model.uv_faces.numpy().astype(np.int32)
        ids, bary, _ = draw(np.ascontiguousarray(q), charts, resolution, resolution, 0.01, False)
        row, column = distance_transform_edt(ids < 0, return_distances=False, return_indices=True)
        ids, bary = ids[row, column], bary[row, column]
        corners = model.v_template.double().numpy()[model.faces.numpy()[ids]]
        return cls((corners * bary[..., None]).sum(2), ids, bary)

    def carry(self, per_vertex: Float[np.ndarray, "V"], faces: Int[np.ndarray, "F 3"]) -> Float[np.ndarray, "R R"]:
        """A per-vertex quantity at every texel."""
        return (per_vertex[faces[self.faces]] * self.bary).sum(-1)


def paint(
    skin: Skin,
    features: FaceFeatures,
    points: Float[np.ndarray, "R R 3"],
    mouth: Float[np.ndarray, "R R"],
    hair_color: Float[np.ndarray, "3"],
    scalp_cover: float,
    brow_cover: float,
    recede_m: float,
) -> Float[np.ndarray, "R R 5"]:
    """Texture of linear RGB, roughness and specular scale at template positions.

    Args:
        skin: recipe.
        features: of the model the positions belong to.
        points: template position of each texel.
        mouth: 1 inside the mouth, 0 outside.
        hair_color: linear RGB of hair roots, shows through on the scalp, under brows and as stubble.
        scalp_cover, brow_cover: how densely roots darken scalp and brows, 0..1.
        recede_m: how far the hairline is drawn back.
    """
    p = points.reshape(-1, 3)
    blood = _blood(skin, features, p)
    mottle = fractal_noise(p, 60.0, 4, 0.6, skin.seed) * 0.06 + fractal_noise(p, 420.0, 3, 0.7, skin.seed + 9) * 0.05
    color = skin.base * np.exp(mottle)[:, None]
    color = color * np.exp(-blood[:, None] * np.array([0.02, 0.30, 0.26]))
    lines = np.exp(-np.abs(features.lid_distance(p)) / 0.0022)
    color *= 1 - 0.35 * lines[:, None] * [0.7, 1.0, 0.9]
    under = np.clip(features.near(p, UNDER_EYES, 0.007), 0, 1)[:, None]
    color *= 1 - 0.13 * under * [1.0, 0.95, 0.6]
    color = _specks(skin, p, color)
    color, lips = _lips(skin, features, p, color)
    color = _roots(skin, features, p, color, hair_color, scalp_cover, brow_cover, recede_m)
    inner = np.clip(1.5 * mouth.reshape(-1, 1) - 0.2, 0, 1)
    color = color * (1 - inner) + inner * np.array([0.26, 0.07, 0.065])
    shine = features.near(p, (NOSE_TIP, 9, 151, *CHEEKS), 0.014)
    pores = fractal_noise(p, 700.0, 2, 0.8, skin.seed + 20)
    roughness = np.clip(skin.roughness - 0.04 * np.clip(shine, 0, 1) + 0.06 * pores - 0.1 * lips, 0.22, 0.8)
    specular = skin.oiliness * (0.75 + 0.45 * np.clip(shine, 0, 1) + 0.35 * lips) * np.clip(1 + 0.5 * pores, 0.3, 2)
    packed = np.concatenate([np.clip(color, 0.004, 0.9), roughness[:, None], specular[:, None]], 1)
    return packed.reshape(*points.shape[:2], 5).astype(np.float32)


def _blood(skin: Skin, features: FaceFeatures, p: np.ndarray) -> np.ndarray:
    marks = features.marks
    flush = 0.9 * features.near(p, CHEEKS, 0.017) + 0.9 * features.near(p, (NOSE_TIP, 64, 294), 0.009)
    flush += 0.35 * features.near(p, (CHIN,), 0.013) + 0.5 * np.exp(-np.abs(features.lid_distance(p)) / 0.004)
    ears = smoothstep(0.001, 0.012, np.abs(p[:, 0]) - np.abs(marks[454, 0])) * (np.abs(p[:, 1] - marks[454, 1]) < 0.05)
    patches = fractal_noise(p, 38.0, 4, 0.6, skin.seed + 3)
    return skin.blood * (0.25 + np.clip(flush, 0, 1.2) + 0.8 * ears) * (1 + 0.7 * patches)


def _specks(skin: Skin, p: np.ndarray, color: np.ndarray) -> np.ndarray:
    freckles = spots(p, 260.0, 0.25 + 0.5 * skin.freckles, skin.seed + 5)
    freckles *= np.clip(0.5 + 2 * fractal_noise(p, 25.0, 2, 0.5, skin.seed + 6), 0, 1)
    moles = spots(p, 22.0, 0.10 + 0.15 * skin.blemishes, skin.seed + 7)
    redness = spots(p, 45.0, 0.35 * skin.blemishes, skin.seed + 8)
    color = color * np.exp(-skin.freckles * freckles[:, None] * [0.35, 0.55, 0.7])
    color = color * np.exp(-0.8 * skin.blemishes * smoothstep(0.5, 0.9, moles)[:, None] * [0.6, 0.9, 1.0])
    return color * np.exp(-0.5 * skin.blemishes * redness[:, None] * [0.02, 0.4, 0.35])


def _lips(skin: Skin, features: FaceFeatures, p: np.ndarray, color: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lips = features.lips(p)
    creases = fractal_noise(p * [1.0, 0.12, 0.3], 900.0, 2, 0.6, skin.seed + 11)
    natural = skin.base * np.exp(-np.array([0.10, 0.72, 0.55]) * skin.blood**0.5)
    tone = natural * (1 - skin.lip_strength) + np.array(skin.lip_color) * skin.lip_strength
    tone = tone * np.exp(0.12 * creases)[:, None]
    return color * (1 - 0.85 * lips[:, None]) + 0.85 * lips[:, None] * tone, lips


def _roots(
    skin: Skin,
    features: FaceFeatures,
    p: np.ndarray,
    color: np.ndarray,
    hair_color: np.ndarray,
    scalp_cover: float,
    brow_cover: float,
    recede_m: float,
) -> np.ndarray:
    grain = 0.75 + 0.9 * fractal_noise(p, 1100.0, 2, 0.8, skin.seed + 14)
    wander = 0.006 * fractal_noise(p, 70.0, 3, 0.6, skin.seed + 15)
    scalp = scalp_cover * smoothstep(-0.004, 0.012, features.hairline(p, recede_m) + wander)
    brows = brow_cover * features.brows(p, 0.0028) * np.clip(0.4 + 0.6 * grain, 0, 1)
    beard = 0.55 * skin.stubble * features.beard(p) * np.clip(grain, 0, 1)
    share = np.clip(1 - (1 - scalp) * (1 - brows) * (1 - beard), 0, 0.97)[:, None]
    return color * (1 - share) + share * hair_color * [1.0, 1.0, 1.05]
