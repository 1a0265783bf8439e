"""Camera paths from files: our own JSON, FlashWorld's, and nerfstudio's `camera_path.json`."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.errors import FormatError, InputError
from unseen.core.flashworld_cameras import camera_from_flashworld


def from_file(path: str | os.PathLike[str], width: int | None = None, height: int | None = None) -> list[Camera]:
    """Read a camera path.

    Our own form is a list of cameras, or an object with `cameras` (that list) and defaults for any key of a camera:

        {"width": 640, "height": 480, "fov_y_rad": 0.6,
         "cameras": [{"eye": [0, 0, 1], "target": [0, 0, 0], "up": [0, 1, 0]},
                     {"world_to_camera": [[...]], "K": [[...]]}]}

    A camera has `world_to_camera` or `camera_to_world` (4x4, OpenCV axes) or `eye` and `target` (and `up`), and `K`
    (pixels), `focal_px`, `fov_y_rad` or `fov_y_deg`. nerfstudio's files (`camera_path`, OpenGL axes, `fov` in degrees,
    `render_width` and `render_height`) are recognised by their keys; 360-degree cameras are not. So are FlashWorld's
    (`quaternion`, `position`, fx, fy, cx, cy; OpenGL axes), whose image size is the file's `resolution` [N, H, W];
    where it has none, `width` and `height` are what its pixels are of.

    Args:
        path: the JSON file.
        width, height: image size instead of the file's; intrinsics are scaled to it. With one of them the other
            follows from the file's proportions.

    Raises:
        InputError: no such file.
        FormatError: not JSON, or a camera lacks what it needs; says which.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise FormatError(f"{path} is not JSON: {error}") from error
    if isinstance(data, Mapping) and "camera_path" in data:
        data = _from_nerfstudio(path, data)
    entries, defaults = (data, {}) if isinstance(data, list) else (data.get("cameras"), data)
    if not isinstance(entries, list) or not entries:
        raise FormatError(f"{path} holds no cameras: expected a list of cameras, or an object with such a list")
    defaults = {**_size_of(defaults, width, height), **defaults}
    cameras = []
    for index, entry in enumerate(entries):
        try:
            cameras.append(_camera({**defaults, **entry}))
        except (KeyError, TypeError, ValueError, RuntimeError, InputError) as error:
            reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            raise FormatError(f"camera {index} of {path}: {reason}") from error
    if width is None and height is None:
        return cameras
    return [_resized(camera, width, height) for camera in cameras]


def _camera(entry: Mapping[str, Any]) -> Camera:
    width, height = int(entry["width"]), int(entry["height"])
    if "quaternion" in entry:
        return camera_from_flashworld(entry, width, height)
    if "K" in entry:
        k = _matrix(entry["K"], 3)
    else:
        focal = _focal_px(entry, height)
        k = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
    if "world_to_camera" in entry:
        matrix = _matrix(entry["world_to_camera"], 4)
    elif "camera_to_world" in entry:
        matrix = torch.linalg.inv(_matrix(entry["camera_to_world"], 4))
    else:
        up = entry.get("up", (0.0, 1.0, 0.0))
        matrix = Camera.look_at(entry["eye"], entry["target"], width, height, focal_px=1.0, up=up).world_to_camera
    if not (matrix.isfinite().all() and k.isfinite().all()):
        raise ValueError("its matrices are not all finite numbers")
    return Camera(matrix, k, width, height)


def _size_of(data: Mapping[str, Any], width: int | None, height: int | None) -> dict[str, Any]:
    """The image size of a file that gives FlashWorld's `resolution`, or none at all."""
    resolution = data.get("resolution")
    if isinstance(resolution, list) and len(resolution) == 3:
        return {"height": resolution[1], "width": resolution[2]}
    return {"width": width, "height": height} if width and height else {}


def _focal_px(entry: Mapping[str, Any], height: int) -> float:
    if "focal_px" in entry:
        return float(entry["focal_px"])
    fov_y = math.radians(entry["fov_y_deg"]) if "fov_y_deg" in entry else float(entry["fov_y_rad"])
    if not 0 < fov_y < math.pi:
        raise ValueError(f"vertical field of view {fov_y:.4g} rad: expected between 0 and pi")
    return 0.5 * height / math.tan(0.5 * fov_y)


def _matrix(values: Any, size: int) -> Tensor:
    matrix = torch.tensor(values, dtype=torch.float32)
    if matrix.numel() != size * size:
        raise ValueError(f"a matrix of {matrix.numel()} numbers: expected {size} x {size}")
    return matrix.reshape(size, size)


def _from_nerfstudio(path: str | os.PathLike[str], data: Mapping[str, Any]) -> dict[str, Any]:
    """nerfstudio's file in our own form: OpenGL to OpenCV axes (y and z of the camera change sign)."""
    kind = data.get("camera_type", "perspective")
    if kind != "perspective":
        raise FormatError(f"{path} films with camera type {kind!r}: expected 'perspective'")
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    try:
        cameras = [
            {"camera_to_world": (_matrix(c["camera_to_world"], 4) @ flip).tolist(), "fov_y_deg": float(c["fov"])}
            for c in data["camera_path"]
        ]
        return {"width": data["render_width"], "height": data["render_height"], "cameras": cameras}
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path} is not a complete nerfstudio camera path: {error}") from error


def _resized(camera: Camera, width: int | None, height: int | None) -> Camera:
    if width is None:
        width = max(1, round(camera.width * (height or 0) / camera.height))
    if height is None:
        height = max(1, round(camera.height * width / camera.width))
    return camera.resized(width, height)
