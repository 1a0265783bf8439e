"""Places that do not exist, photographed to be fitted; every seed is another one, and nothing is written down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from unseen.core.camera import Camera
from unseen.io.photoset import Photo, PhotoSet
from unseen.synthetic.scenes import plan_of, shoot
from unseen.synthetic.scenes.film import Shot
from unseen.synthetic.scenes.folder import surface_points
from unseen.synthetic.worlds import LittleWorld, camera_path
from unseen.synthetic.worlds.folder import shot_of

KINDS = ("table", "room", "courtyard", "little")
"""In turn by their seed; little: a little room or landscape."""
POINTS = (4000, 20_000)
"""Least and most points on the surfaces that a fit starts from."""


def kind_of(seed: int) -> str:
    """What place a seed stands for."""
    return KINDS[seed % len(KINDS)]


def invented_photos(
    seed: int, photos: int, size: tuple[int, int], detail: float
) -> tuple[PhotoSet, list[UInt8[np.ndarray, "H W 3"]]]:  # fmt: skip
    """Invent a place and photograph it along a walk.

    Args:
        seed: of everything.
        photos: how many.
        size: of the photos, width and height in pixels.
        detail: of surfaces, see `SceneBuilder`.

    Returns:
        photos whose files do not exist, with points, in metres, +Y up; and their pictures.
    """
    cameras, photograph = _filmed(seed, photos, size, detail)
    shots = [photograph(camera) for camera in cameras]
    rng = np.random.default_rng([seed, 0x9017])
    share = -(-int(rng.integers(*POINTS)) // photos)
    clouds = [surface_points(camera, shot, share, rng) for camera, shot in zip(cameras, shots, strict=True)]
    points, colors = (torch.cat(part) for part in zip(*clouds, strict=True))
    names = [f"{i + 1:04d}" for i in range(photos)]
    listed = tuple(Photo(name, Path(name), camera) for name, camera in zip(names, cameras, strict=True))
    return PhotoSet(listed, points, colors, Path(f"{kind_of(seed)}-{seed}")), [shot.image.numpy() for shot in shots]


def _filmed(
    seed: int, photos: int, size: tuple[int, int], detail: float
) -> tuple[list[Camera], Callable[[Camera], Shot]]:  # fmt: skip
    """Cameras, and what takes their photographs."""
    kind = kind_of(seed)
    if kind == "little":
        world = LittleWorld.sample(seed)
        path = camera_path(world, np.random.default_rng([seed, 0xF01]))
        return path.cameras(photos, *size), lambda camera: shot_of(world.photograph(camera), world.subjects)
    plan = plan_of(kind)
    scene = plan.build(seed, detail)
    return plan.cameras(photos, *size, seed), lambda camera: shoot(scene, camera)
