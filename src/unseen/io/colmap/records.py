"""What a COLMAP model holds, as plain arrays between its two encodings and the rest of the package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64, Int32, Int64, UInt8


@dataclass(frozen=True)
class CameraRecord:
    """Intrinsics: name of the model, size in pixels, parameters in the order of the file."""

    model: str
    width: int
    height: int
    parameters: tuple[float, ...]


@dataclass(frozen=True)
class ImageRecord:
    """One posed picture.

    Attributes:
        camera: id of its CameraRecord.
        name: posix path relative to the image folder.
        quaternion, translation: world to camera, wxyz, OpenCV axes.
        pixels, point_ids: 2D points and the 3D points they belong to, -1 for none; empty where they were not read.
    """

    camera: int
    name: str
    quaternion: tuple[float, ...]
    translation: tuple[float, ...]
    pixels: Float64[np.ndarray, "M 2"] = field(default_factory=lambda: np.zeros((0, 2)))
    point_ids: Int64[np.ndarray, "M"] = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass(frozen=True)
class PointRecords:
    """3D points.

    Attributes:
        ids, positions, colors, errors: number, place in the world, RGB, reprojection error in pixels.
        tracks: per point the (image id, index of the 2D point) that saw it; empty where they were not read.
    """

    ids: Int64[np.ndarray, "P"]
    positions: Float64[np.ndarray, "P 3"]
    colors: UInt8[np.ndarray, "P 3"]
    errors: Float64[np.ndarray, "P"]
    tracks: Sequence[Int32[np.ndarray, "T 2"]] = ()


@dataclass(frozen=True)
class Model:
    """A whole model; cameras and images by id."""

    cameras: dict[int, CameraRecord]
    images: dict[int, ImageRecord]
    points: PointRecords
