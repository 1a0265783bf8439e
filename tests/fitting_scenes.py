"""A small world of Gaussians and pictures of it, to fit."""

from dataclasses import dataclass

import numpy as np
import torch

from unseen.core.camera import Camera
from unseen.core.gaussians import Gaussians
from unseen.io.photoset import Picture
from unseen.render.scene import render_gaussians


@dataclass
class Shelf:
    """Pictures that are already decoded."""

    pictures: list[Picture]

    def __getitem__(self, index: int) -> Picture:
        return self.pictures[index]

    def ordered(self, indices):
        return indices


def blobs(n: int = 60, seed: int = 0) -> Gaussians:
    """Coloured blobs within half a unit of the origin."""
    g = torch.Generator().manual_seed(seed)
    return Gaussians.from_rgb(
        torch.rand(n, 3, generator=g) - 0.5,
        0.04 + 0.06 * torch.rand(n, 3, generator=g),
        torch.randn(n, 4, generator=g),
        0.6 + 0.35 * torch.rand(n, generator=g),
        torch.rand(n, 3, generator=g),
    )


def ring_of_cameras(count: int, size: int = 48) -> list[Camera]:
    """Around the origin at distance 1."""
    angles = torch.linspace(0, 6.2831853, count + 1)[:-1]
    return [
        Camera.look_at((float(a.sin()), 0.3, float(a.cos())), (0, 0, 0), size, size, focal_px=0.9 * size)
        for a in angles
    ]


def pictures_of(splats: Gaussians, cameras: list[Camera], gains: list[float] | None = None) -> Shelf:
    """What the cameras see on black, times a gain per picture."""
    found = []
    for i, camera in enumerate(cameras):
        image = render_gaussians(splats, camera, 0.0) * (gains[i] if gains else 1.0)
        found.append(Picture((255 * image.clamp(0, 1) + 0.5).numpy().astype(np.uint8), None, None, None, camera))
    return Shelf(found)
