"""Posed photos: what every reader of cameras and pictures returns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from unseen.core.camera import Camera
from unseen.io.lens import Lens


@dataclass(frozen=True)
class Photo:
    """One posed picture; nothing is decoded before `load_photo` asks for it.

    Attributes:
        name: unique, posix path relative to the image folder, e.g. "left/0001.jpg".
        path: the picture file.
        camera: the pinhole after undistortion at the picture's full resolution, in the source's world.
        lens: how the file itself is projected; None where the file is a pinhole picture equal to `camera`.
        mask: picture that is white where the photo may be used, besides the alpha channel of the photo itself.
        depth: z depth as 16-bit .png, .npy or .npz; 0 and what is not finite are unknown.
        depth_scale: world units per unit of the depth file.
    """

    name: str
    path: Path
    camera: Camera
    lens: Lens | None = None
    mask: Path | None = None
    depth: Path | None = None
    depth_scale: float = 1.0


@dataclass(frozen=True)
class PhotoSet:
    """Posed photos of one scene, and the points that came with them.

    Attributes:
        photos: sorted by name.
        points: structure-from-motion or given points in the source's world, [P, 3] float32, maybe none.
        point_colors: their colours in [0, 1], [P, 3].
        source: the file or folder they were read from.
    """

    photos: tuple[Photo, ...]
    points: Float[Tensor, "P 3"]
    point_colors: Float[Tensor, "P 3"]
    source: Path


@dataclass(frozen=True)
class Picture:
    """A decoded photo: upright, undistorted, at the size asked for.

    Attributes:
        image: RGB as displayed; colours are not premultiplied by `alpha`.
        mask: 255 where the photo may be used; None where all of it may.
        alpha: coverage, the alpha channel of the file; None where it has none.
        depth: z depth in world units, 0 where unknown; None where there is none.
        camera: the pinhole at this size.
    """

    image: UInt8[np.ndarray, "H W 3"]
    mask: UInt8[np.ndarray, "H W"] | None
    alpha: UInt8[np.ndarray, "H W"] | None
    depth: Float32[np.ndarray, "H W"] | None
    camera: Camera
