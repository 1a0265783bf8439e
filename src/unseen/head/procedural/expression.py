"""Expression directions: what the muscles of the face do, each from rest (0) to full (1). Jaw and eyes turn on joints.

Named after the facial blend shapes in common use on phones and in film; "left" is the person's left.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from unseen.head.procedural.anatomy import LID_RIM
from unseen.head.procedural.fields import Fields
from unseen.head.procedural.parts import EYE_RADIUS

Direction = Callable[[Fields], np.ndarray]
LID_GAP = 0.8  # mm between the eyeball and the outer edge of a closed lid


def _lid_slide(f: Fields, degrees: float, upper: bool, amounts: tuple[float, ...]) -> np.ndarray:
    """Left lid turned about the eye's horizontal axis; positive degrees move it down."""
    center = tuple(f.points[f.head.part("left_eyeball")].mean(0))
    return f.turn(f.lid(amounts, upper), center, (1.0, 0.0, 0.0), degrees)


def _mouth(f: Fields, center: tuple[float, float, float], radius: tuple[float, float, float]) -> np.ndarray:
    return f.near(center, radius) * f.skin


def _upper(f: Fields, weight: np.ndarray) -> np.ndarray:
    return weight * (1.0 - f.lower_lip)


def _lower(f: Fields, weight: np.ndarray) -> np.ndarray:
    return weight * f.lower_lip


def _smile(f: Fields) -> np.ndarray:
    corner = f.along(_mouth(f, (24, -30, 78), (13, 13, 18)), 6.5, 6.2, -4.0)
    cheek = f.along(_mouth(f, (38, 2, 74), (14, 12, 18)), 0.6, 3.4, 1.8)
    lips = f.along(_mouth(f, (11, -31, 86), (9, 8, 14)), 2.0, 0.6, -1.8)
    return corner + cheek + lips


def _frown(f: Fields) -> np.ndarray:
    return f.along(_mouth(f, (24, -33, 78), (11, 11, 16)), 1.2, -6.5, -0.8) + f.along(
        _mouth(f, (24, -50, 74), (12, 10, 16)), 0.4, -2.0, 0.6
    )


def _dimple(f: Fields) -> np.ndarray:
    return f.along(_mouth(f, (24, -31, 78), (10, 9, 14)), 4.2, 1.2, -4.2)


def _stretch(f: Fields) -> np.ndarray:
    lips = f.along(_mouth(f, (23, -34, 78), (13, 13, 18)), 6.5, -2.2, -3.6)
    return lips + f.along(_mouth(f, (30, -90, 20), (20, 24, 22)), 1.5, -1.5, 1.5)


def _press(f: Fields) -> np.ndarray:
    weight = _mouth(f, (14, -31.5, 84), (12, 6.0, 14))
    return f.along(_upper(f, weight), 0.6, -1.3, -1.0) + f.along(_lower(f, weight), 0.6, 1.4, -1.0)


def _upper_up(f: Fields) -> np.ndarray:
    lip = f.along(_upper(f, _mouth(f, (9, -26, 90), (9, 9, 14))), 0.3, 4.8, 0.9)
    return lip + f.along(_mouth(f, (20, -8, 84), (8, 9, 12)), 0.3, 1.6, 0.8)


def _lower_down(f: Fields) -> np.ndarray:
    return f.along(_lower(f, _mouth(f, (10, -37, 88), (10, 11, 14))), 0.6, -5.0, 0.6)


def _cheek_puff(f: Fields) -> np.ndarray:
    return f.swell(_mouth(f, (38, -26, 68), (13, 15, 20)), 8.0) + f.along(
        _mouth(f, (16, -31, 86), (9, 11, 12)), 0, 0, 1.6
    )


def _cheek_squint(f: Fields) -> np.ndarray:
    lid = _lid_slide(f, -5.0, False, (1.0, 0.95, 0.8, 0.6, 0.4, 0.2, 0.1))
    return lid + f.along(_mouth(f, (34, 8, 76), (13, 8.5, 16)), 0.2, 3.8, 1.6)


def _squint(f: Fields) -> np.ndarray:
    lower = _lid_slide(f, -9.0, False, (1.0, 0.9, 0.7, 0.5, 0.3, 0.15))
    upper = _lid_slide(f, 5.0, True, (1.0, 0.9, 0.7, 0.5, 0.3, 0.1))
    return lower + upper + f.along(_mouth(f, (46, 26, 66), (8, 9, 12)), -0.8, 0.0, 0.6)


def _sneer(f: Fields) -> np.ndarray:
    wing = f.along(_mouth(f, (14, -1, 90), (8, 9, 12)), 0.8, 3.2, 0.3)
    lip = f.along(_upper(f, _mouth(f, (14, -20, 88), (9, 9, 12))), 0.2, 2.6, 0.4)
    return wing + lip + f.along(_mouth(f, (9, 20, 88), (7, 12, 12)), 0.6, 1.4, 1.0)


def _brow_down(f: Fields) -> np.ndarray:
    return f.along(_mouth(f, (18, 46, 88), (14, 9.5, 16)), -2.4, -5.4, 1.5) + f.along(
        _mouth(f, (38, 47, 80), (12, 9, 16)), -0.6, -2.6, 0.6
    )


def _brow_inner(f: Fields) -> np.ndarray:
    return f.along(_mouth(f, (13, 53, 88), (12, 13, 18)), -0.6, 6.5, 0.3)


def _brow_outer(f: Fields) -> np.ndarray:
    return f.along(_mouth(f, (42, 53, 76), (15, 13, 20)), 0.5, 6.8, -0.6)


def _nostril(f: Fields) -> np.ndarray:
    return f.along(_mouth(f, (14, -4, 90), (6.5, 6.5, 9)), 2.2, 0.6, 0.3)


SIDED: dict[str, Direction] = {
    "brow_inner_up": _brow_inner,
    "brow_outer_up": _brow_outer,
    "brow_down": _brow_down,
    "eye_wide": lambda f: _lid_slide(f, -9.0, True, (1.0, 0.95, 0.75, 0.5, 0.3, 0.1)),
    "eye_squint": _squint,
    "lid_look_down": lambda f: (
        _lid_slide(f, 17.0, True, (1.0, 0.92, 0.6, 0.3, 0.1)) + _lid_slide(f, 7.0, False, (1.0, 0.9, 0.6, 0.35, 0.15))
    ),
    "lid_look_up": lambda f: (
        _lid_slide(f, -8.0, True, (1.0, 0.95, 0.75, 0.4, 0.15)) + _lid_slide(f, -5.0, False, (1.0, 0.9, 0.6, 0.3, 0.1))
    ),
    "cheek_puff": _cheek_puff,
    "cheek_squint": _cheek_squint,
    "nose_sneer": _sneer,
    "nostril_flare": _nostril,
    "mouth_smile": _smile,
    "mouth_frown": _frown,
    "mouth_dimple": _dimple,
    "mouth_stretch": _stretch,
    "mouth_press": _press,
    "mouth_upper_up": _upper_up,
    "mouth_lower_down": _lower_down,
}


def _pucker(f: Fields) -> np.ndarray:
    weight = _mouth(f, (0, -31.5, 84), (24, 12, 18))
    pull = np.stack([-0.42 * f.points[:, 0], -0.12 * (f.points[:, 1] + 31.5), 0 * weight], -1) * weight[:, None]
    return pull + f.along(_mouth(f, (0, -31.5, 90), (14, 11, 14)), 0, 0, 5.5)


def _funnel(f: Fields) -> np.ndarray:
    weight = _mouth(f, (0, -31.5, 86), (20, 10, 16))
    lips = _upper(f, weight)[:, None] * [0, 3.4, 4.6] + _lower(f, weight)[:, None] * [0, -3.6, 4.4]
    return lips + np.stack([-0.28 * f.points[:, 0] * weight, 0 * weight, 0 * weight], -1)


def _roll(f: Fields, upper: bool) -> np.ndarray:
    weight = _mouth(f, (0, -31.5, 89), (18, 6.5, 12))
    weight = _upper(f, weight) if upper else _lower(f, weight)
    return f.along(weight, 0, -2.2 if upper else 2.4, -3.0)


def _shift(f: Fields, x: float) -> np.ndarray:
    lips = f.along(_mouth(f, (0, -31.5, 84), (24, 14, 20)), x, 0, 0)
    return lips + f.along(_mouth(f, (-np.sign(x) * 22, -31, 78), (12, 12, 16)), 0, 0, 1.0)


def _jaw(f: Fields, x: float, y: float, z: float) -> np.ndarray:
    return f.along(f.lower_lip * f.ramp(2, -30.0, 60.0), x, y, z)


def _close(f: Fields) -> np.ndarray:
    weight = _mouth(f, (0, -31.5, 86), (26, 11, 18))
    return f.along(_lower(f, weight), 0, 7.0, 1.0) + f.along(_upper(f, weight), 0, -2.5, 0.4)


CENTRAL: dict[str, Direction] = {
    "mouth_pucker": _pucker,
    "mouth_funnel": _funnel,
    "mouth_roll_upper": lambda f: _roll(f, True),
    "mouth_roll_lower": lambda f: _roll(f, False),
    "mouth_shrug_upper": lambda f: f.along(_upper(f, _mouth(f, (0, -24, 90), (20, 9, 14))), 0, 2.4, 1.4),
    "mouth_shrug_lower": lambda f: (
        f.along(_lower(f, _mouth(f, (0, -40, 88), (22, 13, 18))), 0, 3.4, 1.6)
        + f.along(_mouth(f, (0, -64, 84), (20, 11, 16)), 0, 2.6, 0.4)
    ),
    "mouth_left": lambda f: _shift(f, 6.0),
    "mouth_right": lambda f: _shift(f, -6.0),
    "mouth_close": _close,
    "lips_part": lambda f: (
        f.along(_upper(f, _mouth(f, (0, -28, 90), (16, 7, 14))), 0, 1.6, 0)
        + f.along(_lower(f, _mouth(f, (0, -35, 90), (16, 8, 14))), 0, -2.2, 0)
    ),
    "cheeks_suck": lambda f: f.swell(f.pair((40, -22, 66), (12, 15, 20)) * f.skin, -4.5),
    "jaw_forward": lambda f: _jaw(f, 0, 0, 5.0),
    "jaw_left": lambda f: _jaw(f, 5.0, 0, 0),
    "jaw_right": lambda f: _jaw(f, -5.0, 0, 0),
    "neck_tense": lambda f: f.swell(f.pair((24, -104, 4), (8, 22, 16)) * f.skin, 2.4),
    "swallow": lambda f: f.along(f.near((0, -98, 20), (14, 12, 14)) * f.skin, 0, 4.0, 0.8),
}

NAMES: tuple[str, ...] = (*(f"{name}_{side}" for name in SIDED for side in ("left", "right")), *CENTRAL)


def _finish(f: Fields, direction: np.ndarray, teeth: np.ndarray) -> np.ndarray:
    """Eyeballs and upper teeth stay; the lower teeth and the mouth's floor move with the jaw."""
    out = f.follow_lips(direction, teeth / 2.0)
    for name in ("left_eyeball", "right_eyeball", "upper_teeth"):
        out[f.head.part(name)] = 0.0
    out[f.head.part("lower_teeth")] = teeth
    return out


def expression_directions(f: Fields) -> np.ndarray:
    """Displacement per unit of each expression coefficient, [V, 3, E], millimetres, in the order of NAMES."""
    stack = []
    for make in SIDED.values():
        left = _finish(f, make(f), np.zeros(3))
        stack += [left, f.mirrored(left)]
    for name, make in CENTRAL.items():
        raw = make(f)
        teeth = raw[f.head.part("lower_teeth")].mean(0) if name.startswith("jaw") else np.zeros(3)
        stack.append(_finish(f, raw, teeth))
    return np.stack(stack, -1)


def eyelid_directions(f: Fields) -> np.ndarray:
    """Displacement that closes the left and the right eye at 1, [V, 3, 2], millimetres.

    Upper and lower rim meet on a sphere round the eyeball, three quarters of the way down; the skin above and below is
    drawn along less and less.
    """
    rings = f.head.skin.layout.rings["eye"]
    rim = f.points[rings[LID_RIM]]
    center = f.points[f.head.part("left_eyeball")].mean(0)
    closed = rim.copy()
    upper, lower = rim[1:16], rim[31:16:-1]
    meet = 0.22 * upper + 0.78 * lower
    radius = np.maximum(EYE_RADIUS + LID_GAP, np.linalg.norm((upper + lower) / 2.0 - center, axis=1))
    meet = center + (meet - center) * (radius / np.linalg.norm(meet - center, axis=1))[:, None]
    closed[1:16], closed[31:16:-1] = meet, meet
    left = np.zeros_like(f.points)
    for k, share in enumerate((1.0, 0.9, 0.62, 0.34, 0.14, 0.05)):
        left[rings[LID_RIM - k]] = share * (closed - rim)
    for ring in rings[LID_RIM + 1 :]:  # the inside of the lids slides over the eyeball
        inside = f.points[ring] + closed - rim
        radius = np.linalg.norm(inside - center, axis=1)
        inside = center + (inside - center) * (np.maximum(radius, EYE_RADIUS + 0.4) / radius)[:, None]
        left[ring] = inside - f.points[ring]
    return np.stack([left, f.mirrored(left)], -1)
