"""What one picture of a head shows of other views: its pixels, warped by the tracked mesh."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.ndimage import distance_transform_edt, gaussian_filter, grey_closing, grey_erosion
from torch import Tensor
from torch.nn.functional import grid_sample, normalize

from unseen.core.camera import Camera
from unseen.render.mesh import MeshBuffers, normal_map, rasterize_mesh, visible_points

GRAZING, FACING = 0.2, 0.6
"""Cosines between a surface and the direction to the picture's camera: seen too flatly, and well."""
SAME_DEG, OTHER_DEG = 40.0, 70.0
"""Angles between the directions a point of the mesh is seen from: within the first it looks the same, beyond the second
the picture says nothing."""
BESIDE_SAME_DEG, BESIDE_OTHER_DEG = 6.0, 22.0
"""The same beside the mesh, where hair and clothes are taken to be as deep as the nearest point of it."""
HIDDEN_M = 0.006
"""How far behind the mesh's surface a point still counts as visible."""
HOLES, FEATHER = 1 / 32, 1 / 128
"""Radius of holes that are closed (lids, nostrils, lips), and blur of the way from kept to made pixels, as shares of a
view's side."""


@dataclass(frozen=True)
class WarpedViews:
    """A picture as other cameras would see what it shows.

    Attributes:
        images: [V, S, S, 3]; anything where `trust` is 0.
        trust: how far to keep them, 0 to 1, [V, S, S].
    """

    images: Float[Tensor, "V S S 3"]
    trust: Float[Tensor, "V S S"]

    def over(self, made: Float[Tensor, "V S S 3"]) -> Float[Tensor, "V S S 3"]:
        """Made views with what the picture shows in its place."""
        return torch.lerp(made, self.images.to(made), self.trust.to(made)[..., None])


def warp_views(
    picture: Float[Tensor, "H W 3"], inside: Bool[Tensor, "H W"], source: Camera, vertices: Float[Tensor, "N 3"],
    faces: Int[Tensor, "F 3"], cameras: Sequence[Camera],
) -> WarpedViews:  # fmt: skip
    """Carry a picture of a posed head over to other cameras, square and all of a size.

    Each pixel is a point on the mesh, or, beside the mesh, one as deep as the mesh's nearest pixel. It is kept as far
    as the picture shows it: not hidden behind the mesh, not grazed, and seen there from about the same direction.

    Args:
        picture: on white, in [0, 1].
        inside: where it shows anything, and is not beyond an edge of what was filmed.
        source: its camera.
        vertices: posed head, in the cameras' world.
        faces: triangles of the head.
        cameras: where to look from.
    """
    vertices, faces = vertices.detach().cpu(), faces.cpu()
    seen = rasterize_mesh(vertices, faces, source)
    maps = torch.cat([picture.cpu(), inside[..., None], seen.mask[..., None]], -1)
    views = [_warped(maps, source, seen, vertices, faces, camera) for camera in cameras]
    images, trust = (torch.stack(part) for part in zip(*views, strict=True))
    return WarpedViews(images, trust)


def _warped(
    maps: Float[Tensor, "H W 5"], source: Camera, seen: MeshBuffers, vertices: Tensor, faces: Tensor, camera: Camera
) -> tuple[Tensor, Tensor]:
    buffers = rasterize_mesh(vertices, faces, camera)
    points = _points(buffers, camera)
    toward, back = normalize(source.center - points, dim=-1), normalize(camera.center - points, dim=-1)
    angles = torch.rad2deg(torch.arccos((toward * back).sum(-1).clamp(-1, 1)))
    cosines = (normal_map(buffers, vertices, faces) * toward).sum(-1)
    beside = _ramp(-angles, -BESIDE_OTHER_DEG, -BESIDE_SAME_DEG)
    on_mesh = torch.maximum(_ramp(cosines, GRAZING, FACING), beside) * _ramp(-angles, -OTHER_DEG, -SAME_DEG)
    trust = torch.where(buffers.mask, on_mesh, beside)
    flat = points.reshape(-1, 3)
    places = 2 * source.project(flat)[0] / flat.new_tensor([source.width, source.height]) - 1
    channels = maps.permute(2, 0, 1)[None]
    found = grid_sample(channels, places[None, None], padding_mode="border", align_corners=False)[0, :, 0]
    # beside the mesh here, but before it in the picture: what the picture shows there is the mesh
    shown = torch.where(buffers.mask.flatten(), visible_points(flat, seen, source, HIDDEN_M), found[4] < 0.5)
    shown &= (places.abs() <= 1).all(-1) & (found[3] > 0.99)
    return found[:3].T.reshape(points.shape).clamp(0, 1), _feathered(trust * shown.reshape(trust.shape))


def _points(buffers: MeshBuffers, camera: Camera) -> Float[Tensor, "S S 3"]:
    """The point of the world each pixel shows; beside the mesh, at the depth of the mesh's nearest pixel."""
    nearest = distance_transform_edt((~buffers.mask).numpy(), return_distances=False, return_indices=True)
    rows, columns = (torch.from_numpy(index.astype("int64")) for index in nearest)
    return camera.points(buffers.depth[rows, columns].float())


def _ramp(values: Tensor, low: float, high: float) -> Tensor:
    return ((values - low) / (high - low)).clamp(0, 1)


def _feathered(trust: Float[Tensor, "S S"]) -> Float[Tensor, "S S"]:
    """Small holes closed, edges moved inward and softened."""
    holes, feather = (max(1.0, share * trust.shape[0]) for share in (HOLES, FEATHER))
    closed = grey_closing(trust.numpy(), footprint=_disk(holes), mode="nearest")
    inward = grey_erosion(closed, footprint=_disk(2 * feather), mode="nearest")
    return torch.from_numpy(gaussian_filter(inward, feather, mode="nearest"))


def _disk(radius: float) -> Bool[np.ndarray, "D D"]:
    reach = np.arange(-math.ceil(radius), math.ceil(radius) + 1)
    return np.hypot(reach, reach[:, None]) <= radius
