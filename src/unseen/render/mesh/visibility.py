"""Which points and faces of a scene a camera sees, by depth test against rasterised buffers."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unseen.core.camera import Camera
from unseen.render.mesh.rasterize import MeshBuffers


def visible_points(
    points_world: Float[Tensor, "*T P 3"], buffers: MeshBuffers, camera: Camera, tolerance_m: float = 0.003
) -> Bool[Tensor, "*T P"]:
    """True for points inside the image, in front of the camera and not hidden behind the mesh.

    A point is hidden when it lies more than `tolerance_m` (world units) behind the farthest of the four pixel centres
    around it, so points on silhouettes and slopes count as visible. Points and buffers share their leading [T], if any.
    """
    pixels, depth = camera.project(points_world)
    height, width = buffers.depth.shape[-2:]
    x, y = pixels.unbind(-1)
    ok = (depth > 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x0, y0 = (
        (x - 0.5).nan_to_num().clamp(0, width - 1).floor().long(),
        (y - 0.5).nan_to_num().clamp(0, height - 1).floor().long(),
    )
    flat = buffers.depth.flatten(-2)
    farthest = torch.full_like(depth, -torch.inf)
    for dy in (0, 1):
        for dx in (0, 1):
            index = (y0 + dy).clamp_max(height - 1) * width + (x0 + dx).clamp_max(width - 1)
            farthest = torch.maximum(farthest, flat.gather(-1, index).to(depth))
    return ok & (depth <= farthest + tolerance_m)


def visible_faces(buffers: MeshBuffers) -> Bool[Tensor, "F"]:
    """True for faces that own at least one pixel (in any frame)."""
    seen = torch.zeros(len(buffers.faces), dtype=torch.bool)
    seen[buffers.face_ids[buffers.mask].long()] = True
    return seen
