"""Other cameras along a request's path, and how near to them things may be."""

from __future__ import annotations

from collections.abc import Sequence

from unseen.core.camera import Camera
from unseen.priors.world.cameras import WorldCameras, normalized, resampled

NEAR = 0.01
"""The networks' near plane, in their own units."""


def along(cameras: Sequence[Camera], count: int) -> list[Camera]:
    """`count` cameras evenly spread along the path of two or more: rotations slerped, the rest linear."""
    values = resampled(WorldCameras.of(cameras).values, count)
    return WorldCameras(values).cameras(cameras[0].width, cameras[0].height)


def between(cameras: Sequence[Camera]) -> list[Camera]:
    """A camera half-way between each two neighbours."""
    return along(cameras, 2 * len(cameras) - 1)[1::2]


def near_plane(cameras: Sequence[Camera]) -> float:
    """The networks' near plane in the caller's units."""
    return NEAR * float(normalized(WorldCameras.of(cameras).values)[1].scale)
