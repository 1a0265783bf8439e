"""Cameras in transforms.json: OpenGL axes, camera to world (instant-ngp, nerfstudio, VHAP, GaussianAvatars)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.errors import FormatError, InputError
from unseen.io.lens import Lens
from unseen.io.picture_files import find_picture, picture_head

_OPENGL = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))
_PERSPECTIVE = ("PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "FULL_OPENCV")
_FISHEYE = ("OPENCV_FISHEYE", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE")


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
    """Inverse of `camera_to_entry`; arguments and errors as `lens_from_entry`, distortion is passed over."""
    lens = lens_from_entry(entry, common, image)
    return Camera(pose_from_entry(entry).float(), lens.K, lens.width, lens.height)


def pose_from_entry(entry: Mapping[str, Any]) -> Float[Tensor, "4 4"]:
    """World-to-camera matrix in OpenCV axes, float64, of a frame's `transform_matrix`, [3, 4] or [4, 4].

    Raises:
        KeyError: there is none.
        ValueError: it is no pose.
    """
    matrix = torch.tensor(entry["transform_matrix"], dtype=torch.float64)
    if matrix.shape == (3, 4):
        matrix = torch.cat([matrix, torch.tensor([[0.0, 0.0, 0.0, 1.0]], dtype=torch.float64)])
    if matrix.shape != (4, 4) or not bool(matrix.isfinite().all()) or abs(float(matrix.det())) < 1e-9:
        raise ValueError(f"transform_matrix {matrix.tolist()} is no pose: expected 4 x 4 finite numbers, invertible")
    return torch.linalg.inv(matrix @ _OPENGL)


def lens_from_entry(entry: Mapping[str, Any], common: Mapping[str, Any], image: Path) -> Lens:
    """Intrinsics and distortion of a frame; what the entry lacks is taken from `common`, the top level of the file.

    Without `fl_x` the focal length comes from `camera_angle_x`, without `fl_y` pixels are square, without `cx` or `cy`
    the principal point is the centre, without `w` and `h` the size is the picture's. Distortion is OpenCV's: k1 k2 k3
    over k4 k5 k6, p1 p2; of a fisheye (`camera_model` or `is_fisheye` say so) k1 to k4.

    Args:
        entry: one of `frames`.
        common: the whole file.
        image: the frame's picture, looked at where the file does not tell its size.

    Raises:
        KeyError: there is no focal length.
        ValueError: a value is not what it should be, or the camera model is not read here.
    """
    given = {**common, **entry}
    width, height = (int(given[k]) for k in ("w", "h")) if {"w", "h"} <= given.keys() else _size_of(image)
    if "fl_x" in given:
        focal_x = float(given["fl_x"])
    else:
        focal_x = width / (2 * math.tan(float(given["camera_angle_x"]) / 2))
    focal_y = float(given.get("fl_y", focal_x))
    center = (float(given.get("cx", width / 2)), float(given.get("cy", height / 2)))
    k1, k2, k3, k4, k5, k6 = (float(given.get(f"k{i}") or 0) for i in range(1, 7))
    tangential = (float(given.get("p1") or 0), float(given.get("p2") or 0))
    if _is_fisheye(given):
        return Lens(width, height, (focal_x, focal_y), center, (k1, k2, k3, k4), fisheye=True)
    return Lens(width, height, (focal_x, focal_y), center, (k1, k2, k3), (k4, k5, k6), tangential)


def _is_fisheye(given: Mapping[str, Any]) -> bool:
    model = str(given.get("camera_model", "OPENCV")).upper()
    if model not in (*_PERSPECTIVE, *_FISHEYE):
        raise ValueError(f"camera_model {model} is not read: expected one of {', '.join((*_PERSPECTIVE, *_FISHEYE))}")
    return model in _FISHEYE or bool(given.get("is_fisheye"))


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
    return find_picture(folder, name) or folder / name


def _size_of(image: Path) -> tuple[int, int]:
    """Width and height as stored, from the head of the file alone."""
    try:
        head = picture_head(image)
        return head.width, head.height
    except InputError as error:
        raise ValueError(f"neither the file nor the picture {image} tells the image size ({error})") from error
