"""Where a fit of photos starts: their scale, the first splats, and what is written down about the run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.gaussians import Gaussians
from unseen.fit.config import FitConfig
from unseen.fit.initial import far_points, random_points, splats_at_points
from unseen.fit.strategies import default, mcmc
from unseen.fit.world import Similarity
from unseen.io.atomic import write_json
from unseen.io.photoset import PhotoSet
from unseen.jobs.fit.sources import PhotoSource

FEWEST_POINTS = 100
"""With fewer, a fit starts from random ones."""
FAR = 5.0
"""Distance of the far splats in radii of the scene."""
INIT = {"default": (default.INIT_OPACITY, default.INIT_SIZE), "mcmc": (mcmc.INIT_OPACITY, mcmc.INIT_SIZE)}


def photo_scale(photoset: PhotoSet, max_side: int) -> float:
    """The largest 1 / 2^k under which no photo is larger than `max_side`."""
    largest = max(max(photo.camera.width, photo.camera.height) for photo in photoset.photos)
    return 0.5 ** max(0, math.ceil(math.log2(largest / max_side)))


def first_splats(config: FitConfig, photoset: PhotoSet, fitted: Sequence[int], seed: int) -> Gaussians:
    """Splats at the photos' points, or at random ones, and far ones behind them."""
    generator = torch.Generator().manual_seed(seed)
    points, colors = photoset.points, photoset.point_colors
    if config.init == "random" or len(points) < FEWEST_POINTS:
        points, colors = random_points(config.init_random, config.init_extent, generator)
    cameras = [photoset.photos[i].camera for i in fitted]
    far = far_points(cameras, config.far_splats, FAR * _radius(points, cameras), generator)
    room = max(config.max_splats - len(far), FEWEST_POINTS)
    if len(points) > room:
        chosen = torch.randperm(len(points), generator=generator)[:room].sort().values
        points, colors = points[chosen], colors[chosen]
    opacity, size = INIT[config.strategy]
    near = splats_at_points(points, colors, config.sh_degree, opacity, size)
    if len(far) < FEWEST_POINTS:
        return near
    grey = colors.mean(0).expand(len(far), 3)
    return Gaussians.cat([near, splats_at_points(far, grey, config.sh_degree, opacity, 0.5)])


def _radius(points: Tensor, cameras: Sequence[Camera]) -> float:
    """Distance from the middle of the cameras within which nearly everything lies."""
    centers = torch.stack([camera.center for camera in cameras])
    distances = (torch.cat([points, centers]) - centers.mean(0)).norm(dim=1)
    return float(distances.quantile(0.99)) if len(distances) < 10**6 else float(distances[::10].quantile(0.99))


def write_setup(
    out: Path, description: dict[str, Any], source: PhotoSource, photoset: PhotoSet, scale: float,
    held_out: Sequence[int], world: Similarity,
) -> None:  # fmt: skip
    """Write what a later command needs to know about a run.

    Args:
        out: its folder.
        description: what determines its result, for config.json.
        source: of the photos as it was asked for.
        photoset, scale, held_out, world: what it came to.

    Raises:
        ResourceError: the machine refuses a write.
    """
    write_json(out / "config.json", description)
    cameras = photoset.source.resolve()
    names = [photoset.photos[i].name for i in held_out]
    paths = {"images": source.images, "masks": source.masks}
    if cameras.is_relative_to(out.resolve()):  # solved here: the pictures lie elsewhere
        paths["images"] = _pictures_folder(photoset)
    write_json(
        out / "split.json",
        {"cameras": str(cameras), "scale": scale, "held_out": names}
        | {k: v and str(v.resolve()) for k, v in paths.items()},
    )
    world.save(out / "world.json")


def _pictures_folder(photoset: PhotoSet) -> Path:
    """The folder relative to which photos are named."""
    photo = photoset.photos[0]
    return photo.path.parents[len(Path(photo.name).parts) - 1]
