"""Where a prior looks from: beside what was filmed first, then all the way round."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int

from unseen.core.camera import Camera
from unseen.head.avatar import Avatar
from unseen.head.model import HeadModel
from unseen.head.params import HeadParams
from unseen.head.tracking import Track
from unseen.jobs.avatar.config import PriorConfig
from unseen.jobs.avatar.coverage import spread
from unseen.priors.multiview.framing import HeadPlace


def filmed_yaws(model: HeadModel, track: Track, frames: Int[np.ndarray, "T"]) -> tuple[float, float]:
    """Least and greatest yaw, in degrees from the face's direction, at which the camera saw the head in some frames."""
    yaws = [HeadPlace.of(model, track.params[int(t)]).yaw_to(track.camera) for t in spread(frames)]
    return min(yaws), max(yaws)


def spread_yaws(filmed: tuple[float, float], reach_deg: float, count: int, generator: torch.Generator) -> list[float]:
    """Yaws on the two arcs from the filmed ones outward to `reach_deg` from the face's direction: the arcs together are
    cut into `count` equal parts, and one yaw is drawn in each; in [-180, 180)."""
    low, high = filmed
    arcs = max(low + reach_deg, 0.0), max(reach_deg - high, 0.0)
    yaws = []
    for i in range(count):
        place = (i + float(torch.rand(1, generator=generator))) / count * sum(arcs)
        yaw = low - arcs[0] + place if place < arcs[0] else high + place - arcs[0]
        yaws.append((yaw + 180.0) % 360.0 - 180.0)
    return yaws


def prior_cameras(
    avatar: Avatar,
    frame: HeadParams,
    filmed: tuple[float, float],
    reach: float,
    config: PriorConfig,
    size: int,
    generator: torch.Generator,
) -> list[Camera]:
    """One group of cameras round the head of one frame.

    Args:
        reach: how much farther than at first to go, 0 to 1.
        size: side of their images in pixels.
    """
    place = HeadPlace.of(avatar.model, frame)
    near, far = config.reach_deg
    low, high = config.pitch_deg
    return [
        place.camera(place.facing_deg + yaw, low + (high - low) * float(torch.rand(1, generator=generator)), size)
        for yaw in spread_yaws(filmed, near + (far - near) * reach, config.group, generator)
    ]
