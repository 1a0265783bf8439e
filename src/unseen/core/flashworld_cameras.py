"""Cameras as FlashWorld's files write them: camera to world, OpenGL axes, quaternion wxyz and position, pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.rotations import matrix_to_quaternion, quaternion_to_matrix

UNIT_TOLERANCE = 1e-3
"""A quaternion's length may differ from 1 by so much and is then normalised; beyond that it is a mistake."""
INTRINSICS = ("fx", "fy", "cx", "cy")
_AXES = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))


def camera_from_flashworld(entry: Mapping[str, Any], width: int, height: int) -> Camera:
    """The camera of an object with `quaternion` [w, x, y, z], `position` [x, y, z] and fx, fy, cx, cy in pixels.

    Args:
        entry: other keys are passed over.
        width, height: of the picture that fx, fy, cx and cy are pixels of.

    Raises:
        KeyError: a key is missing.
        ValueError: a value is no finite number, the quaternion is not of unit length, or a focal length not positive.
    """
    quaternion, position = (_numbers(entry, key, count) for key, count in (("quaternion", 4), ("position", 3)))
    length = math.sqrt(sum(q * q for q in quaternion))
    if abs(length - 1) > UNIT_TOLERANCE:
        raise ValueError(f"its quaternion {list(quaternion)} has length {length:.4g}: expected 1, as w, x, y, z")
    fx, fy, cx, cy = (_number(entry[key], key) for key in INTRINSICS)
    if fx <= 0 or fy <= 0:
        raise ValueError(f"its focal lengths are {fx:g} and {fy:g}: expected positive pixels")
    rotation = _AXES @ quaternion_to_matrix(torch.tensor(quaternion, dtype=torch.float64)).T
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3], matrix[:3, 3] = rotation, -rotation @ torch.tensor(position, dtype=torch.float64)
    return Camera(matrix.float(), torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]), width, height)


def camera_to_flashworld(camera: Camera) -> dict[str, Any]:
    """Inverse of `camera_from_flashworld`, w not negative; the image size is not part of it."""
    matrix = camera.world_to_camera.double().cpu()
    rotation: Float[Tensor, "3 3"] = matrix[:3, :3].T
    quaternion = matrix_to_quaternion(rotation @ _AXES)
    quaternion = quaternion if quaternion[0] >= 0 else -quaternion
    k = camera.K.double()
    return {
        "quaternion": quaternion.tolist(),
        "position": (-rotation @ matrix[:3, 3]).tolist(),
        "fx": float(k[0, 0]),
        "fy": float(k[1, 1]),
        "cx": float(k[0, 2]),
        "cy": float(k[1, 2]),
    }


def _numbers(entry: Mapping[str, Any], key: str, count: int) -> list[float]:
    values = entry[key]
    if not isinstance(values, list | tuple) or len(values) != count:
        raise ValueError(f"its {key} is {values!r:.80}: expected {count} numbers")
    return [_number(value, key) for value in values]


def _number(value: Any, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"its {key} holds {value!r:.40}: expected a finite number")
    return float(value)
