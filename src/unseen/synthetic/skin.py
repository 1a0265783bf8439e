"""Skin as a texture: pigment and blood, lips, freckles, stubble, painted in the space of the template."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

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
class Canvas:
    """The texture of a head model: N painted texels and the features of the face at each; made once per model.

    Attributes:
        features: where things are on the face.
        points: template position of each painted texel, [N, 3].
        mouth: 1 inside the mouth, 0 outside, [N].
        texel: painted texel that each place of the square shows, the nearest one between charts, [R, R].
    """

    features: FaceFeatures
    points: Float[np.ndarray, "N 3"]
    mouth: Float[np.ndarray, "N"]
    texel: Int[np.ndarray, "R R"]

    @classmethod
    def of(cls, model: HeadModel, features: FaceFeatures, resolution: int) -> Canvas:
        """Canvas of a model.

        Raises:
            InputError: the model has no texture coordinates.
        """
        if model.uvs is None or model.uv_faces is None:
            raise InputError(f"head model {model.variant!r} has no texture coordinates: synthetic subjects need them")
        uv = model.uvs.double().numpy()
        q = np.stack([uv[:, 0] * resolution, (1 - uv[:, 1]) * resolution, np.ones(len(uv))], 1)
        charts = model.uv_faces.numpy().astype(np.int32)
        ids, bary, _ = draw(np.ascontiguousarray(q), charts, resolution, resolution, 0.01, False)
        number = np.cumsum(ids >= 0).reshape(ids.shape) - 1
        row, column = distance_transform_edt(ids < 0, return_distances=False, return_indices=True)
        corners, weights = model.faces.numpy()[ids[ids >= 0]], bary[ids >= 0].astype(np.float64)
        inside = np.zeros(model.num_vertices)
        inside[model.regions["mouth_interior"].numpy()] = 1.0
        points = (model.v_template.double().numpy()[corners] * weights[..., None]).sum(1)
        return cls(features, points, (inside[corners] * weights).sum(1), number[row, column])

    @cached_property
    def lips(self) -> Float[np.ndarray, "N"]:
        """1 on the vermilion."""
        return self.features.lips(self.points)

    @cached_property
    def brows(self) -> Float[np.ndarray, "N"]:
        """1 within the eyebrows."""
        return self.features.brows(self.points, 0.0028)

    @cached_property
    def beard(self) -> Float[np.ndarray, "N"]:
        """1 where a full beard grows."""
        return self.features.beard(self.points)

    @cached_property
    def lid_distance(self) -> Float[np.ndarray, "N"]:
        """Metres from the nearer lid margin."""
        return np.abs(self.features.lid_distance(self.points))

    @cached_property
    def under_eyes(self) -> Float[np.ndarray, "N"]:
        """1 below the eyes."""
        return np.clip(self.features.near(self.points, UNDER_EYES, 0.007), 0, 1)

    @cached_property
    def shine(self) -> Float[np.ndarray, "N"]:
        """1 on nose, forehead and cheekbones."""
        return np.clip(self.features.near(self.points, (NOSE_TIP, 9, 151, *CHEEKS), 0.014), 0, 1)

    @cached_property
    def flush(self) -> Float[np.ndarray, "N"]:
        """How much blood shows: cheeks, nose, chin, lids, ears."""
        p, near = self.points, self.features.near
        ear = self.features.marks[454]
        flush = 0.9 * near(p, CHEEKS, 0.017) + 0.9 * near(p, (NOSE_TIP, 64, 294), 0.009)
        flush += 0.35 * near(p, (CHIN,), 0.013) + 0.5 * np.exp(-self.lid_distance / 0.004)
        ears = smoothstep(0.001, 0.012, np.abs(p[:, 0]) - np.abs(ear[0])) * (np.abs(p[:, 1] - ear[1]) < 0.05)
        return 0.25 + np.clip(flush, 0, 1.2) + 0.8 * ears


def paint(
    skin: Skin,
    canvas: Canvas,
    hair_color: Float[np.ndarray, "3"],
    scalp_cover: float,
    brow_cover: float,
    recede_m: float,
) -> Float[np.ndarray, "R R 5"]:
    """Texture of linear RGB, roughness and specular scale.

    Args:
        skin: recipe.
        canvas: of the head model.
        hair_color: linear RGB of hair roots, shows through on the scalp, under brows and as stubble.
        scalp_cover, brow_cover: how densely roots darken scalp and brows, 0..1.
        recede_m: how far the hairline is drawn back.
    """
    p, seed = canvas.points, skin.seed
    mottle = fractal_noise(p, 60.0, 4, 0.6, seed) * 0.06 + fractal_noise(p, 420.0, 3, 0.7, seed + 9) * 0.05
    blood = skin.blood * canvas.flush * (1 + 0.7 * fractal_noise(p, 38.0, 4, 0.6, seed + 3))
    color = skin.base * np.exp(mottle[:, None] - blood[:, None] * np.array([0.02, 0.30, 0.26]))
    color *= 1 - 0.45 * np.exp(-canvas.lid_distance / 0.0018)[:, None] * [0.7, 1.0, 0.9]
    color *= 1 - 0.13 * canvas.under_eyes[:, None] * [1.0, 0.95, 0.6]
    color = _lips(skin, canvas, _specks(skin, p, color))
    color = _roots(skin, canvas, color, hair_color, scalp_cover, brow_cover, recede_m)
    inner = np.clip(1.5 * canvas.mouth[:, None] - 0.2, 0, 1)
    color = color * (1 - inner) + inner * np.array([0.26, 0.07, 0.065])
    pores = fractal_noise(p, 700.0, 2, 0.8, seed + 20)
    roughness = np.clip(skin.roughness - 0.04 * canvas.shine + 0.06 * pores - 0.1 * canvas.lips, 0.22, 0.8)
    specular = skin.oiliness * (0.75 + 0.45 * canvas.shine + 0.35 * canvas.lips) * np.clip(1 + 0.5 * pores, 0.3, 2)
    packed = np.concatenate([np.clip(color, 0.004, 0.9), roughness[:, None], specular[:, None]], 1)
    return packed.astype(np.float32)[canvas.texel]


def _specks(skin: Skin, p: np.ndarray, color: np.ndarray) -> np.ndarray:
    freckles = spots(p, 260.0, 0.25 + 0.5 * skin.freckles, skin.seed + 5)
    freckles *= np.clip(0.5 + 2 * fractal_noise(p, 25.0, 2, 0.5, skin.seed + 6), 0, 1)
    moles = spots(p, 22.0, 0.10 + 0.15 * skin.blemishes, skin.seed + 7)
    redness = spots(p, 45.0, 0.35 * skin.blemishes, skin.seed + 8)
    color = color * np.exp(-skin.freckles * freckles[:, None] * [0.35, 0.55, 0.7])
    color = color * np.exp(-0.8 * skin.blemishes * smoothstep(0.5, 0.9, moles)[:, None] * [0.6, 0.9, 1.0])
    return color * np.exp(-0.5 * skin.blemishes * redness[:, None] * [0.02, 0.4, 0.35])


def _lips(skin: Skin, canvas: Canvas, color: np.ndarray) -> np.ndarray:
    creases = fractal_noise(canvas.points * [1.0, 0.12, 0.3], 900.0, 2, 0.6, skin.seed + 11)
    natural = skin.base * np.exp(-np.array([0.10, 0.72, 0.55]) * skin.blood**0.5)
    tone = natural * (1 - skin.lip_strength) + np.array(skin.lip_color) * skin.lip_strength
    share = 0.85 * canvas.lips[:, None]
    return color * (1 - share) + share * tone * np.exp(0.12 * creases)[:, None]


def _roots(
    skin: Skin,
    canvas: Canvas,
    color: np.ndarray,
    hair_color: np.ndarray,
    scalp_cover: float,
    brow_cover: float,
    recede_m: float,
) -> np.ndarray:
    p = canvas.points
    grain = 0.75 + 0.9 * fractal_noise(p, 1100.0, 2, 0.8, skin.seed + 14)
    wander = 0.006 * fractal_noise(p, 70.0, 3, 0.6, skin.seed + 15)
    scalp = scalp_cover * smoothstep(-0.004, 0.012, canvas.features.hairline(p, recede_m) + wander)
    brows = brow_cover * canvas.brows * np.clip(0.4 + 0.6 * grain, 0, 1)
    beard = 0.55 * skin.stubble * canvas.beard * np.clip(grain, 0, 1)
    share = np.clip(1 - (1 - scalp) * (1 - brows) * (1 - beard), 0, 0.97)[:, None]
    return color * (1 - share) + share * hair_color * [1.0, 1.0, 1.05]
