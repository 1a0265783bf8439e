"""Identity directions: how heads differ from one another. One unit of a coefficient is one standard deviation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from unseen.head.procedural.fields import Fields

Direction = Callable[[Fields], np.ndarray]


def _head_size(f: Fields) -> np.ndarray:
    return f.scale(np.ones(len(f.points)), (0, -60, -30), 0.022, 0.022, 0.022)


def _width(f: Fields, x: float, low: float, high: float, z: tuple[float, float] | None = None) -> np.ndarray:
    """Widen a band of heights by a fraction."""
    soft = 22.0
    weight = f.ramp(1, low - soft, low + soft) * f.ramp(1, high + soft, high - soft)
    if z is not None:
        weight = weight * f.ramp(2, *z)
    return f.scale(weight * f.neck, (0, 0, 0), x)


def _stretch(f: Fields, low: float, high: float, amount: float, pivot: float = 30.0) -> np.ndarray:
    """Lengthen the head between two heights by `amount` mm; what is beyond moves along, away from the pivot height."""
    y = f.points[:, 1]
    inside = np.clip((y - low) / (high - low), 0.0, 1.0)
    smooth = inside * inside * (3.0 - 2.0 * inside)
    at = np.clip((pivot - low) / (high - low), 0.0, 1.0)
    shift = amount * (smooth - at * at * (3.0 - 2.0 * at))
    return f.along(shift * f.ramp(2, -75.0, 10.0) if high <= 30 else shift, 0, 1, 0)


def _ear(f: Fields) -> np.ndarray:
    """Weight of the ears: zero on the attachment, one outside it."""
    weight = np.zeros(len(f.points))
    rings = f.head.skin.layout.rings["ear"]
    for k, ring in enumerate(rings):
        weight[ring] = min(1.0, k / 3.0)
    weight[f.head.skin.layout.fills["ear"][1:-1, 1:-1]] = 1.0
    return np.maximum(weight, weight[f.head.mirror])


def _ear_turn(f: Fields, degrees: float) -> np.ndarray:
    """Both ears turned outwards about their front edge."""
    left = f.turn(_ear(f) * (f.points[:, 0] > 0), (74.0, 3.0, 4.0), (0.0, 1.0, 0.0), degrees)
    return left + f.mirrored(left)


def _ear_scale(f: Fields, y: float, z: float) -> np.ndarray:
    return f.scale(_ear(f), (0.0, 4.0, -2.0), 0.0, y, z)


def _eye_size(f: Fields) -> np.ndarray:
    weight = f.near((30.5, 29.5, 66.0), (15.0, 9.0, 14.0)) * f.skin
    left = f.scale(weight, (30.5, 29.5, 62.0), 0.04, 0.14, 0.0)
    return left + f.mirrored(left)


def _eye_tilt(f: Fields) -> np.ndarray:
    left = f.turn(f.near((30.5, 30.0, 68.0), (15.0, 11.0, 18.0)) * f.skin, (29.0, 30.0, 0.0), (0.0, 0.0, 1.0), 3.2)
    return left + f.mirrored(left)


def _hood(f: Fields) -> np.ndarray:
    left = f.along(f.lid((0.05, 0.35, 0.9, 1.0, 0.6, 0.25), True), 0.15, -0.85, 0.7)
    return left + f.mirrored(left)


def _nose_turn(f: Fields) -> np.ndarray:
    return f.turn(f.near((0, -2, 102), (14, 11, 14)), (0, 4, 84), (1, 0, 0), -4.6)


def _lips(f: Fields, upper: float, lower: float) -> np.ndarray:
    """Fuller lips: the borders move away from the line between them and the red swells forward."""
    side = f.lower_lip * lower - (1.0 - f.lower_lip) * upper
    amount = f.lower_lip * lower + (1.0 - f.lower_lip) * upper
    border = f.near((0, -31.5, 88), (19, 9, 12)) * (1.0 - np.exp(-(((f.points[:, 1] + 31.2) / 3.0) ** 2)))
    body = f.near((0, -31.5, 90), (17, 7, 9))
    return f.along(-border * side, 0, 1, 0) + f.along(body * amount, 0, 0, 0.9)


def _shoulders(f: Fields, x: float, y: float) -> np.ndarray:
    weight = (1.0 - f.neck) ** 0.5
    out = np.clip((np.abs(f.points[:, 0]) - 40.0) / 150.0, 0.0, 1.2)
    return f.spread(weight * out, x, y)


def _neck_length(f: Fields) -> np.ndarray:
    return f.along(f.neck, 0, 3.0, 0)


def _neck_girth(f: Fields) -> np.ndarray:
    weight = f.ramp(1, -165, -112) * f.ramp(1, -42, -86) * f.ramp(2, 60, 30)
    return f.scale(weight, (0, 0, -32), 0.045, 0.0, 0.04)


def _weight(f: Fields) -> np.ndarray:
    cheeks = f.swell(f.pair((46, -20, 56), (20, 26, 30)) * f.skin, 2.2)
    chin = f.along(f.near((0, -84, 40), (34, 15, 26)) * f.skin, 0, -3.2, 0.6)
    jaw = f.spread(f.pair((56, -50, 20), (18, 18, 26)), 1.8)
    return cheeks + chin + jaw + 0.6 * _neck_girth(f) + _shoulders(f, 1.0, 2.0)


def _sex(f: Fields) -> np.ndarray:
    brow = f.along(f.near((0, 48, 88), (38, 8, 16)), 0, -0.3, 1.6)
    jaw = f.spread(f.pair((54, -50, 24), (16, 18, 26)), 1.8, -1.0)
    chin = f.along(f.near((0, -66, 82), (22, 13, 16)), 0, -1.8, 1.6)
    nose = f.along(f.near((0, 6, 104), (10, 14, 14)), 0, 0, 1.2)
    forehead = f.along(f.near((0, 85, 76), (44, 22, 26)), 0, 0, -1.8)
    return brow + jaw + chin + nose + forehead + 0.6 * _neck_girth(f) + _shoulders(f, 4.0, 1.5) + 0.7 * _lips(f, -1, -1)


def _age(f: Fields) -> np.ndarray:
    jowls = f.along(f.pair((38, -52, 58), (13, 12, 18)), 0, -2.4, 0.4)
    jowls = jowls + f.swell(f.pair((38, -56, 58), (11, 9, 16)), 1.4)
    hollow = f.swell(f.pair((40, -6, 70), (12, 14, 14)) * f.skin, -1.6)
    fold = f.swell(f.pair((27, -14, 82), (5, 11, 10)) * f.skin, -1.1)
    bags = f.swell(f.pair((30, 17, 76), (10, 3.6, 8)) * f.skin, 1.2)
    tip = f.along(f.near((0, 0, 106), (12, 10, 12)), 0, -1.7, 0.4)
    ears = _ear_scale(f, 0.04, 0.03)
    return jowls + hollow + fold + bags + tip + ears + 0.8 * _hood(f) + 0.8 * _lips(f, -1, -0.8)


DIRECTIONS: dict[str, Direction] = {
    "head_size": _head_size,
    "head_width": lambda f: _width(f, 0.028, -60, 160),
    "head_length": lambda f: f.scale(f.ramp(2, 40, -60) * f.ramp(1, -70, 0), (0, 0, 30), 0, 0, 0.034),
    "head_height": lambda f: _stretch(f, 55, 130, 3.8),
    "cranium_width": lambda f: _width(f, 0.028, 62, 150),
    "occiput": lambda f: f.along(
        f.near((0, 8, -98), (40, 20, 26)) - 0.5 * f.near((0, 78, -86), (46, 26, 30)), 0, 0, -3.0
    ),
    "crown_tilt": lambda f: f.along(
        f.near((0, 128, -62), (48, 34, 34)) - f.near((0, 128, 44), (48, 34, 34)), 0, 2.8, 0
    ),
    "weight": _weight,
    "sex": _sex,
    "age": _age,
    "face_length": lambda f: _stretch(f, -62, 25, 3.8),
    "midface_height": lambda f: _stretch(f, -14, 24, 1.9) - _stretch(f, -70, -18, 1.9),
    "forehead_slope": lambda f: f.along(f.ramp(1, 50, 110) * f.ramp(2, 20, 80), 0, 0, -3.0),
    "forehead_bulge": lambda f: f.along(f.near((0, 80, 80), (40, 17, 24)), 0, 0, 2.0),
    "temple_width": lambda f: f.spread(f.pair((66, 58, 40), (18, 22, 28)), 1.9),
    "brow_ridge": lambda f: f.along(f.near((0, 47, 88), (40, 7.5, 18)), 0, -0.4, 1.6),
    "brow_height": lambda f: f.along(f.pair((32, 49, 80), (20, 8, 18)), 0, 2.2, 0),
    "cheekbone_width": lambda f: f.spread(f.pair((64, 12, 38), (15, 15, 26)), 2.2),
    "cheekbone_forward": lambda f: f.spread(f.pair((40, 8, 74), (15, 11, 16)) * f.skin, 0.4, 0.3, 1.9),
    "cheek_fullness": lambda f: f.swell(f.pair((46, -26, 58), (15, 17, 22)) * f.skin, 2.2),
    "nasolabial_depth": lambda f: f.swell(f.pair((26, -13, 82), (5.5, 11, 10)) * f.skin, -1.3),
    "jaw_width": lambda f: f.spread(f.pair((58, -46, 22), (17, 19, 28)), 2.0),
    "jaw_angle_drop": lambda f: f.along(f.pair((56, -50, 16), (16, 17, 24)), 0, -2.6, 0),
    "jaw_retrusion": lambda f: f.along(f.lower_lip * f.ramp(2, -10, 70), 0, 0, -2.6),
    "chin_forward": lambda f: f.along(f.near((0, -66, 84), (24, 13, 20)), 0, 0, 2.4),
    "chin_width": lambda f: f.spread(f.pair((17, -66, 74), (11, 12, 18)), 2.2),
    "chin_height": lambda f: _stretch(f, -72, -42, 2.0),
    "submental_fullness": lambda f: f.along(f.near((0, -86, 44), (28, 12, 24)) * f.skin, 0, -3.0, 0.8),
    "eye_spacing": lambda f: f.spread(f.pair((31, 31, 66), (13, 13, 22)), 1.5),
    "eye_size": _eye_size,
    "eye_tilt": _eye_tilt,
    "eye_depth": lambda f: f.along(f.pair((31, 30, 64), (14, 11, 18)), 0, 0, -1.9),
    "eye_height": lambda f: f.along(f.pair((31, 32, 66), (17, 13, 24)), 0, 1.6, 0),
    "lid_hood": _hood,
    "nose_length": lambda f: f.along(f.near((0, -6, 100), (17, 13, 20)) * f.ramp(1, 36, -2), 0, -2.0, 0),
    "nose_width": lambda f: f.spread(f.pair((14, -3, 90), (8, 8, 12)), 1.6),
    "nose_bridge_width": lambda f: f.spread(f.pair((9, 20, 86), (7, 13, 12)) * f.skin, 1.5),
    "nose_bridge_height": lambda f: f.along(f.near((0, 30, 90), (9, 12, 12)), 0, 0, 1.7),
    "nose_hump": lambda f: f.along(f.near((0, 17, 100), (8, 6.5, 12)), 0, 0, 1.3),
    "nose_tip_forward": lambda f: f.along(f.near((0, -1, 108), (13, 11, 13)), 0, 0, 1.9),
    "nose_tip_turn": _nose_turn,
    "nose_tip_width": lambda f: f.spread(f.pair((7, 0, 104), (5.5, 6.5, 8)), 1.4, 0, 0.3),
    "nostril_height": lambda f: f.along(f.pair((13.5, -2, 92), (5.5, 6, 9)), 0, 1.0, 0),
    "mouth_width": lambda f: f.spread(f.pair((22, -31, 80), (11, 9, 14)), 1.8),
    "mouth_height": lambda f: f.along(f.near((0, -31, 86), (28, 13, 20)), 0, 1.9, 0),
    "mouth_forward": lambda f: f.along(f.near((0, -32, 88), (24, 15, 18)), 0, 0, 2.4),
    "upper_lip_fullness": lambda f: _lips(f, 1.5, 0.0),
    "lower_lip_fullness": lambda f: _lips(f, 0.0, 1.7),
    "mouth_corner_height": lambda f: f.along(
        f.pair((22, -31, 78), (9, 7, 12)) - f.near((0, -31, 88), (11, 7, 12)), 0, 1.0, 0
    ),
    "ear_size": lambda f: _ear_scale(f, 0.05, 0.045),
    "ear_angle": lambda f: _ear_turn(f, 5.5),
    "ear_width": lambda f: _ear_scale(f, -0.02, 0.06),
    "neck_girth": _neck_girth,
    "neck_length": _neck_length,
    "neck_forward": lambda f: f.along(f.neck, 0, 0, 3.5),
    "larynx": lambda f: f.along(f.near((0, -100, 20), (10, 9, 12)), 0, 0, 2.2),
    "shoulder_width": lambda f: _shoulders(f, 8.0, 0.0),
    "shoulder_slope": lambda f: _shoulders(f, 0.0, -7.0),
    "chest_depth": lambda f: f.along(f.ramp(1, -140, -210) * np.tanh((f.points[:, 2] + 40) / 40), 0, 0, 5.0),
}


def shape_directions(f: Fields) -> np.ndarray:
    """Displacement per unit of each identity coefficient, [V, 3, S], millimetres, mirror-symmetric."""
    stack = []
    for name, make in DIRECTIONS.items():
        raw = make(f)
        if name not in ("eye_size", "eye_tilt", "lid_hood"):
            raw = f.seat_eyes(raw)
        raw = f.seat_teeth(raw)
        stack.append((raw + f.mirrored(raw)) / 2.0)
    return np.stack(stack, -1)
