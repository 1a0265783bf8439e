"""Cameras in transforms.json: OpenGL axes, camera to world (instant-ngp, nerfstudio, VHAP, GaussianAvatars)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from unseen.core.camera import Camera
from unseen.core.errors import FormatError

_OPENGL = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def camera_to_entry(camera: Camera) -> dict[str, Any]:
    """Intrinsics in pixels, fields of view in radians, `transform_matrix` [4, 4] of one camera, as JSON takes them."""
    k = camera.K.double()
    return {
        "cx": float(k[0, 2]),
        "cy": float(k[1, 2]),
        "fl_x": float(k[0, 0]),
        "fl_y": float(k[1, 1]),
        "h": camera.height,
        "w": camera.width,
        "camera_angle_x": 2 * math.atan(camera.width / (2 * float(k[0, 0]))),
        "camera_angle_y": 2 * math.atan(camera.height / (2 * float(k[1, 1]))),
        "transform_matrix": (torch.linalg.inv(camera.world_to_camera.double()) @ _OPENGL).tolist(),
    }


def camera_from_entry(entry: Mapping[str, Any], common: Mapping[str, Any], image: Path) -> Camera:
    """Inverse of `camera_to_entry`; what the entry lacks is taken from `common`, the top level of the file.

    Without `fl_x` the focal length comes from `camera_angle_x`, without `fl_y` pixels are square, without `cx` or `cy`
    the principal point is the centre, without `w` and `h` the size is the picture's.

    Raises:
        KeyError: there is no pose or no focal length.
        ValueError: they are not what they should be.
    """
    given = {**common, **entry}
    matrix = torch.tensor(entry["transform_matrix"], dtype=torch.float64)
    if matrix.shape == (3, 4):
        matrix = torch.cat([matrix, torch.tensor([[0.0, 0.0, 0.0, 1.0]], dtype=torch.float64)])
    if matrix.shape != (4, 4) or not bool(matrix.isfinite().all()) or abs(float(matrix.det())) < 1e-9:
        raise ValueError(f"transform_matrix {matrix.tolist()} is no pose: expected 4 x 4 finite numbers, invertible")
    width, height = (int(given[k]) for k in ("w", "h")) if {"w", "h"} <= given.keys() else _size_of(image)
    if "fl_x" in given:
        focal_x = float(given["fl_x"])
    else:
        focal_x = width / (2 * math.tan(float(given["camera_angle_x"]) / 2))
    focal_y = float(given.get("fl_y", focal_x))
    if not (0 < focal_x < math.inf and 0 < focal_y < math.inf and width > 0 and height > 0):
        raise ValueError(
            f"focal lengths {focal_x}, {focal_y} of a {width} x {height} picture: expected positive numbers"
        )
    cx, cy = float(given.get("cx", width / 2)), float(given.get("cy", height / 2))
    k = torch.tensor([[focal_x, 0, cx], [0, focal_y, cy], [0, 0, 1]], dtype=torch.float32)
    return Camera(torch.linalg.inv(matrix @ _OPENGL).float(), k, width, height)


def read_transforms(path: Path) -> dict[str, Any]:
    """The content of a transforms.json.

    Raises:
        FormatError: it is not JSON, or has no frames.
    """
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is not a JSON file: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("frames"), list):
        raise FormatError(f"{path} is no list of camera frames: expected an object with a list 'frames'")
    return content


def image_path(folder: Path, name: str) -> Path:
    """The picture; Blender's files leave out the suffix."""
    path = folder / name
    if path.suffix.lower() in _SUFFIXES:
        return path
    options = (path.with_name(path.name + suffix) for suffix in _SUFFIXES)
    return next((option for option in options if option.is_file()), path.with_name(path.name + ".png"))


def _size_of(image: Path) -> tuple[int, int]:
    """Width and height, from the head of the file alone."""
    try:
        with Image.open(image) as file:
            return file.size
    except OSError as error:
        raise ValueError(f"neither the file nor the picture {image} tells the image size ({error})") from error
